"""The gang of one attempt in the pool: its members, and what they make of it together."""

from __future__ import annotations

import socket

import msgspec

from skylift.compute.gangs import SETTLE_S, GangOutcome, member_calls, outweighs
from skylift.compute.process.entry import Entry
from skylift.ports.compute import Failed, Outcome

ADDRESS = "127.0.0.1"


class Gang:
    """Members run as calls of their own on one worker each; only the attempt as a whole is known outside."""

    __slots__ = ("_fold", "entry", "left", "members", "settles_at", "stopping", "verdict")

    def __init__(self, entry: Entry, members: list[Entry]) -> None:
        self.entry = entry
        self.members = members
        self.left = set(range(len(members)))
        """Ranks of those that have not ended."""
        self.verdict: Outcome | None = None
        """What the attempt has come to, also while members are still being stopped."""
        self.settles_at: float | None = None
        """Until when a member's failure waits for the loss of another one that may have caused it."""
        self.stopping = False
        self._fold = GangOutcome(len(members))

    def ended(self, member: Entry, outcome: Outcome, now: float) -> None:
        """A member has come to its end; `verdict`, `settles_at` and `left` say what that means."""
        if member.rank not in self.left:
            return
        self.left.discard(member.rank)
        if self.verdict is None:
            self.verdict = self._fold.take(member.rank, outcome)
            self.settles_at = now + SETTLE_S if isinstance(self.verdict, Failed) else None
        elif not self.stopping and outweighs(outcome, self.verdict):
            self.verdict, self.settles_at = self._fold.take(member.rank, outcome), None

    def is_settled(self, now: float) -> bool:
        """Whether members that are left can be stopped."""
        return self.verdict is not None and (self.settles_at is None or now >= self.settles_at)


def assemble(entry: Entry) -> Gang:
    """The members of a call, which meet at a free port of this machine and share the attempt's log."""
    calls = member_calls(entry.call, ADDRESS, free_port())
    members = [Entry(msgspec.structs.replace(call, log=entry.call.log)) for call in calls]
    gang = Gang(entry, members)
    for rank, member in enumerate(members):
        member.rank, member.gang = rank, gang
        member.concurrency, member.batchable = None, False
    entry.gang = gang
    return gang


def free_port() -> int:
    """Nobody listens on it now; rank 0 does soon."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port
