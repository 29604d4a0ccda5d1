"""One attempt that the backend holds: where its members are, what became of them, and what was decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from skylift.compute.batch.work import Work
from skylift.compute.gangs import MEMBER, GangVerdict, attempt_of
from skylift.ports.compute import Cancelled, Lost, Outcome, TaskCall


class Entry:
    """Not thread-safe; the backend's lock guards it."""

    def __init__(self, work: Work, call: TaskCall) -> None:
        self.work = work
        self.call = call
        self.members: dict[str, str] = {}
        """The machine of each member that has not ended, by the member's token."""
        self.tokens: tuple[str, ...] = ()
        """Of all members."""
        self.stop: Literal["", "asked", "told"] = ""
        self.verdict: Outcome | None = None
        self._gang = GangVerdict(work.needs.nodes) if work.needs.nodes > 1 else None

    def put(self, machines: tuple[str, ...]) -> None:
        """It was placed, member by member."""
        self.tokens = member_tokens(self.work)
        self.members = dict(zip(self.tokens, machines, strict=True))

    def ended(self, member: str, outcome: Outcome, now_ms: int) -> None:
        """A member has ended, and perhaps the gang with it: see `settle`."""
        if self.members.pop(member, None) is None:
            return
        if self._gang is None:
            self.verdict = self.verdict or outcome
        elif self.verdict is self._gang.verdict:
            self._gang.take(attempt_of(member)[1], outcome, now_ms / 1000)
            self.verdict = self._gang.verdict

    def settle(self, now_ms: int) -> None:
        """Once its end is certain, the members that are left are to be stopped."""
        if self._gang is not None and self.members and self._gang.is_settled(now_ms / 1000):
            self.cancel()

    def lost(self, machine: str, reason: str, now_ms: int, *, preempted: bool) -> None:
        """A machine is gone with all members on it."""
        outcome = Lost(reason=f"machine {machine}: {reason}", preempted=preempted)
        for member in [member for member, where in self.members.items() if where == machine]:
            self.ended(member, outcome, now_ms)

    def cancel(self) -> None:
        if not self.stop:
            self.stop = "asked"
        if self._gang is not None:
            self._gang.stopping = True

    @property
    def outcome(self) -> Outcome:
        return self.verdict if self.verdict is not None else Cancelled()


def member_tokens(work: Work) -> tuple[str, ...]:
    if work.needs.nodes == 1:
        return (work.token,)
    return tuple(f"{work.token}{MEMBER}{rank}" for rank in range(work.needs.nodes))


def by_machine(entries: list[Entry]) -> Mapping[str, list[str]]:
    """Tokens of members to stop, by their machine."""
    told: dict[str, list[str]] = {}
    for entry in entries:
        for member, machine in entry.members.items():
            told.setdefault(machine, []).append(member)
    return told
