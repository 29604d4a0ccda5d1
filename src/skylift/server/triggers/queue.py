"""Messages of an SQS queue."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from skylift.config import ServiceSettings
from skylift.errors import SetupError
from skylift.server.triggers.trigger import Occurrence, Queue, Trigger

WAIT_S = 10
"""Long polling: one request every so often while the queue is empty."""
BATCH = 10
"""The most that SQS gives at once."""
_AMAZON = re.compile(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?")


class QueueWatcher:
    """Gives messages, which SQS hides from others meanwhile. One whose run could not be started comes again, and ends
    among the dead letters where the queue has such."""

    def __init__(self, trigger: Trigger, source: Queue, services: ServiceSettings) -> None:
        self._url = source.url
        self._client = _client(trigger, source, services)
        self._receipts: dict[str, str] = {}

    def look(self, now_ms: int) -> list[Occurrence]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=WAIT_S,
            AttributeNames=["SentTimestamp"],
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        self._receipts = {message["MessageId"]: message["ReceiptHandle"] for message in messages}
        return [Occurrence(message["MessageId"], _event(message)) for message in messages]

    def done(self, occurrence: Occurrence) -> None:
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=self._receipts.pop(occurrence.key))

    def pause_s(self, now_ms: int) -> float:
        return 0.0


def _client(trigger: Trigger, source: Queue, services: ServiceSettings) -> Any:
    try:
        import boto3
    except ImportError:
        raise SetupError(
            f"trigger {trigger.name} reads an SQS queue, which needs boto3", hint="pip install 'skylift[aws]'"
        ) from None
    address = urlsplit(source.url)
    own = None if is_amazon(address.hostname or "") else f"{address.scheme}://{address.netloc}"
    return boto3.client(
        "sqs",
        region_name=services.region or trigger.region,
        endpoint_url=services.endpoints.get("sqs") or services.endpoint_url or own,
    )


def is_amazon(host: str) -> bool:
    return _AMAZON.fullmatch(host.lower().rstrip(".")) is not None


def _event(message: dict[str, Any]) -> dict[str, Any]:
    """As a Lambda function that is fed by SQS sees one record, with the body parsed where it is JSON."""
    return {
        "messageId": message["MessageId"],
        "body": _body(message["Body"]),
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {
            name: value.get("StringValue") for name, value in message.get("MessageAttributes", {}).items()
        },
    }


def _body(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
