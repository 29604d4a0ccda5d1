"""Lists of tags as requests give them and answers show them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from skylift.server.errors import ApiError
from skylift.server.stepfunctions.wire import constraint, validation_errors

MOST = 50
"""Tags of one resource."""
_SYMBOLS = frozenset("_.:/=+-@")


def merge_tags(arn: str, present: Mapping[str, str], given: list[dict[str, Any]] | None) -> dict[str, str]:
    """The tags of a resource after these were added. Raises ValidationException and TooManyTags."""
    given = given or []
    missing = [f"tags.{number}.member.key" for number, tag in enumerate(given, 1) if "key" not in tag]
    if missing:
        raise validation_errors([constraint(None, path, "not be null") for path in missing])
    added = {tag["key"]: tag.get("value", "") for tag in given}
    for key, value in added.items():
        _check(key, value)
    merged = {**present, **added}
    if len(merged) > MOST:
        raise ApiError(
            "TooManyTags", f"'{arn}' may have at most {MOST} tags, not {len(merged)}", details={"resourceName": arn}
        )
    return merged


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _check(key: str, value: str) -> None:
    if key.lower().startswith("aws:"):
        raise ApiError("ValidationException", f"Tag key '{key}' begins with 'aws:', which is reserved")
    for text in (key, value):
        if not all(char in _SYMBOLS or unicodedata.category(char)[0] in "LNZ" for char in text):
            raise ApiError(
                "ValidationException",
                f"Tag '{text}' has a character that is none of: letters, digits, white space, _ . : / = + - @",
            )
