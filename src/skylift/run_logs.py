"""What a run's tasks printed and logged, and what pipelines printed: its own, and those that it called."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skylift.engine.names import child_run_id, global_token

if TYPE_CHECKING:
    from skylift.engine.views import Attempt, RunView

PRINT = "print"
_NESTED = ":states:startExecution"


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a run's log."""

    time: str
    """UTC, RFC 3339."""
    label: str
    """The attempt's step (`train[2]`), or `print` for a print in the pipeline's own body. In a pipeline that was
    called, below the step that called it: `trial[2]/train`."""
    stream: str
    text: str


Look = Callable[[str], "RunView | None"]
"""What is known of a run by its id; None when there is no such run."""


class RunLog:
    """The lines of a run that were added since the last look."""

    def __init__(self, run_id: str, logs: Path, look: Look, *, above: str = "") -> None:
        self._run_id = run_id
        self._logs = logs
        self._look = look
        self._above = above
        self._tails: dict[str, _Tail] = {}
        self._nested: dict[str, RunLog] = {}
        self._printed = 0

    def read(self, step: str | None = None, attempt: int | None = None) -> list[LogLine]:
        """By time. With `step` only that step's: of a called pipeline's step its whole log; `attempt` is its try."""
        view = self._look(self._run_id)
        if view is None:
            return []
        lines: list[LogLine] = []
        for a in view.attempts:
            chosen = (step is None or step in self._names(a)) and attempt in (None, a.number)
            if _NESTED in a.resource:
                lines += self._nested_log(a).read(None if chosen else step, None if chosen else attempt)
            elif chosen:
                lines += self._tail(a).read()
        if step is None:
            lines += [_print_line(at_ms, self._above + PRINT, text) for at_ms, text in view.prints[self._printed :]]
            self._printed = len(view.prints)
        return sorted(lines, key=lambda line: line.time)

    def names(self) -> Iterator[tuple[str, ...]]:
        """What each attempt may be called, the full label first; those of called pipelines follow the call."""
        view = self._look(self._run_id)
        for a in view.attempts if view is not None else ():
            yield self._names(a)
            if _NESTED in a.resource:
                yield from self._nested_log(a).names()

    def _names(self, attempt: Attempt) -> tuple[str, ...]:
        return (self._above + attempt.label, attempt.label, attempt.state)

    def _tail(self, attempt: Attempt) -> _Tail:
        if attempt.token not in self._tails:
            file = self._logs / self._run_id / f"{attempt.token}.log"
            self._tails[attempt.token] = _Tail(file, self._above + attempt.label)
        return self._tails[attempt.token]

    def _nested_log(self, attempt: Attempt) -> RunLog:
        if attempt.token not in self._nested:
            child = child_run_id(global_token(self._run_id, attempt.token))
            above = f"{self._above}{attempt.label}/"
            self._nested[attempt.token] = RunLog(child, self._logs, self._look, above=above)
        return self._nested[attempt.token]


class _Tail:
    """The lines added to one attempt's log file since the last look."""

    def __init__(self, file: Path, label: str) -> None:
        self._file = file
        self._label = label
        self._position = 0

    def read(self) -> list[LogLine]:
        from skylift.compute.worker.log_lines import parse_line

        try:
            with self._file.open("rb") as file:
                file.seek(self._position)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        lines = []
        for raw in whole.decode(errors="replace").splitlines():
            parsed = parse_line(raw)
            if parsed is not None:
                lines.append(LogLine(time=parsed.time, label=self._label, stream=parsed.stream, text=parsed.text))
        return lines


def _print_line(at_ms: int, label: str, text: str) -> LogLine:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms / 1000))
    return LogLine(time=f"{stamp}.{at_ms % 1000:03d}Z", label=label, stream="stdout", text=text)
