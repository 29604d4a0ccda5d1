"""Tagged JSON as people and other programs want to read it: without the tags that only Python needs."""

from __future__ import annotations

from typing import Any

from skylift.values.tags import TYPE


def plain(node: Any) -> Any:
    """A record becomes an object of its fields, a tuple or set an array, a date its text. References stay.

    >>> plain({"__type__": "faces:Model", "accuracy": 0.9, "shape": {"__type__": "tuple", "items": [25, 25]}})
    {'accuracy': 0.9, 'shape': [25, 25]}
    """
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    tag = node.get(TYPE)
    if tag is None:
        return {key: plain(value) for key, value in node.items()}
    if tag == "dict":
        return [[plain(key), plain(value)] for key, value in node["items"]]
    for content in ("items", "value", "base64"):
        if content in node and ":" not in tag:
            return plain(node[content])
    return {key: plain(value) for key, value in node.items() if key != TYPE}
