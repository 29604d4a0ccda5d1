"""The list that the checks of a document put their findings in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from skylift.asl.diagnostics import CATALOGUE, Diagnostic

NO_LOCATION = ""
"""For `service_location`: the real service gives none."""


class Report:
    """Collects diagnostics; one for each code, place and message, however often it is found."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Diagnostic] = {}
        self.errors = 0

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._found.values())

    def add(
        self,
        code: str,
        pointer: str,
        message: str,
        mend: str,
        *,
        service_message: str | None = None,
        service_location: str | None = None,
    ) -> None:
        """`service_location` defaults to the pointer in the service's spelling; NO_LOCATION is for none."""
        meaning = CATALOGUE[code]
        key = (code, pointer, message)
        if key in self._found:
            return
        self.errors += meaning.severity == "ERROR"
        location = as_service_location(pointer) if service_location is None else service_location
        self._found[key] = Diagnostic(
            code=code,
            pointer=pointer,
            message=message,
            mend=mend,
            severity=meaning.severity,
            service_code=meaning.service_code,
            service_message=service_message,
            service_location=(location or None) if meaning.service_code else None,
        )


def escape(segment: str) -> str:
    """A key as a segment of a JSON pointer."""
    return segment.replace("~", "~0").replace("/", "~1") if "~" in segment or "/" in segment else segment


def as_service_location(pointer: str) -> str:
    """`/States/A/Choices/0/Next` as the service writes it: `/States/A/Choices[0]/Next`; the root is `/`."""
    if not pointer:
        return "/"
    text = ""
    before = ""
    for raw in pointer.split("/")[1:]:
        segment = raw.replace("~1", "/").replace("~0", "~")
        is_index = segment.isascii() and segment.isdigit() and before != "States"
        text += f"[{segment}]" if is_index else f"/{segment}"
        before = segment
    return text


def show(value: object) -> str:
    """A value as a message quotes it: short, on one line."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("ascii", "backslashreplace").decode() if not text.isprintable() else text
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"'{text}'" if isinstance(value, str) else text


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean 'Next'? ` or nothing."""
    names = list(known)
    folded = {name.casefold(): name for name in names}
    exact = folded.get(word.casefold())
    close = [exact] if exact else difflib.get_close_matches(word[:100], names, n=1, cutoff=0.65)
    return f"did you mean {close[0]!r}? " if close else ""


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)
