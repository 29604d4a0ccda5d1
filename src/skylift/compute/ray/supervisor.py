"""The actor that outlives engines: it holds a project's attempts on a cluster, and carries their lease.

One for each project and cluster, found by its name. It knows no values: what attempts give goes by it as short JSON or
as references to artifacts. When no engine has asked for longer than the lease, it ends its attempts and itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any

from skylift.compute.ray.crew import Attempt, Crew, PlaceState
from skylift.compute.ray.deaths import outcome_of_death
from skylift.compute.ray.desk import Desk
from skylift.compute.ray.gang import Gang
from skylift.compute.ray.host import Host
from skylift.compute.ray.shape import Shape, nodes_of
from skylift.compute.ray.wire import (
    Began,
    Events,
    Holding,
    Standing,
    Submit,
    SupervisorConfig,
    decode,
    encode,
)
from skylift.ports.compute import Lost

_TICK_S = 0.1
_NODES_S = 2.0
_LISTEN_S = 10.0
_LINGER_S = 3.0
_MOST_EVENTS = 2_000
_ENOUGH_EVENTS = 100
_GATHER_S = 0.004
"""While more is to come, an answer waits so long for company."""


class Client:
    """An engine that listens, and what it has not acknowledged."""

    def __init__(self, until: float) -> None:
        self.until = until
        """When its lease is over, and that of the attempts it was given."""
        self.worked = False
        """Whether it has given work."""
        self.gone = False
        """It went in order: nothing is told to it any more."""
        self.last = 0
        self.events: list[tuple[int, bytes]] = []
        self.news = asyncio.Event()

    def tell(self, event: bytes) -> None:
        self.last += 1
        self.events.append((self.last, event))
        self.news.set()

    def acknowledged(self, seen: int) -> None:
        if self.events and self.events[0][0] <= seen:
            self.events = [one for one in self.events if one[0] > seen]


class Supervisor:
    """Its methods take the name of the engine that asks, and bytes."""

    def __init__(self, config: bytes) -> None:
        self._config: SupervisorConfig = decode(config, SupervisorConfig)
        self._desk = Desk(self._config, self)
        self._clients: dict[str, Client] = {}
        self._places: dict[str, PlaceState] = {}
        self._gangs: dict[str, Gang] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._made = 0
        self._alone_since = time.monotonic()
        self._begun = False

    # Engines ----------------------------------------------------------------------------------------------------

    async def attach(self, client: str) -> bytes:
        if not self._begun:
            self._begun = True
            await self._refresh()
            self._go(self._tick())
        self._renew(client)
        return encode(self._standing())

    async def submit(self, client: str, body: bytes) -> bytes:
        self._renew(client).worked = True
        given: Submit = decode(body, Submit)
        self._desk.submit(given.calls, client)
        return b""

    async def poll(self, client: str, body: bytes) -> bytes:
        self._renew(client)
        return encode(self._desk.poll(decode(body, list[str]), client))

    async def known(self, client: str, body: bytes) -> bytes:
        """After its connection broke: what is told of is told, or will be."""
        self._renew(client)
        return encode(self._desk.known(decode(body, list[str]), client))

    async def cancel(self, client: str, body: bytes) -> bytes:
        self._desk.cancel(decode(body, list[str]))
        return b""

    async def explain(self, client: str, body: bytes) -> bytes:
        return encode(self._desk.explain(decode(body, list[str])))

    async def listen(self, client: str, seen: int) -> bytes:
        """What is new for this engine; waits for something. Its question is its sign of life."""
        here = self._renew(client)
        here.acknowledged(seen)
        if not here.events:
            here.news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(here.news.wait(), min(_LISTEN_S, self._config.lease_ms / 3000))
        if self._desk.held and len(here.events) < _ENOUGH_EVENTS:
            await asyncio.sleep(_GATHER_S)
        if not here.gone:  # it may have left meanwhile
            self._renew(client)
        told = here.events[:_MOST_EVENTS]
        return encode(Events(told[-1][0] if told else seen, [event for _, event in told]))

    async def standing(self, client: str, body: bytes) -> bytes:
        return encode(self._standing())

    async def detach(self, client: str, body: bytes) -> bytes:
        """The engine goes in order. What runs, runs on until the lease is over."""
        here = self._renew(client)
        here.gone = True
        if here.worked:  # who only looks keeps nothing alive, however often he does
            self._alone_since = time.monotonic()
        return encode(self._standing())

    async def end(self, client: str, body: bytes) -> bytes:
        """End these attempts for good; answers when they are gone."""
        tokens = decode(body, list[str])
        self._desk.cancel(tokens)
        while any(token in self._desk.held for token in tokens):
            await asyncio.sleep(0.02)
        return b""

    async def stop(self, client: str, body: bytes) -> bytes:
        """End everything, then this actor."""
        for place in list(self._places.values()):
            self.end_place(place)
        self._go(self._exit())
        return b""

    # Places -----------------------------------------------------------------------------------------------------

    async def took(self, name: str, events: list[bytes]) -> None:
        """A host tells what happened."""
        gang = self._gangs.get(name)
        place = self._places.get(name)
        if gang is not None:
            for event in events:
                gang.told(event)
        elif place is not None:
            self._desk.answered(place, events)

    def start_place(self, crew: Crew) -> PlaceState:
        place = self._new_place(crew)
        self._go(self._run_place(place, crew))
        return place

    def give(self, place: PlaceState, bodies: list[bytes]) -> None:
        place.actor.give.remote(bodies)

    def recall(self, place: PlaceState) -> None:
        self._go(self._recall(place))

    def cancel_in(self, place: PlaceState, token: str) -> None:
        place.actor.cancel.remote([token])

    def end_place(self, place: PlaceState) -> None:
        place.ended = True
        self._places.pop(place.name, None)
        if place.actor is not None:
            self._go(self._end(place.actor, orderly=place.up))

    def start_gang(self, attempt: Attempt) -> Gang:
        gang = Gang(attempt, self._desk, self.make_actor, self._me(), self._config)
        self._go(self._run_gang(gang))
        return gang

    async def _run_gang(self, gang: Gang) -> None:
        try:
            await gang.run()
        finally:
            self._gangs = {name: one for name, one in self._gangs.items() if one is not gang}

    def end_gang(self, gang: Any) -> None:
        gang.end()

    def tell(self, client: str, event: bytes) -> bool:
        here = self._clients.get(client)
        if here is None or here.gone:
            return False
        here.tell(event)
        return True

    def make_actor(self, shape: Shape, place: PlaceState, *, gang: Gang | None = None, **options: Any) -> Any:
        """A host; Ray starts it when there is room."""
        import ray

        if gang is None:
            self._places[place.name] = place
        else:
            self._gangs[place.name] = gang
        made = ray.remote(Host).options(max_restarts=0, max_concurrency=100, **shape.options(), **options)
        place.actor = made.remote(encode(self._config.host), encode(shape), place.name)
        return place.actor

    def _new_place(self, crew: Crew | None) -> PlaceState:
        self._made += 1
        return PlaceState(f"{self._config.host.backend}-{self._made}", crew)

    async def _run_place(self, place: PlaceState, crew: Crew) -> None:
        """Its whole life."""
        if place.ended:
            return
        try:
            actor = self.make_actor(crew.shape, place)
            began: Began = decode(await actor.begin.remote(self._me()), Began)
            place.node, place.address = began.node, began.address
            if began.problem is not None:
                self._desk.refused(place, began.problem)
                self.end_place(place)
                return
            if place.ended:
                self.end_place(place)
                return
            self._desk.up(place)
            await actor.watch.remote()
        except Exception as error:  # noqa: BLE001  # whatever Ray says: the place is of no use any more
            if not place.ended:
                self._places.pop(place.name, None)
                self._go(self._end(place.actor, orderly=False))
                self._desk.died(place, outcome_of_death(error, crew.shape))

    async def _recall(self, place: PlaceState) -> None:
        with contextlib.suppress(Exception):  # its end is noticed by whoever watches it
            self._desk.returned(place, await place.actor.give_back.remote())

    async def _end(self, actor: Any, *, orderly: bool) -> None:
        import ray

        if actor is None:
            return
        if orderly:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(actor.close.remote(), 5.0)
        with contextlib.suppress(Exception):
            ray.kill(actor)

    # Time -------------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        looked = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            if now - looked > _NODES_S:
                looked = now
                with contextlib.suppress(Exception):
                    await self._refresh()
            self._desk.tick()
            self._end_leases(now)
            if self._is_over(now):
                await self._exit()

    def _end_leases(self, now: float) -> None:
        for name in [name for name, client in self._clients.items() if now > client.until]:
            del self._clients[name]
            self._alone_since = now
            orphans = [token for token, held in self._desk.held.items() if held.client == name]
            self._desk.cancel(orphans, Lost(reason="no engine renewed its lease in time"))

    def _is_over(self, now: float) -> bool:
        if self._desk.held or any(not client.gone for client in self._clients.values()):
            return False
        patience = self._config.lease_ms / 1000 if self._desk.unheard else _LINGER_S
        return now - self._alone_since > patience

    async def _exit(self) -> None:
        import ray

        for place in list(self._places.values()):
            self.end_place(place)
        for gang in set(self._gangs.values()):
            gang.end()
        for task in [task for task in self._tasks if task is not asyncio.current_task()]:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(asyncio.shield(task), 0.05)
        ray.kill(self._me())
        await asyncio.sleep(60)

    async def _refresh(self) -> None:
        import ray

        rows = await asyncio.get_running_loop().run_in_executor(None, ray.nodes)
        self._desk.nodes = nodes_of(rows)

    # Bits -------------------------------------------------------------------------------------------------------

    def _renew(self, name: str) -> Client:
        until = time.monotonic() + self._config.lease_ms / 1000
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = Client(until)
        client.until = until
        client.gone = False
        return client

    def _standing(self) -> Standing:
        now = time.monotonic()
        until = max([client.until for client in self._clients.values()], default=0.0)
        until = until or self._alone_since + self._config.lease_ms / 1000
        until_ms = int((time.time() + until - now) * 1000)
        return Standing(
            name=self._config.name,
            until_ms=until_ms,
            holdings=[
                Holding(token, held.call.run_id, held.call.label, until_ms) for token, held in self._desk.held.items()
            ],
            nodes=self._desk.nodes,
            clients=sum(not client.gone for client in self._clients.values()),
            unheard=self._desk.unheard,
            places=len(self._places) + len(self._gangs),
        )

    def _me(self) -> Any:
        import ray

        return ray.get_runtime_context().current_actor

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
