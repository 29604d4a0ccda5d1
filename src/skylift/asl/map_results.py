"""The results of a Distributed Map's child executions, shaped as a ResultWriter's WriterConfig says."""

from __future__ import annotations

from typing import Any

import msgspec


def shaped(records: list[dict[str, Any]], transformation: str) -> list[Any]:
    """NONE: whole records, Input and Output as JSON text; COMPACT: outputs; FLATTEN: outputs, lists dissolved.

    A record of a child that failed stays whole.
    """
    shaped: list[Any] = []
    for record in records:
        output = record.get("Output")
        if transformation == "NONE" or record.get("Status") != "SUCCEEDED":
            shaped.append(_described(record))
        elif transformation == "FLATTEN" and isinstance(output, list):
            shaped.extend(output)
        else:
            shaped.append(output)
    return shaped


def json_lines(shaped: list[Any]) -> bytes:
    """OutputType JSONL."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in shaped)


def _described(record: dict[str, Any]) -> dict[str, Any]:
    described = {key: value for key, value in record.items() if value is not None}
    for key in ("Input", "Output"):
        if key in record:
            described[key] = msgspec.json.encode(record[key]).decode()
            described[f"{key}Details"] = {"Included": True}
    return dict(sorted(described.items()))
