"""Gangs: several workers for one attempt, started together or not at all, that know each other by rank.

Backends start the members; what they are told, and what their ends mean for the attempt, is decided here.
"""

from __future__ import annotations

import random
import socket
from collections import deque

import msgspec

from skylift.asl.events import Usage
from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, OutOfMemory, Succeeded, TaskCall

MEMBER = "~"
"""Between an attempt's token and the rank in the token of a member."""
HERE = "127.0.0.1"
"""Where members meet that all run on this machine."""
_FIRST_PORT, _LAST_PORT = 20_000, 30_000
"""Below those of connections (32,768 and up on Linux, 49,152 elsewhere) and of Kubernetes' services (30,000 and up),
above those of Ray's workers (up to 19,999)."""
_TRIES = 1_000
_REMEMBERED = 2_000
_ports = random.SystemRandom()
"""The generator of the process belongs to the code of users."""
_given: deque[int] = deque(maxlen=_REMEMBERED)


def free_port(address: str = HERE) -> int:
    """Nobody listens on it now; rank 0 does soon. `address` is empty for all that this machine has.

    Until rank 0 listens nobody else must get it: so it is none of those that the system gives to connections by itself,
    and none that was given to another gang lately.
    """
    for _ in range(_TRIES):
        port = _ports.randrange(_FIRST_PORT, _LAST_PORT)
        if port not in _given and _is_free(address, port):
            _given.append(port)
            return port
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def member_calls(call: TaskCall, address: str, port: int) -> list[TaskCall]:
    """One call a member, the rendezvous in the variables that torchrun and torch.distributed use. Rank 0 listens on
    `address:port`."""
    size = call.requirements.nodes
    return [_member(call, rank, size, address, port) for rank in range(size)]


def _member(call: TaskCall, rank: int, size: int, address: str, port: int) -> TaskCall:
    variables = {
        "RANK": rank,
        "WORLD_SIZE": size,
        "LOCAL_RANK": 0,
        "LOCAL_WORLD_SIZE": 1,
        "NODE_RANK": rank,
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
    }
    needs = call.requirements
    env = {**needs.env, **{name: str(value) for name, value in variables.items()}}
    log = call.log if call.log is None or rank == 0 else f"{call.log}.{rank}"
    return msgspec.structs.replace(
        call,
        token=f"{call.token}{MEMBER}{rank}",
        log=log,
        requirements=msgspec.structs.replace(needs, nodes=1, env=env),
    )


SETTLE_S = 1.0
"""How long a failure of one member may wait for the loss of another: those that talk to a member that vanishes fail at
once (`Connection closed by peer`), often before anybody has seen that it is gone."""


def attempt_of(member: str) -> tuple[str, int]:
    """The attempt's token and the rank, from a member's token."""
    token, _, rank = member.rpartition(MEMBER)
    return token, int(rank)


class GangOutcome:
    """Gathers the members' ends. The attempt succeeds when all have, with what rank 0 gave; the first member that ends
    otherwise ends the gang, and the backend stops the others."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ended: dict[int, Succeeded] = {}

    def take(self, rank: int, outcome: Outcome) -> Outcome | None:
        """The attempt's outcome, once it is known. What a stopped member says later changes nothing."""
        if not isinstance(outcome, Succeeded):
            return self._of_all(_of_member(rank, outcome))
        self._ended[rank] = outcome
        if len(self._ended) < self._size:
            return None
        first = self._ended[0]
        return msgspec.structs.replace(first, usage=_summed([self._ended[n].usage for n in range(self._size)]))

    def _of_all(self, outcome: Outcome) -> Outcome:
        """The same, with what the places of all members have cost: those that still run are stopped now, and have had
        theirs for as long as the one that ends them. What they did with it is not known."""
        own = getattr(outcome, "usage", None)
        if own is None or isinstance(outcome, Cancelled | Succeeded):
            return outcome
        ended = [one.usage for one in self._ended.values()]
        total = _summed([own, *ended])
        held = _summed([own] * (self._size - len(ended)) + ended)
        assert total is not None and held is not None
        usage = msgspec.structs.replace(total, vcpus=held.vcpus, cost_usd_micro=held.cost_usd_micro)
        return msgspec.structs.replace(outcome, usage=usage)


class GangVerdict:
    """What a gang has come to, also while its members are still being stopped. Times are seconds of one clock."""

    def __init__(self, size: int, *, settle_s: float = SETTLE_S) -> None:
        self.verdict: Outcome | None = None
        self.settles_at: float | None = None
        """Until when a member's failure waits for the loss of another one that may have caused it."""
        self.stopping = False
        """The others are being stopped: how they end explains nothing any more."""
        self._settle_s = settle_s
        self._fold = GangOutcome(size)

    def take(self, rank: int, outcome: Outcome, now: float) -> None:
        """A member has come to its end."""
        if self.verdict is None:
            self.verdict = self._fold.take(rank, outcome)
            self.settles_at = now + self._settle_s if isinstance(self.verdict, Failed) else None
        elif not self.stopping and _outweighs(outcome, self.verdict):
            self.verdict, self.settles_at = self._fold.take(rank, outcome), None

    def is_settled(self, now: float) -> bool:
        """Whether members that are left can be stopped."""
        return self.verdict is not None and (self.settles_at is None or now >= self.settles_at)


def _outweighs(outcome: Outcome, other: Outcome) -> bool:
    """Whether a member's end explains the end of another one that failed: then it is the attempt's."""
    return isinstance(other, Failed) and isinstance(outcome, Lost | OutOfMemory)


def _of_member(rank: int, outcome: Outcome) -> Outcome:
    if isinstance(outcome, Lost):
        return msgspec.structs.replace(outcome, reason=f"member {rank} of the gang: {outcome.reason}")
    if isinstance(outcome, Failed) and not outcome.cause:
        return msgspec.structs.replace(outcome, cause=f"member {rank} of the gang failed")
    return outcome


def _summed(usages: list[Usage | None]) -> Usage | None:
    """Times of processors and GPUs, bytes and costs add up; the rest is that of rank 0, and the highest peak."""
    known = [usage for usage in usages if usage is not None]
    if not known:
        return None

    def total(name: str) -> float | None:
        values = [getattr(usage, name) for usage in known if getattr(usage, name) is not None]
        return sum(values) if values else None

    added = {name: total(name) for name in ("cpu_ms", "gpu_ms", "in_bytes", "out_bytes", "vcpus", "cost_usd_micro")}
    peaks = [usage.peak_memory_mib for usage in known if usage.peak_memory_mib is not None]
    return msgspec.structs.replace(known[0], **added, peak_memory_mib=max(peaks, default=None))
