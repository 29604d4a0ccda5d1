"""What is done with a box: started for a while, stopped, resized, kept to office hours. The clock is given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from skylift.box.box import HOURS, STOPPED, UNTIL, ZONE, Box, BoxProvider, BoxTrouble
from skylift.box.hours import Hours, HoursInvalid, read_hours
from skylift.ports.compute import Leased

Wish = Literal["start", "stop"]
DAY_MS = 86_400_000
LONGEST_LEASE_MS = 366 * DAY_MS


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the tags of a box say of now."""

    wish: Wish | None
    """None for leave it as it is."""
    until_ms: int
    """Until when it may run, if it runs."""
    why: str


def plan(box: Box, now_ms: int, lease_ms: int) -> Plan:
    """Pure. Within office hours it runs, unless somebody has stopped it since they began; outside them it runs until
    its lease is over, which begins anew when it is started by hand."""
    hours = hours_of(box)
    lease = _time(box.tags.get(UNTIL)) or box.launched_ms + lease_ms
    opened = None if hours is None else hours.opened(now_ms)
    if hours is not None and opened is not None:
        until = max(lease, hours.next_change(now_ms))
        stopped = _time(box.tags.get(STOPPED)) or 0
        if box.state == "stopped" and stopped < opened:
            return Plan(wish="start", until_ms=until, why=f"it is within the office hours {hours.text} {hours.zone}")
        by_hand = "; it was stopped by hand" if box.state == "stopped" else ""
        return Plan(wish=None, until_ms=until, why=f"office hours {hours.text} {hours.zone}{by_hand}")
    if box.state == "running" and lease <= now_ms:
        outside = "" if hours is None else f", and it is outside the office hours {hours.text} {hours.zone}"
        return Plan(wish="stop", until_ms=lease, why=f"its lease was over at {_text(lease)}{outside}")
    return Plan(wish=None, until_ms=lease, why=f"its lease is over at {_text(lease)}")


def hours_of(box: Box) -> Hours | None:
    """What its tags say; tags that cannot be read are none."""
    try:
        return read_hours(box.tags[HOURS], box.tags.get(ZONE, "UTC"))
    except (KeyError, HoursInvalid):
        return None


def leased_ms(lease_ms: int) -> int:
    """Raises BoxTrouble for one that is longer than a year: nobody remembers the box by then."""
    if lease_ms > LONGEST_LEASE_MS:
        raise BoxTrouble(
            f"a lease of {lease_ms / DAY_MS:.0f} days is longer than a year",
            hint="give office hours to a box that is always needed: skylift box schedule",
        )
    return lease_ms


class Keeping:
    """A box of a provider."""

    def __init__(self, provider: BoxProvider, lease_ms: int) -> None:
        """Raises BoxTrouble for a lease that is none."""
        self._provider = provider
        self._lease_ms = leased_ms(lease_ms)

    def look(self) -> Box:
        return self._provider.look()

    def start(self, now_ms: int, lease_ms: int | None = None) -> Box:
        """It runs, and may so for the lease; one that runs already gets the lease too."""
        box = self._there()
        until = now_ms + leased_ms(lease_ms or self._lease_ms)
        self._provider.tag(box, {UNTIL: _text(until), STOPPED: None})  # first: what is started has a lease
        self._provider.start(box)
        return self._provider.look()

    def stop(self, now_ms: int) -> Box:
        box = self._there()
        self._provider.tag(box, {STOPPED: _text(now_ms), UNTIL: None})
        self._provider.stop(box)
        return self._provider.look()

    def resize(self, type: str) -> Box:
        """It is stopped for that, and started again if it ran; also where the new type is refused."""
        box = self._there()
        if box.type == type:
            return box
        self._provider.check_type(box, type)
        ran = box.state in ("running", "starting")
        self._provider.stop(box)
        try:
            self._provider.resize(box, type)
        finally:
            if ran:
                self._provider.start(box)
        return self._provider.look()

    def schedule(self, hours: Hours | None) -> Box:
        """Write office hours, or take them away."""
        box = self._there()
        text, zone = (None, None) if hours is None else (hours.text, hours.zone)
        self._provider.tag(box, {HOURS: text, ZONE: zone})
        return self._provider.look()

    def plan(self, now_ms: int) -> tuple[Box, Plan]:
        box = self._there()
        return box, plan(box, now_ms, self._lease_ms)

    def apply(self, now_ms: int) -> tuple[Box, Plan]:
        """Do what the tags say; the box as it was found, and what was done."""
        box, found = self.plan(now_ms)
        if found.wish == "start":
            self._provider.start(box)
        elif found.wish == "stop":
            self._provider.stop(box)
        return box, found

    # -- for sweepers --------------------------------------------------------------------------------------------------

    def leased(self, now_ms: int) -> Sequence[Leased]:
        box, found = self.plan(now_ms)
        if box.state not in ("running", "starting"):
            return ()
        note = f"{box.name} {box.type}: {found.why}"
        return (Leased(backend="box", kind="box", id=box.id, until_ms=found.until_ms, note=note),)

    def end(self, leased: Sequence[Leased]) -> None:
        box = self._there()
        if any(one.id == box.id for one in leased):
            self._provider.stop(box)

    def _there(self) -> Box:
        box = self._provider.look()
        if box.state == "gone":
            raise BoxTrouble(f"the box {box.name} ({box.id}) was terminated", hint="name another one under [box]")
        return box


def _text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str | None) -> int | None:
    try:
        return None if text is None else int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
