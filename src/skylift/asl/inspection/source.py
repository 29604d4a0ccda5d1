"""JSON text whose parts can be shown as they were written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from skylift.asl.json_text import json_text, parse_json

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],]|[^\s{}\[\],:"]+', re.DOTALL)


class SourceTexts:
    """The texts of a request. A value that stands in one of them, and not a copy of it, is shown as it stands there;
    anything else as compact JSON."""

    def __init__(self) -> None:
        self._texts: dict[int, tuple[Any, str]] = {}

    def read(self, text: str) -> Any:
        """The value. Raises ValueError."""
        value = parse_json(text)
        if isinstance(value, dict | list):
            spans = dict(_spans(text))
            for path, inner in _containers(value):
                start, end = spans[path]
                self._texts[id(inner)] = (inner, text[start:end])
        return value

    def show(self, value: Any) -> str:
        kept = self._texts.get(id(value))
        return kept[1] if kept is not None and kept[0] is value else json_text(value)


Path = tuple[str | int, ...]


def _containers(root: Any) -> Iterator[tuple[Path, Any]]:
    waiting: list[tuple[Path, Any]] = [((), root)]
    while waiting:
        path, value = waiting.pop()
        yield path, value
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        waiting.extend(((*path, key), child) for key, child in inner if isinstance(child, dict | list))


def _spans(text: str) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Where each object and array of valid JSON stands; of a key that stands twice, the last place comes last."""
    open_at: list[tuple[int, bool]] = []
    path: list[str | int] = []
    expecting_key = False
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in "{[":
            open_at.append((match.start(), token == "{"))
            path.append(0)
            expecting_key = token == "{"
        elif token in "}]":
            start, _ = open_at.pop()
            path.pop()
            expecting_key = False
            yield tuple(path), (start, match.end())
        elif token == ",":
            expecting_key = open_at[-1][1]
            if not expecting_key:
                path[-1] = int(path[-1]) + 1
        elif expecting_key:
            path[-1] = parse_json(token)
            expecting_key = False
