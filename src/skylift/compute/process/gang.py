"""The gang of one attempt in the pool: its members, and what they make of it together."""

from __future__ import annotations

import socket

from skylift.compute.gangs import GangOutcome, member_calls
from skylift.compute.process.entry import Entry
from skylift.ports.compute import Outcome

ADDRESS = "127.0.0.1"


class Gang:
    """Members run as calls of their own on one worker each; only the attempt as a whole is known outside."""

    __slots__ = ("_fold", "entry", "left", "members", "verdict")

    def __init__(self, entry: Entry, members: list[Entry]) -> None:
        self.entry = entry
        self.members = members
        self.left = set(range(len(members)))
        """Ranks of those that have not ended."""
        self.verdict: Outcome | None = None
        """What the attempt has come to, also while members are still being stopped."""
        self._fold = GangOutcome(len(members))

    def ended(self, member: Entry, outcome: Outcome) -> bool:
        """Whether that decides something: the gang is to be stopped, or is over."""
        if member.rank not in self.left:
            return False
        self.left.discard(member.rank)
        if self.verdict is not None:
            return not self.left
        self.verdict = self._fold.take(member.rank, outcome)
        return self.verdict is not None


def assemble(entry: Entry) -> Gang:
    """The members of a call, which meet at a free port of this machine."""
    members = [Entry(call) for call in member_calls(entry.call, ADDRESS, free_port())]
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
