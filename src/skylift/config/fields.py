"""Which setting was meant: names of fields near one that there is not."""

from __future__ import annotations

import difflib
import re
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`(?: - at `\$(?P<path>[^`]*)`)?")


def meant(problem: str, kind: Any) -> str | None:
    """A hint for what msgspec says of a table that has a field too many; None for other problems."""
    found = _UNKNOWN.search(problem)
    if found is None:
        return None
    table = _at(kind, re.findall(r"[^.\[\]]+|\[[^\]]*\]", found["path"] or ""))
    if table is None:
        return None
    names = [field.encode_name for field in msgspec.structs.fields(table)]
    near = difflib.get_close_matches(found["field"], names, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"


def _at(kind: Any, steps: list[str]) -> Any:
    """The struct at that path; None where it leads to none."""
    for step in steps:
        kind = _inside(_plain(kind), step)
    kind = _plain(kind)
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _inside(kind: Any, step: str) -> Any:
    if step.startswith("["):  # of a list or of a dict: the last argument is the kind of what it holds
        return next((arg for arg in reversed(get_args(kind)) if arg is not ...), None)
    return get_type_hints(kind).get(step) if isinstance(kind, type) else None


def _plain(kind: Any) -> Any:
    """Without `| None`."""
    if get_origin(kind) in (Union, types.UnionType):
        return next((arg for arg in get_args(kind) if arg is not type(None)), None)
    return kind
