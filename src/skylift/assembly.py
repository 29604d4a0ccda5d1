"""The one place where the parts of a project are put together: journal, artifacts, backends, engine.

Parts are made when first needed: looking at runs opens the journal only; the engine and its workers start with the
first run that this process drives.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.compute.parts import Parts
from skylift.config import Config
from skylift.errors import SkyliftError
from skylift.ports.compute import Backend, Outcome, Report, Submitted
from skylift.reader import RunReader
from skylift.wiring import (
    SERVICES,
    budget_plan,
    known_backends,
    make_home,
    places_of,
    router_of,
    secret_source,
    services_backend,
)

if TYPE_CHECKING:
    from skylift.collecting import Freed
    from skylift.engine.notices import Notices
    from skylift.engine.observe import TurnReport
    from skylift.engine.pace import RealPace
    from skylift.engine.resolve import Resolve
    from skylift.engine.thread import EngineThread
    from skylift.ports.blobs import BlobStore
    from skylift.ports.compute import Offer, Requirements
    from skylift.ports.journal import Journal
    from skylift.ports.ownership import Ownership
    from skylift.ports.resources import ResourceStore
    from skylift.stores.database import Store
    from skylift.sweeping import Holder, Swept
    from skylift.values.codec import ValueCodec


class Assembly:
    """Base of Runtime: a project's journal and artifacts, and an engine when one is needed; thread-safe."""

    def __init__(
        self,
        config: Config,
        *,
        resolve: Resolve | None = None,
        on_turn: Callable[[TurnReport], None] | None = None,
        adopting: bool = False,
    ) -> None:
        """Raises SetupError when the project's home cannot be made or written.

        `resolve` finds the state machines that nested runs name, `on_turn` is told of every committed turn. With
        `adopting` the engine takes over the runs of engines that have died, as a server's does; its workers do not
        inherit the server's secrets.
        """
        self.config = config
        self._prepare()
        self.closed = False
        self.resolve = resolve
        """Read when the engine starts, like the two that follow."""
        self.on_turn = on_turn
        self.adopting = adopting
        self.speed: str | None = None
        """How fast the engine's time passes: `max`, or how many seconds in one of ours. Unset until the first run that
        is placed in the simulated cloud, for which `[backends.simulated]` says it."""
        self._making = threading.RLock()
        self._store: Store | None = None
        self._engine: EngineThread | None = None
        self._ownership: Ownership | None = None
        self._notices: Notices | None = None
        self._backends: list[Any] = []
        self._not_before_ms = 0

    def _prepare(self) -> None:
        make_home(self.config.home)

    # -- parts ---------------------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The database that holds runs and resources; opened on first use."""
        with self._making:
            if self._store is None:
                from skylift.stores.open import open_store

                config = self.config
                self._store = open_store(config.store, home=config.home, durability=config.durability)
            return self._store

    @property
    def journal(self) -> Journal:
        """The project's journal."""
        return self.store.journal

    @property
    def resources(self) -> ResourceStore:
        """What is kept beside runs: state machines, keys, triggers."""
        return self.store.resources

    @cached_property
    def blobs(self) -> BlobStore:
        """Where artifacts and code bundles are."""
        from skylift.stores.open import open_blobs

        return open_blobs(self._blobs_location(), cache=str(self.config.home / "cache"))

    @cached_property
    def reader(self) -> RunReader:
        """Looks at runs."""
        return RunReader(self.journal, self.config.home / "logs", self._is_alive)

    @cached_property
    def codec(self) -> ValueCodec:
        """Turns the JSON of this project's runs into Python values and back."""
        from skylift.values.codec import ValueCodec

        return ValueCodec(self.blobs)

    @property
    def engine(self) -> EngineThread:
        """The engine of this process, with its workers; started on first use."""
        with self._making:
            if self._engine is None:
                self._engine = self._start_engine()
            return self._engine

    @property
    def trouble(self) -> SkyliftError | None:
        """What keeps our engine from writing the journal now; it tries again until that is over."""
        return None if self._engine is None else self._engine.trouble

    def offers(self, backend: str, requirements: Requirements) -> Sequence[Offer]:
        """The ways in which a backend could run such a task now. Raises KeyError for one that there is not."""
        with self._making:
            found: Sequence[Offer] = self._all_backends[backend].offers(requirements)
            return found

    def warm_up(self) -> None:
        """Begin to start a worker, so that it is up when the first task comes."""
        self._process_backend.warm()

    def local_load(self) -> tuple[int, int]:
        """Tasks that run on this machine for our engine, and that wait for a worker."""
        loads = [backend.load() for backend in self._backends if hasattr(backend, "load")]
        return sum(running for running, _ in loads), sum(waiting for _, waiting in loads)

    def finish_tasks(self, timeout_s: float) -> int:
        """Begin no more tasks on this machine, and wait so long for those that run; how many still do."""
        return sum(backend.finish(timeout_s) for backend in self._backends if hasattr(backend, "finish"))

    def close(self) -> None:
        """Stop workers and engine; runs that have not ended can be resumed by any process."""
        with self._making:
            if self.closed:
                return
            self.closed = True
        if self._engine is not None:
            self._engine.close()
        if self._notices is not None:
            self._notices.close()
        for backend in self._backends:
            backend.close()
        if self._ownership is not None:
            self._ownership.release()
        if self._store is not None:
            self._store.close()

    @cached_property
    def _process_backend(self) -> Any:
        from skylift.compute.process import ProcessBackend

        parts = self._parts()
        backend = ProcessBackend(
            parts.report,
            blobs=parts.blobs,
            blobs_factory="skylift.stores.open:open_blobs",
            cache_dir=parts.bundles,
            environments=str(self.config.home / "environments"),
            state=str(parts.state / "process"),
            workers=self.config.workers,
            secrets=parts.secrets,
            withheld=parts.withheld,
            paths=(str(self.config.project),),
        )
        self._backends.append(backend)
        return backend

    def _start_engine(self) -> EngineThread:
        from skylift.engine.engine import Engine
        from skylift.engine.items import ItemStore
        from skylift.engine.limits import EngineLimits
        from skylift.engine.thread import EngineThread
        from skylift.pricing.spot.live import LivePolicy

        pace = self.pace
        journal, backends = self.journal, self._all_backends
        ownership = self._ownership = self.store.ownership()
        logs = str(self.config.home / "logs")  # once: paths are slow to make
        engine = EngineThread(
            lambda inbox: Engine(
                journal=journal,
                blobs=self.blobs,
                clock=pace.clock,
                backends=backends,
                owner=ownership.owner,
                inbox=inbox,
                router=router_of(self.config, backends, self.resources),
                items=ItemStore(places=places_of(self.config)),
                is_alive=self._is_alive,
                resolve=self.resolve,
                on_turn=self.on_turn,
                adopting=self.adopting,
                limits=EngineLimits(memory_steps=self.config.compute.memory_steps),
                spot_policy=LivePolicy(waits=pace.speed is None),
                budget=budget_plan(self.config),
                placement=self.config.placement,
                log_path=lambda run_id, token: f"{logs}/{run_id}/{token}.log",
            ),
            pace,
        )
        if self.config.budget.notify:
            from skylift.engine.notices import Notices

            self._notices = Notices(self.config.budget.notify, self.config.project)
            engine.subscribe(None, self._notices.tell)
        return engine

    @cached_property
    def pace(self) -> RealPace:
        """How the time of this process's engine passes. Decided when it is first asked for."""
        from skylift.engine.pace import RealPace, pace_of

        if self.speed is None:
            return RealPace()
        return pace_of(self.speed, max(int(time.time() * 1000), self._not_before_ms))

    @cached_property
    def _all_backends(self) -> dict[str, Any]:
        """The first one is the default."""
        from skylift.compute.deferred import DeferredBackend

        services = DeferredBackend(SERVICES, lambda: services_backend(self.config, self._report), self._report)
        others = known_backends(msgspec.structs.replace(self._parts(), pace=self.pace))
        self._backends += [services, *others.values()]
        return {self._process_backend.name: self._process_backend, **others, SERVICES: services}

    def _parts(self) -> Parts:
        from skylift.compute.process.withheld import withheld

        secrets = self._secret_sources()
        return Parts(
            report=self._report,
            config=self.config,
            blobs=self._blobs_location(),
            bundles=self._bundles(),
            secrets=secrets,
            withheld=tuple(withheld(self._blobs_location(), secrets.values())) if self.adopting else (),
            resources=lambda: self.resources,
        )

    def _secret_sources(self) -> dict[str, str]:
        return {name: secret_source(one, self.config.project) for name, one in self.config.secrets.items()}

    def _report(self, token: str, outcome: Outcome | Submitted) -> None:
        """Workers start before the engine does, but it alone gives them work: it is there when they report."""
        engine = self._engine
        if engine is not None:
            engine.engine.report(token, outcome)

    def _is_alive(self, owner: str) -> bool:
        return self.store.is_alive(owner)

    def _blobs_location(self) -> str:
        return self.config.artifacts or str(self.config.home / "blobs")

    def _bundles(self) -> str:
        return str(self.config.home / "bundles")

    def collect_garbage(self, *, older_than_ms: int, keep: int = 0, dry_run: bool = False) -> Freed:
        """Delete runs that ended longer ago than that, but the `keep` newest of each pipeline, with their logs, and the
        artifacts that nothing refers to any more. Runs that are open are never touched."""
        from skylift.collecting import collect_garbage
        from skylift.compute.worker.checkpoint.place import beside

        return collect_garbage(
            self.journal,
            self.blobs,
            self.config.home,
            older_than_ms=older_than_ms,
            keep=keep,
            dry_run=dry_run,
            resources=self.resources,
            is_busy=self.store.any_alive,
            checkpoints=beside(self._blobs_location()),
        )

    # -- leases --------------------------------------------------------------------------------------------------------

    def leased(self) -> Swept:
        """What exists of this project's backends that carries a lease, whoever made it. Touches nothing."""
        from skylift.sweeping import look

        return look(self._holders(), time.time_ns() // 1_000_000)

    def sweep(self) -> Swept:
        """End what is past its lease, also what engines made that are gone for good."""
        from skylift.sweeping import sweep

        return sweep(self._holders(), time.time_ns() // 1_000_000)

    def with_prompts(self) -> dict[str, Any]:
        """Backends that can open a prompt beside an attempt, and may hold one: see `Backend.shell`."""
        holders = self._holders()
        backends = self._all_backends
        return {name: backends[name] for name in holders if backends[name].capabilities.shell}

    def separate_backend(self, name: str, report: Report) -> Backend:
        """One that reports elsewhere than to the engine: what it runs is part of no run. To be closed."""
        return known_backends(msgspec.structs.replace(self._parts(), report=report))[name]

    def _holders(self) -> dict[str, Holder]:
        """Backends that may have made something: those in use here, and those that have left something to find."""
        with self._making:
            names = self._all_backends
        state = self._parts().state
        holders: dict[str, Holder] = {
            name: backend
            for name, backend in names.items()
            if backend.capabilities.leases and (name == "process" or (state / name).exists() or backend.in_use)
        }
        if self.config.box is not None:
            from skylift.box.make import BoxHolder

            holders["box"] = BoxHolder(self.config.box)
        return holders
