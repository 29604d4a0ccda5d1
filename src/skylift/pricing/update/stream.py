"""Members of large JSON objects, one after the other: price files are larger than what one wants to hold in memory."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from typing import Any

from skylift.pricing.update.fetch import UpdateFailed

_PIECE = 1 << 18
MOST_CHARACTERS = 1 << 24
"""Of one member."""
MOST_DEPTH = 50
_SPACE = " \t\r\n"


class Reader:
    """A cursor in JSON text that comes in pieces."""

    def __init__(self, source: io.BufferedReader, name: str) -> None:
        self._source = source
        self._name = name
        self._decode = codecs.getincrementaldecoder("utf-8-sig")(errors="strict").decode
        self._json = json.JSONDecoder(parse_float=str, parse_int=int)
        self._text = ""
        self._at = 0
        self._ended = False

    def members(self) -> Iterator[str]:
        """Keys of the object that begins here. The caller reads or skips the value before it asks for the next."""
        self._expect("{")
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise self._wrong("a key that is no text")
            self._expect(":")
            yield key
            mark = self._peek()
            self._at += 1
            if mark == "}":
                return
            if mark != ",":
                raise self._wrong(f"{mark!r} where a comma should be")

    def value(self) -> Any:
        """The one that begins here, whole."""
        self._peek()
        while True:
            try:
                found, end = self._json.raw_decode(self._text, self._at)
            except RecursionError as problem:
                raise self._wrong("values in values without end") from problem
            except ValueError as problem:
                if self._ended or len(self._text) - self._at > MOST_CHARACTERS:
                    raise self._wrong(str(problem)) from problem
                self._more()
                continue
            if end == len(self._text) and not self._ended:  # a number may go on
                self._more()
                continue
            self._at = end
            return found

    def skip(self, depth: int = 0) -> None:
        """The value that begins here, without keeping it: an object member by member."""
        if depth > MOST_DEPTH:
            raise self._wrong("values in values without end")
        if self._peek() == "{":
            for _ in self.members():
                self.skip(depth + 1)
        else:
            self.value()

    def _expect(self, mark: str) -> None:
        found = self._peek()
        if found != mark:
            raise self._wrong(f"{found!r} where {mark!r} should be")
        self._at += 1

    def _peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._more()

    def _more(self) -> None:
        piece = self._source.read(_PIECE)
        self._ended = not piece
        try:
            self._text = self._text[self._at :] + self._decode(piece, final=self._ended)
        except UnicodeDecodeError as problem:
            raise self._wrong(str(problem)) from problem
        self._at = 0

    def _wrong(self, what: str) -> UpdateFailed:
        return UpdateFailed(f"{self._name} is not the JSON it should be: {what}", hint="fetch the file again")
