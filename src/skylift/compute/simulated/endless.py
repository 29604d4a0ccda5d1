"""Spot steps that no replay of their market ever ends: said at once, where virtual time would be played for ever."""

from __future__ import annotations

from skylift.compute.simulated.entry import Entry
from skylift.compute.simulated.market import Market
from skylift.compute.simulated.progress import Progress

_MEND = "give it a deadline=, which moves it to on-demand in time, take spot=True away, choose another trace"


def never_comes(entry: Entry, market: Market | None) -> tuple[str, str] | None:
    """Why no machine will ever be there for it, and what to do. With a deadline it need not stay on spot."""
    longest_ms = _longest_up_ms(entry, market)
    if longest_ms != 0:
        return None
    return f"wants a spot {entry.place.instance_type}, and in the trace of its market there never is one", _MEND


def never_ends(
    entry: Entry, market: Market | None, progress: Progress, soonest_ms: int, longest_ms: int | None
) -> tuple[str, str] | None:
    """Why it will never have come to its end. `soonest_ms` is the quickest start of its class, `longest_ms` when that
    would stop it."""
    up_ms = _longest_up_ms(entry, market)
    takes_ms = progress.takes_ms(entry)
    if up_ms is None:
        return None
    room_ms = up_ms - soonest_ms
    limits = [ms for ms in (entry.call.requirements.timeout_ms, longest_ms) if ms is not None]
    if min([takes_ms, *limits]) <= room_ms or progress.gain_ms(entry, room_ms) > 0:
        return None
    what = (
        f"takes {takes_ms / 60_000:.4g} min on a spot {entry.place.instance_type} and keeps nothing when that is taken "
        f"away, and in the trace of its market none stays for longer than {up_ms / 60_000:.4g} min, start-up included"
    )
    return what, f"keep its work ([backends.simulated] checkpoint, with @task(work=…)), {_MEND}"


def _longest_up_ms(entry: Entry, market: Market | None) -> int | None:
    if market is None or entry.call.requirements.deadline_ms is not None:
        return None
    return market.longest_up_ms
