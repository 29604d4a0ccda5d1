"""What a run's tasks printed and logged, and what pipelines printed: its own, and those that it called."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

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


class AttemptLogs(Protocol):
    """Where the output of attempts is read: files here, or those of a server."""

    def read(self, run_id: str, positions: Mapping[str, int]) -> dict[str, bytes]:
        """By the token of an attempt: the whole lines behind a position in its log. Absent where there are none."""
        ...

    def begun(self, run_id: str, token: str) -> bool:
        """Whether there is a log: a worker has begun with the attempt."""
        ...


class FileLogs:
    """Log files in a folder, `RUN/TOKEN.log`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, run_id: str, positions: Mapping[str, int]) -> dict[str, bytes]:
        found = {token: self._added(run_id, token, position) for token, position in positions.items()}
        return {token: data for token, data in found.items() if data}

    def begun(self, run_id: str, token: str) -> bool:
        return self._file(run_id, token).exists()

    def _added(self, run_id: str, token: str, position: int) -> bytes:
        try:
            with self._file(run_id, token).open("rb") as file:
                file.seek(position)
                data = file.read()
        except FileNotFoundError:
            return b""
        return data[: data.rfind(b"\n") + 1]

    def _file(self, run_id: str, token: str) -> Path:
        return self._folder / run_id / f"{token}.log"


class RunLog:
    """The lines of a run that were added since the last look."""

    def __init__(self, run_id: str, logs: Path | AttemptLogs, look: Look, *, above: str = "") -> None:
        self._run_id = run_id
        self._logs: AttemptLogs = FileLogs(logs) if isinstance(logs, Path) else logs
        self._look = look
        self._above = above
        self._positions: dict[str, int] = {}
        self._nested: dict[str, RunLog] = {}
        self._printed = 0

    def read(self, step: str | None = None, attempt: int | None = None) -> list[LogLine]:
        """By time. With `step` only that step's: of a called pipeline's step its whole log; `attempt` is its try."""
        view = self._look(self._run_id)
        if view is None:
            return []
        lines: list[LogLine] = []
        own: dict[str, str] = {}
        for a in view.attempts:
            chosen = (step is None or step in self._names(a)) and attempt in (None, a.number)
            if _NESTED in a.resource:
                lines += self._nested_log(a).read(None if chosen else step, None if chosen else attempt)
            elif chosen:
                own[a.token] = self._above + a.label
        lines += self._added(own)
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

    def _added(self, labels: Mapping[str, str]) -> Iterator[LogLine]:
        """The new lines of these attempts, whose labels are given by token."""
        from skylift.compute.worker.log_lines import parse_line

        added = self._logs.read(self._run_id, {token: self._positions.get(token, 0) for token in labels})
        for token, data in added.items():
            self._positions[token] = self._positions.get(token, 0) + len(data)
            for raw in data.decode(errors="replace").splitlines():
                parsed = parse_line(raw)
                if parsed is not None:
                    yield LogLine(time=parsed.time, label=labels[token], stream=parsed.stream, text=parsed.text)

    def _nested_log(self, attempt: Attempt) -> RunLog:
        if attempt.token not in self._nested:
            child = child_run_id(global_token(self._run_id, attempt.token))
            above = f"{self._above}{attempt.label}/"
            self._nested[attempt.token] = RunLog(child, self._logs, self._look, above=above)
        return self._nested[attempt.token]


def _print_line(at_ms: int, label: str, text: str) -> LogLine:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms / 1000))
    return LogLine(time=f"{stamp}.{at_ms % 1000:03d}Z", label=label, stream="stdout", text=text)
