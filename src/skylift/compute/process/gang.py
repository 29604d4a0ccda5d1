"""The gang of one attempt in the pool: its members, and what they make of it together."""

from __future__ import annotations

import msgspec

from skylift.compute.gangs import HERE, GangVerdict, free_port, member_calls
from skylift.compute.process.entry import Entry
from skylift.ports.compute import Outcome


class Gang(GangVerdict):
    """Members run as calls of their own on one worker each; only the attempt as a whole is known outside."""

    def __init__(self, entry: Entry, members: list[Entry]) -> None:
        super().__init__(len(members))
        self.entry = entry
        self.members = members
        self.left = set(range(len(members)))
        """Ranks of those that have not ended."""

    def ended(self, member: Entry, outcome: Outcome, now: float) -> None:
        """`verdict`, `settles_at` and `left` say what that means."""
        if member.rank in self.left:
            self.left.discard(member.rank)
            self.take(member.rank, outcome, now)


def assemble(entry: Entry) -> Gang:
    """The members of a call, which meet at a free port of this machine and share the attempt's log."""
    calls = member_calls(entry.call, HERE, free_port())
    members = [Entry(msgspec.structs.replace(call, log=entry.call.log)) for call in calls]
    gang = Gang(entry, members)
    for rank, member in enumerate(members):
        member.rank, member.gang = rank, gang
        member.concurrency, member.batchable = None, False
    entry.gang = gang
    return gang
