from __future__ import annotations

import hashlib
from typing import Any

import pytest

from skylift.values.keys import cache_key, canonical_json, digest_json, explain_miss


def test_the_order_of_keys_does_not_matter() -> None:
    assert canonical_json({"b": 1, "a": [{"d": 1, "c": 2}]}) == b'{"a":[{"c":2,"d":1}],"b":1}'
    assert digest_json({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()


BASE: dict[str, Any] = {"task": "t", "fingerprint": "f", "arguments": {"x": 1}, "environment": None}


@pytest.mark.parametrize(
    "change", [{"task": "u"}, {"fingerprint": "g"}, {"arguments": {"x": 2}}, {"arguments": {}}, {"environment": "lock"}]
)
def test_whatever_matters_changes_the_key(change: dict[str, Any]) -> None:
    assert cache_key(**BASE) == cache_key(**BASE)
    assert cache_key(**(BASE | change)) != cache_key(**BASE)


def test_a_miss_is_explained() -> None:
    before = ("f", {"x": 1, "y": 2}, None)
    assert "code" in explain_miss(before, ("g", {"x": 1, "y": 2}, None))
    assert "environment" in explain_miss(before, ("f", {"x": 1, "y": 2}, "lock"))
    assert explain_miss(before, ("f", {"x": 3, "z": 2, "y": 2}, None)) == "changed inputs: x, z"
    assert "inputs" in explain_miss(("f", 1, None), ("f", 2, None))
    assert explain_miss(before, before) == "nothing has changed"
