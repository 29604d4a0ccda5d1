"""Turns an exception of user code into a `Failed`, and its frames' locals into lines for the log."""

from __future__ import annotations

import json
import linecache
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from skylift.asl.events import Usage
from skylift.compute.worker.secrets import Mask
from skylift.ports.compute import Failed

_LONGEST_MESSAGE = 12_000
_MOST_FRAMES = 40
_DEEPEST_CHAIN = 4
_LONGEST_CAUSE = 32_000
_WORKER = __file__.rpartition("/")[0] + "/"
_SDK = _WORKER.removesuffix("compute/worker/") + "sdk/"
_OURS = (_WORKER, f"{_SDK}task.py", f"{_SDK}direct.py", "/asyncio/", "<frozen ")
_HIDDEN_NAMES = ("secret", "password", "passwd", "token", "api_key", "apikey", "credential")


class Stated(Exception):
    """Raised by code of our own that runs as a task: the attempt fails with exactly this error and cause."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(cause)
        self.error = error
        self.cause = cause


def failed(error: BaseException, mask: Mask, usage: Usage | None = None) -> Failed:
    """`error` is the class's name, `classes` its bases nearest first, `cause` the JSON text Lambda would give."""
    if isinstance(error, Stated):
        return Failed(error=error.error, cause=mask(error.cause), usage=usage)
    names = tuple(base.__name__ for base in type(error).__mro__[1:-1])
    return Failed(error=mask(type(error).__name__), classes=names, cause=cause_of(error, mask), usage=usage)


def cause_of(error: BaseException, mask: Mask) -> str:
    """JSON: errorType, errorMessage, stackTrace, and for a chained exception `cause` of the same shape."""
    report = _report(error, mask, _DEEPEST_CHAIN)
    text = json.dumps(report, ensure_ascii=False)
    if len(text) > _LONGEST_CAUSE:
        report.pop("cause", None)
        report["stackTrace"] = report["stackTrace"][-5:]
        text = json.dumps(report, ensure_ascii=False)
    if len(text) > _LONGEST_CAUSE:
        report["stackTrace"], report["errorMessage"] = [], report["errorMessage"][: _LONGEST_CAUSE // 8]
        text = json.dumps(report, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()


def message_of(error: BaseException) -> str:
    """str(error), whatever its class does when asked."""
    try:
        text = str(error)
        hint = getattr(error, "hint", None)
        if isinstance(hint, str) and hint and type(error).__module__.startswith("skylift."):
            text = f"{text} ({hint})"
    except BaseException as second:  # noqa: BLE001 - __str__ is user code and may raise anything
        text = f"<the message cannot be shown: {type(error).__name__}.__str__ raised {type(second).__name__}>"
    if isinstance(error, SystemExit):
        text = f"the task called sys.exit({_safe_repr(error.code)}); return a value or raise an exception instead"
    return text


def locals_lines(error: BaseException, mask: Mask) -> Iterator[str]:
    """The traceback from the first user frame on, and the local variables of user frames, for the attempt's log."""
    for line in _traceback(error):
        yield mask(line)
    for frame, line_number in list(_user_frames(error.__traceback__))[-10:]:
        code = frame.f_code
        yield f"locals of {code.co_qualname} ({code.co_filename}:{line_number})"
        for name, value in list(frame.f_locals.items())[:25]:
            yield mask(f"    {name} = {_shown(name, value)}")


def _report(error: BaseException, mask: Mask, depth: int) -> dict[str, Any]:
    message = mask(message_of(error)).encode("utf-8", "backslashreplace").decode()
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}… ({len(message) - _LONGEST_MESSAGE} more characters in the log)"
    report: dict[str, Any] = {
        "errorType": mask(type(error).__name__),
        "errorMessage": message,
        "stackTrace": [mask(entry) for entry in _stack(error)],
    }
    inner = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if inner is not None and inner is not error and depth > 0:
        report["cause"] = _report(inner, mask, depth - 1)
    return report


def _stack(error: BaseException) -> list[str]:
    frames = list(_user_frames(error.__traceback__))
    entries = [_entry(frame, number) for frame, number in frames]
    if len(entries) > _MOST_FRAMES:
        left_out = len(entries) - _MOST_FRAMES
        entries[_MOST_FRAMES // 2 : -_MOST_FRAMES // 2] = [f"  … {left_out} more frames\n"]
    return entries


def _entry(frame: FrameType, number: int) -> str:
    code = frame.f_code
    source = linecache.getline(code.co_filename, number, frame.f_globals).strip()
    entry = f'  File "{code.co_filename}", line {number}, in {code.co_name}\n'
    return entry + f"    {source}\n" if source else entry


def _user_frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    traceback = _user_part(traceback)
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _user_part(traceback: TracebackType | None) -> TracebackType | None:
    """From the first frame that is not ours on: what lies below user code may be ours again (`heartbeat`)."""
    while traceback is not None and any(part in traceback.tb_frame.f_code.co_filename for part in _OURS):
        traceback = traceback.tb_next
    return traceback


def _traceback(error: BaseException) -> list[str]:
    import traceback

    try:
        text = "".join(traceback.format_exception(type(error), error, _user_part(error.__traceback__)))
    except BaseException as second:  # noqa: BLE001 - formatting calls user code
        text = f"{type(error).__name__}: {message_of(error)} (no traceback: {type(second).__name__})"
    return text.splitlines()


def _shown(name: str, value: Any) -> str:
    if any(hidden in name.lower() for hidden in _HIDDEN_NAMES):
        return "***"
    return _safe_repr(value)


def _safe_repr(value: Any) -> str:
    import reprlib

    shorten = reprlib.Repr()
    shorten.maxstring = shorten.maxother = shorten.maxlong = 200
    try:
        return shorten.repr(value)
    except BaseException as error:  # noqa: BLE001 - __repr__ is user code and may raise anything
        return f"<{type(value).__name__}: repr raised {type(error).__name__}>"


def plain(outcome: Failed) -> str:
    """For the log: what failed before user code ran."""
    return f"{outcome.error}: {json.loads(outcome.cause)['errorMessage']}"
