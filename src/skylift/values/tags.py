"""How what is not plain JSON looks in JSON: two kinds of objects, each known by one key.

A *tagged* object `{"__type__": NAME, …}` is a value written out: NAME is `module:Class` for a user's record, whose
fields stand beside it, or a short word (`tuple`, `datetime`, …) for a type of the standard library.

A *reference* `{"skylift:artifact": "sha256:…", "format": …, "type": …, "size": …}` is a value kept in the blob store.
"""

from __future__ import annotations

from typing import Any

from skylift.errors import AuthorError

TYPE = "__type__"
ARTIFACT = "skylift:artifact"
_PREFIX = "sha256:"


class ValueNotStorable(AuthorError):
    """A value that can neither be written as JSON nor kept as an artifact (a lock, an open file, a generator)."""

    code = "VALUE-NOT-STORABLE"


class ValueNotLoadable(AuthorError):
    """JSON that stands for a value which cannot be made here: unknown class, missing library, changed fields."""

    code = "VALUE-NOT-LOADABLE"


class ValueMismatch(AuthorError):
    """JSON that does not fit the annotated type."""

    code = "VALUE-MISMATCH"


def reference(digest: str, *, format: str, type: str, size: int, **facts: Any) -> dict[str, Any]:
    """The JSON that stands for a blob. `facts` are what its format needs besides the bytes."""
    return {ARTIFACT: _PREFIX + digest, "format": format, "type": type, "size": size, **facts}


def digest_of(node: dict[str, Any]) -> str:
    """The digest inside a reference."""
    text = node[ARTIFACT]
    if not isinstance(text, str) or not text.startswith(_PREFIX):
        raise ValueNotLoadable(f"{ARTIFACT!r} must be 'sha256:' and 64 hexadecimal digits, not {text!r}")
    return text[len(_PREFIX) :]


def direct_references(node: Any) -> set[str]:
    """Digests of the references that stand in this JSON, not of those inside the blobs they name."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            if ARTIFACT in node:
                found.add(digest_of(node))
            else:
                waiting.extend(node.values())
        elif type(node) is list:
            waiting.extend(node)
    return found
