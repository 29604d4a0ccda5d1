"""A gang on Ray: a placement group gives room to all of its members or to none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from skylift.compute.gangs import GangVerdict, attempt_of, member_calls
from skylift.compute.ray.crew import Attempt, PlaceState
from skylift.compute.ray.deaths import outcome_of_death
from skylift.compute.ray.desk import Desk, cannot_start
from skylift.compute.ray.shape import Shape, shape_of
from skylift.compute.ray.wire import (
    Began,
    SupervisorConfig,
    Wrote,
    decode,
    decode_event,
    outcome_of,
    pack_call,
    unpack_call,
)
from skylift.ports.compute import Outcome

_STRATEGIES = {"pack": "PACK", "spread": "SPREAD", "strict-spread": "STRICT_SPREAD"}
_CLOSING_S = 3.0
_SETTLE_S = 3.0
"""Ray takes its time to say that an actor has died."""


class _Blind(Exception):
    """A member's machine cannot read the artifacts: those of the next try could not either."""


def _outcome_of(error: BaseException, shape: Shape) -> Outcome:
    return cannot_start(str(error)) if isinstance(error, _Blind) else outcome_of_death(error, shape)


class Gang:
    """The life of one gang: room, members, rendezvous, the first end that counts."""

    def __init__(
        self, attempt: Attempt, desk: Desk, make_actor: Callable[..., Any], me: Any, config: SupervisorConfig
    ) -> None:
        self._attempt = attempt
        self._desk = desk
        self._make_actor = make_actor
        self._me = me
        self._config = config
        self._size = attempt.call.requirements.nodes
        self._ends = GangVerdict(self._size, settle_s=_SETTLE_S)
        self._left = set(range(self._size))
        """Ranks of those that have not ended."""
        self._over = asyncio.Event()
        self._failure: Outcome | None = None
        """Why it could not begin."""
        self._group: Any = None
        self._members: list[Any] = []
        self._watches: list[asyncio.Future[None]] = []
        self.running = False

    async def run(self) -> None:
        token = self._attempt.call.token
        shape = shape_of(self._attempt.call.requirements, self._attempt.call.code.bundle)
        working = asyncio.ensure_future(self._work(shape))
        ending = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
            if working.done() and not working.cancelled() and (error := working.exception()) is not None:
                self._failure = _outcome_of(error, shape)
            elif working.done():
                await ending
        finally:
            working.cancel()
            self._desk.gangs_since.pop(token, None)
            await self._give_back()
        outcome = self._ends.verdict or self._failure or self._attempt.verdict
        if outcome is not None:
            self._desk.gang_told(self._attempt, outcome)

    def end(self) -> None:
        """It is cancelled, or is over."""
        self._ends.stopping = True
        self._over.set()

    def told(self, data: bytes) -> None:
        """What a member's place said."""
        event = decode_event(data)
        _, rank = attempt_of(event.token)
        if isinstance(event, Wrote):
            self._desk.wrote_in_gang(self._attempt, Wrote(self._attempt.call.token, event.path, event.data))
        else:
            self._take(rank, outcome_of(event))

    def _take(self, rank: int, outcome: Outcome) -> None:
        if rank not in self._left:
            return
        loop = asyncio.get_running_loop()
        self._left.discard(rank)
        self._ends.take(rank, outcome, loop.time())
        if not self._left or self._ends.is_settled(loop.time()):
            self.end()
        elif self._ends.settles_at is not None:
            loop.call_at(self._ends.settles_at, self.end)

    async def _work(self, shape: Shape) -> None:
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        self._group = placement_group([shape.resources] * self._size, strategy=_STRATEGIES[self._config.gangs])
        await self._group.ready()
        places = [PlaceState(f"{self._attempt.call.token}~{rank}", None) for rank in range(self._size)]
        for rank, place in enumerate(places):
            strategy = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=rank)
            self._members.append(self._make_actor(shape, place, gang=self, scheduling_strategy=strategy))
        answers = await asyncio.gather(*(member.begin.remote(self._me) for member in self._members))
        began: list[Began] = [decode(answer, Began) for answer in answers]
        blind = [one.problem for one in began if one.problem is not None]
        if blind:
            raise _Blind(blind[0])
        port = await self._members[0].free_port.remote()
        calls = member_calls(unpack_call(self._attempt.body), began[0].address, port)
        for rank, (member, call) in enumerate(zip(self._members, calls, strict=True)):
            member.give.remote([pack_call(call)])
            self._watches.append(asyncio.ensure_future(self._watch(rank, member, shape)))
        self.running = True
        self._desk.gangs_since.pop(self._attempt.call.token, None)

    async def _watch(self, rank: int, member: Any, shape: Shape) -> None:
        try:
            await member.watch.remote()
        except Exception as error:  # noqa: BLE001  # its death, or that of the gang
            if not self._over.is_set():
                self._take(rank, outcome_of_death(error, shape))

    async def _give_back(self) -> None:
        import ray
        from ray.util.placement_group import remove_placement_group

        self._over.set()
        with contextlib.suppress(Exception):
            closing = [member.close.remote() for member in self._members]
            await asyncio.wait_for(asyncio.gather(*closing, return_exceptions=True), _CLOSING_S)
        for member in self._members:
            with contextlib.suppress(Exception):
                ray.kill(member)
        if self._group is not None:
            with contextlib.suppress(Exception):
                remove_placement_group(self._group)
