"""How Step Functions names the services, members and errors of the two generations of the AWS SDK it is built on.

`aws-sdk:` integrations speak as version 2 of the SDK for Java does, the optimized ones as version 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.model import ServiceModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Words of one service in one generation."""

    prefix: str
    """Before the dot of an error name."""
    service: str
    """As it stands in a cause: `(Service: …`."""
    base: str
    """The exception for error codes that the service's model does not name."""
    first: bool
    """Version 1: other punctuation, member names as in the model, times in milliseconds, the HTTP metadata kept."""

    def cause(self, message: str, status: int, code: str, request_id: str, extended: str | None) -> str:
        if self.first:
            details = f"Service: {self.service}; Status Code: {status}; Error Code: {code}; Request ID: {request_id}"
            return f"{message} ({details}; Proxy: null)"
        more = f", Extended Request ID: {extended}" if extended else ""
        return f"{message} (Service: {self.service}, Status Code: {status}, Request ID: {request_id}{more})"

    def member(self, name: str) -> str:
        """A member of the service's model, as it stands in the state's result."""
        return name[:1].upper() + name[1:] if self.first else capitalized(uncapitalized(name))

    @property
    def client_error(self) -> str:
        """The request did not get as far as an answer of the service."""
        return f"{self.prefix}.SdkClientException"


def sdk_dialect(model: ServiceModel) -> Dialect:
    name = pascal_case(re.sub(r"(?<=.)\s*Service$", "", model.service_id))
    return Dialect(prefix=name, service=name, base=f"{name}Exception", first=False)


def error_name(dialect: Dialect, model: ServiceModel, codes: set[str]) -> str:
    """`S3.NoSuchBucketException` for a code that the model knows, else the base exception of the service."""
    for shape in model.error_shapes:
        if shape.name in codes or shape.error_code in codes:
            return f"{dialect.prefix}.{exception_class(shape.name)}"
    return f"{dialect.prefix}.{dialect.base}"


def exception_class(shape: str) -> str:
    """The name of the SDK's class for an error shape: always ends with Exception."""
    if shape.endswith("Fault"):
        return shape[: -len("Fault")] + "Exception"
    return shape if shape.endswith("Exception") else shape + "Exception"


def pascal_case(text: str) -> str:
    """Words joined, each capitalised: `DynamoDB` becomes `DynamoDb`, `API Gateway` `ApiGateway`."""
    text = re.sub(r"[^A-Za-z0-9]+", " ", text)
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-zA-Z0-9])", " ", text)
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", text)
    text = re.sub(r"([0-9])([a-zA-Z])", r"\1 \2", text)
    return "".join(word[:1].upper() + word[1:].lower() for word in text.split())


def uncapitalized(name: str) -> str:
    """A getter's name: the leading run of capitals becomes small, but not the one that starts the next word."""
    end = 1
    while end < len(name) and name[end].isupper() and not (end + 1 < len(name) and name[end + 1].islower()):
        end += 1
    return name[:end].lower() + name[end:]


def capitalized(name: str) -> str:
    return name[:1].upper() + name[1:]
