"""Which blocks a call will read, seen from its arguments alone: what a backend needs to send it where they are."""

from __future__ import annotations

from typing import Any

from skylift.blocks.extent import Extent
from skylift.values.tags import TYPE

BLOCK = "skylift.blocks.block:Block"
"""How a Block is tagged in JSON."""
_MOST = 1_000
_LOOKED_AT = 100_000


def block_keys(arguments: Any) -> tuple[str, ...]:
    """The keys of the blocks in a call's arguments (`TaskCall.arguments`), in order, each once.

    Looks at the JSON only: nothing is loaded, opened or imported. It is called for each call that is placed, so it
    gives up on arguments that are vast; what it misses is only a preference.
    """
    found: dict[str, None] = {}
    waiting = [arguments]
    for _ in range(_LOOKED_AT):
        if not waiting or len(found) >= _MOST:
            break
        node = waiting.pop()
        if type(node) is list:
            waiting.extend(reversed(node))
        elif type(node) is dict:
            if node.get(TYPE) == BLOCK:
                key = _key(node)
                if key:
                    found.setdefault(key)
            else:
                waiting.extend(reversed(node.values()))
    return tuple(found)


def _key(node: dict[str, Any]) -> str:
    """The key of a Block in JSON; nothing for one that is never kept, or is none."""
    url, version = node.get("url"), node.get("version")
    numbers = [node.get(name) for name in ("size", "start", "end")]
    if not isinstance(url, str) or not isinstance(version, str) or not all(type(one) is int for one in numbers):
        return ""
    if not version or "://" not in url:
        return ""
    size, start, end = (int(one or 0) for one in numbers)
    return Extent(url=url, version=version, size=size, start=start, end=end).key
