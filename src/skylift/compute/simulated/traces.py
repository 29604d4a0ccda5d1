"""Recorded spot markets: a trace as the market of a simulated backend."""

from __future__ import annotations

import bisect
import itertools

from skylift.pricing.spot.traces import Trace, TraceInvalid, some


class TraceMarket:
    """The Market protocol, as a trace says it. The trace begins at `origin_ms`; after its end it begins again."""

    def __init__(self, trace: Trace, origin_ms: int) -> None:
        self._trace = trace
        self._origin_ms = origin_ms
        self._ends = list(itertools.accumulate(trace.runs))
        self._length_ms = trace.length_ms

    @property
    def longest_up_ms(self) -> int | None:
        """The end of the trace goes over into its beginning."""
        runs = self._trace.runs
        if len(runs) == 1:
            return None if self._trace.first else 0
        lengths = [run for number, run in enumerate(runs) if self._value(number)]
        if self._trace.first and self._value(len(runs) - 1):
            lengths.append(runs[0] + runs[-1])
        return max(lengths) * self._trace.gap_ms

    def up(self, at_ms: int) -> bool:
        return self._value(self._run(at_ms))

    def next_change(self, at_ms: int) -> int | None:
        now = self.up(at_ms)
        for _ in range(2 * len(self._ends) + 1):
            at_ms = self._end_of_run(at_ms)
            if self.up(at_ms) != now:
                return at_ms
        return None

    def _run(self, at_ms: int) -> int:
        tick = ((at_ms - self._origin_ms) % self._length_ms) // self._trace.gap_ms
        return bisect.bisect_right(self._ends, tick)

    def _value(self, run: int) -> bool:
        return self._trace.first == (run % 2 == 0)

    def _end_of_run(self, at_ms: int) -> int:
        rounds = (at_ms - self._origin_ms) // self._length_ms
        return self._origin_ms + rounds * self._length_ms + self._ends[self._run(at_ms)] * self._trace.gap_ms


def choose_trace(traces: dict[str, Trace], wanted: str | None) -> Trace:
    """By name, or by a part that only one name has. Raises TraceInvalid."""
    names = sorted(traces)
    if wanted is None:
        if len(names) == 1:
            return traces[names[0]]
        raise TraceInvalid(
            f"there are {len(names)} traces: {some(names)}", hint="choose one: [backends.simulated] trace"
        )
    if wanted in traces:
        return traces[wanted]
    matching = [name for name in names if wanted in name]
    if len(matching) == 1:
        return traces[matching[0]]
    if matching:
        raise TraceInvalid(f"{len(matching)} traces have {wanted!r} in their name: {some(matching)}")
    raise TraceInvalid(f"there is no trace {wanted!r}", hint=f"there are: {some(names)}")
