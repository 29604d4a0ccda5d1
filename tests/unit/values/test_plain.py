"""Tagged JSON without its tags."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.values.plain import plain


@pytest.mark.parametrize(
    ("node", "shown"),
    [
        (3, 3),
        ([1, {"a": None}], [1, {"a": None}]),
        ({"__type__": "m:C", "x": 1, "items": [2], "value": 3}, {"x": 1, "items": [2], "value": 3}),
        ({"__type__": "tuple", "items": [{"__type__": "m:C", "x": 1}]}, [{"x": 1}]),
        ({"__type__": "date", "value": "2026-11-21"}, "2026-11-21"),
        ({"__type__": "dict", "items": [[1, {"__type__": "tuple", "items": []}]]}, [[1, []]]),
        (
            {"__type__": "timedelta", "days": 1, "seconds": 2, "microseconds": 0},
            {"days": 1, "seconds": 2, "microseconds": 0},
        ),
        ({"skylift:artifact": "sha256:00", "size": 3}, {"skylift:artifact": "sha256:00", "size": 3}),
    ],
)
def test_plain(node: Any, shown: Any) -> None:
    assert plain(node) == shown
