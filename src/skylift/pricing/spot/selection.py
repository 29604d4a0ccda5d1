"""Which of the recorded markets an evaluation means."""

from __future__ import annotations

from pathlib import Path

import msgspec

from skylift.pricing.spot.traces import Trace, TraceInvalid, read_place, some


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    traces: list[Trace]
    left_out: list[str]
    notes: list[str]


def select_traces(place: Path, match: str | None) -> Selection:
    """The traces of a place whose name has `match` in it. Where both kinds are among them, those of availability: the
    setting asks whether a machine could be had. Raises TraceInvalid."""
    there = read_place(place)
    found, notes = there.traces, _others(there.others)
    chosen = [trace for name, trace in found.items() if match is None or match in name]
    if not chosen:
        raise TraceInvalid(f"no trace in {place} has {match!r} in its name", hint=f"there are: {some(sorted(found))}")
    held = [trace for trace in chosen if trace.kind == "preemption"]
    if len(held) == len(chosen):
        return Selection(traces=chosen, left_out=[], notes=[*notes, _all_held(len(held))])
    if not held:
        return Selection(traces=chosen, left_out=[], notes=notes)
    return Selection(
        traces=[trace for trace in chosen if trace.kind != "preemption"],
        left_out=[trace.name for trace in held],
        notes=[
            *notes,
            f"{_counted(len(held))} left out, of kind preemption: they tell when one machine ran, not when one could be"
            " had; a --match that chooses only such traces evaluates on them",
        ],
    )


def _others(paths: list[Path]) -> list[str]:
    if not paths:
        return []
    which = "1 file holds" if len(paths) == 1 else f"{len(paths)} files hold"
    return [f"{which} no spot traces and may be about something else: {some([str(path) for path in paths])}"]


def _all_held(count: int) -> str:
    which = "the trace is" if count == 1 else f"all {count} traces are"
    return (
        f"{which} of kind preemption: spot counts as available while the recorded machine ran, so the time that it took"
        " to launch it again counts as time without spot"
    )


def _counted(count: int) -> str:
    return "1 trace is" if count == 1 else f"{count} traces are"
