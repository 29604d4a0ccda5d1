"""Boxes that joined a pool, and the attempts on them: what the pool and a box's server tell each other, as resources.

| kind | key | holds |
|---|---|---|
| `pool-box` | `ACCOUNT/NAME` | a box: what it has, until when its lease runs, what is on it (`JoinedBox`) |
| `pool-attempt` | the attempt's token | the call, whether it is to stop, its outcome (`BoxAttempt`) |

Nobody need know a box's address: it asks every second or so (`BoxSays`), and is told what to run and what to stop
(`BoxOrders`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from skylift.compute.batch.provider import Held, Kind
from skylift.ports.compute import Cancelled, Lost, Outcome, TaskCall
from skylift.ports.foreign import sound
from skylift.ports.resources import Resource, ResourceChanged, ResourceStore

BOX, ATTEMPT = "pool-box", "pool-attempt"
LEASE_MS = 30_000
"""A box that has not asked for so long is gone."""
EVERY_MS = 500
"""How often a box shall ask."""
_BURIED_MS = 600_000
T = TypeVar("T")


class On(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt on a box."""

    held: Held
    begun: bool = False
    """The box has said that it has it."""


class JoinedBox(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """Of this stay: a box that comes back after its lease is another one."""
    account: str
    name: str
    kind: Kind
    since_ms: int
    until_ms: int
    leaving: bool = False
    """It finishes what it has and takes nothing more."""
    on: dict[str, On] = {}
    """By token."""


class BoxAttempt(msgspec.Struct, frozen=True, kw_only=True):
    box: str
    call: TaskCall
    stop: bool = False
    outcome: Outcome | None = None
    told_ms: int | None = None
    """When the engine was told of the outcome."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    outcome: Outcome


class BoxSays(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a box tells of itself: the body of POST /v1/workers/NAME."""

    id: str | None = None
    """As it was told when it joined; None to join."""
    vcpus: Annotated[float, Meta(gt=0, le=10_000)]
    memory_mib: Annotated[int, Meta(gt=0, le=2**30)]
    gpu: Annotated[str, Meta(max_length=100)] | None = None
    gpus: Annotated[int, Meta(ge=0, le=1_000)] = 0
    holds: Annotated[list[str], Meta(max_length=10_000)] = []
    """Tokens of what it runs."""
    ended: list[Ended] = []
    """Told again until an answer comes."""
    leaving: bool = False


class BoxOrders(msgspec.Struct, frozen=True, kw_only=True):
    """What it is told."""

    id: str
    run: list[TaskCall] = []
    stop: list[str] = []
    lease_ms: int = LEASE_MS
    every_ms: int = EVERY_MS


class JoinedBoxes:
    """All of a store. Methods block for as long as the store does; several processes may use it."""

    def __init__(self, resources: ResourceStore, lease_ms: int = LEASE_MS) -> None:
        self._resources = resources
        self._lease_ms = lease_ms

    # -- the box's side ------------------------------------------------------------------------------------------------

    def said(self, account: str, name: str, says: BoxSays, now_ms: int) -> BoxOrders:
        """Take in what a box says; what it shall do."""
        box = self._change(account, name, lambda before: self._renewed(account, name, before, says, now_ms))
        for one in says.ended:
            self._end(one.token, box.id, one.outcome)
        run: list[TaskCall] = []
        stop = [token for token in says.holds if token not in box.on]
        over: list[str] = []
        for token, on in box.on.items():
            attempt, holds = self.attempt(token), token in says.holds
            if attempt is None or attempt.outcome is not None or attempt.box != box.id:
                (stop if holds else over).append(token)
            elif holds:
                stop += [token] if attempt.stop else []
            elif on.begun or attempt.stop:
                lost = Lost(reason=f"box {name} was started anew")
                self._end(token, box.id, Cancelled() if attempt.stop else lost)
            else:
                run.append(attempt.call)
        if over:
            self._try_change(account, name, lambda now: _without(now, box.id, over))
        return BoxOrders(id=box.id, run=run, stop=sorted(set(stop)), lease_ms=self._lease_ms)

    def has_news(self, account: str, name: str) -> bool:
        """Whether the box has been given something that it does not know of."""
        stored = self._resources.get(BOX, f"{account}/{name}")
        return stored is not None and any(not on.begun for on in _read(stored, JoinedBox).on.values())

    def _renewed(self, account: str, name: str, before: JoinedBox | None, says: BoxSays, now_ms: int) -> JoinedBox:
        stays = before is not None and before.id == says.id and before.until_ms > now_ms
        ended = {one.token for one in says.ended}
        held = before.on if stays and before is not None else {}
        gpu = f"-{says.gpus}x{says.gpu or 'gpu'}" if says.gpus else ""
        kind = Kind(
            name=f"{account}-{says.vcpus:g}cpu-{says.memory_mib}mib{gpu}",
            vcpus=says.vcpus,
            memory_mib=says.memory_mib,
            gpu=says.gpu,
            gpus=says.gpus,
            fixed=True,
            account=account,
        )
        return JoinedBox(
            id=before.id if stays and before is not None else f"{name}-{secrets.token_hex(4)}",
            account=account,
            name=name,
            kind=kind,
            since_ms=before.since_ms if stays and before is not None else now_ms,
            until_ms=now_ms + self._lease_ms,
            leaving=says.leaving,
            on={
                token: On(held=on.held, begun=on.begun or token in says.holds)
                for token, on in held.items()
                if token not in ended
            },
        )

    def _end(self, token: str, box: str, outcome: Outcome) -> None:
        """The first end counts, and only that of the box that has it."""

        def ended(found: BoxAttempt) -> BoxAttempt | None:
            if found.box != box or found.outcome is not None:
                return None
            return msgspec.structs.replace(found, outcome=sound(outcome))

        self._edit(token, ended)

    # -- the pool's side -----------------------------------------------------------------------------------------------

    def all(self, now_ms: int) -> Sequence[JoinedBox]:
        """Those that are gone for long are forgotten."""
        found = [_read(stored, JoinedBox) for stored in self._listed(BOX)]
        for box in found:
            if box.until_ms < now_ms - _BURIED_MS:
                self._resources.delete(BOX, f"{box.account}/{box.name}")
        return [box for box in found if box.until_ms >= now_ms - _BURIED_MS]

    def attempt(self, token: str) -> BoxAttempt | None:
        stored = self._resources.get(ATTEMPT, token)
        return None if stored is None else _read(stored, BoxAttempt)

    def give(self, box: JoinedBox, call: TaskCall, held: Held) -> None:
        """Twice is once. To a box that has gone meanwhile: nothing, `all` tells."""
        before = self._resources.get(ATTEMPT, call.token)
        if before is not None and _read(before, BoxAttempt).box == box.id:
            return
        self._resources.put(ATTEMPT, call.token, msgspec.json.encode(BoxAttempt(box=box.id, call=call)))

        def with_it(now: JoinedBox | None) -> JoinedBox | None:
            if now is None or now.id != box.id:
                return None
            return msgspec.structs.replace(now, on={**now.on, call.token: On(held=held)})

        self._try_change(box.account, box.name, with_it)

    def stop(self, token: str) -> None:
        self._edit(token, lambda found: None if found.stop else msgspec.structs.replace(found, stop=True))

    def told(self, token: str, now_ms: int) -> None:
        """Kept for a while: who was told may die before it is written down."""
        self._edit(
            token, lambda found: None if found.told_ms is not None else msgspec.structs.replace(found, told_ms=now_ms)
        )

    def clean(self, now_ms: int) -> None:
        """Outcomes that were told long ago."""
        for stored in self._listed(ATTEMPT):
            told_ms = _read(stored, BoxAttempt).told_ms
            if told_ms is not None and told_ms < now_ms - _BURIED_MS:
                self._resources.delete(ATTEMPT, stored.key)

    def drop(self, token: str) -> None:
        """Also off its box, so that it may be given to it anew."""
        found = self.attempt(token)
        self._resources.delete(ATTEMPT, token)
        if found is not None:
            self._take_off(found.box, token)

    def _take_off(self, id: str, token: str) -> None:
        for box in self.all(0):
            if box.id == id:
                self._try_change(box.account, box.name, lambda now: _without(now, id, [token]))

    # -- the store -----------------------------------------------------------------------------------------------------

    def _listed(self, kind: str) -> list[Resource]:
        found: list[Resource] = []
        while page := self._resources.list(kind, after=found[-1].key if found else "", limit=1000):
            found += page
            if len(page) < 1000:
                break
        return found

    def _change(self, account: str, name: str, edit: Callable[[JoinedBox | None], JoinedBox]) -> JoinedBox:
        changed = self._try_change(account, name, edit)
        assert changed is not None
        return changed

    def _try_change(
        self, account: str, name: str, edit: Callable[[JoinedBox | None], JoinedBox | None]
    ) -> JoinedBox | None:
        key = f"{account}/{name}"
        while True:
            stored = self._resources.get(BOX, key)
            changed = edit(None if stored is None else _read(stored, JoinedBox))
            if changed is None:
                return None
            try:
                self._resources.put(
                    BOX, key, msgspec.json.encode(changed), expected=0 if stored is None else stored.revision
                )
            except ResourceChanged:
                continue
            return changed

    def _edit(self, token: str, edit: Callable[[BoxAttempt], BoxAttempt | None]) -> None:
        while (stored := self._resources.get(ATTEMPT, token)) is not None:
            changed = edit(_read(stored, BoxAttempt))
            if changed is None:
                return
            try:
                self._resources.put(ATTEMPT, token, msgspec.json.encode(changed), expected=stored.revision)
            except ResourceChanged:
                continue
            return


def _without(now: JoinedBox | None, id: str, tokens: Collection[str]) -> JoinedBox | None:
    if now is None or now.id != id or not any(token in now.on for token in tokens):
        return None
    return msgspec.structs.replace(now, on={key: on for key, on in now.on.items() if key not in tokens})


def _read(stored: Resource, kind: type[T]) -> T:
    return msgspec.json.decode(stored.body, type=kind)
