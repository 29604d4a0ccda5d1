"""The container backend: which attempts run now, in what they run, and what became of them."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from skylift.compute.attempts import AttemptFolder, AttemptFolders, Watcher
from skylift.compute.basics import Basics
from skylift.compute.container.adoption import call_of, find_left
from skylift.compute.container.capabilities import CAPABILITIES
from skylift.compute.container.ends import failed, not_started, silent_end
from skylift.compute.container.engine import ContainerEngine, ContainerFailed, NoContainerEngine, find_engine
from skylift.compute.container.held import Held
from skylift.compute.container.images import Image, Images
from skylift.compute.container.offers import offers_of
from skylift.compute.container.place import Place, PlaceSettings, container_name, holder_of, scratch_of
from skylift.compute.container.room import Room
from skylift.compute.ended import EndedCalls
from skylift.compute.gangs import HERE, MEMBER, free_port, member_calls
from skylift.compute.process.machine import Machine, infeasible, unsendable
from skylift.compute.worker import failure
from skylift.compute.worker.secrets import NO_MASK, Secrets
from skylift.errors import SkyliftError
from skylift.ports.compute import (
    Cancelled,
    Leased,
    Lost,
    Offer,
    Outcome,
    Report,
    Requirements,
    TaskCall,
)

_KILL_AFTER_S = 4.0
"""A supervisor that has not stopped its attempt so long after its grace is ended with its container."""
_GONE_S = 5.0
"""So long after its outcome a container may still be there: longer only if its code has made that outcome up."""
_SILENT_S = 20.0
"""A container whose supervisor has not come up by then is looked for."""
_CLEAN_S = 60.0
_PORT = 29_500
_JOBS = "skylift.compute.jobs."
"""Functions of ours that run a program of their image, and need nothing else of it."""


class ContainerBackend(Basics):
    """Runs attempts in containers of this machine, one each; the members of a gang share one network.

    `settings` says where things are and what attempts may have; `image` is for tasks without one of their own (None:
    one is built from the running interpreter), `machine` what may be given out, `lease_ms` how long a container lives
    without an engine. Secrets are found here, by their sources, and handed over in a file that is gone when it is read.
    """

    capabilities = CAPABILITIES

    def __init__(
        self,
        report: Report,
        settings: PlaceSettings,
        *,
        machine: Machine,
        engine: ContainerEngine | None = None,
        image: str | None = None,
        secrets: Mapping[str, str] | None = None,
        lease_ms: int = 600_000,
    ) -> None:
        self.name = settings.name
        self._report = report
        self._settings = settings
        self._image = image
        self._secrets = Secrets(dict(secrets or {}))
        self._engine = engine or find_engine("auto")
        self._images = Images(self._engine, settings.state)
        self._place = Place(settings)
        self._folders = AttemptFolders(settings.state / "attempts", lease_ms=lease_ms)
        self._room = Room(machine)
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._by_folder: dict[AttemptFolder, Held] = {}
        self._leaving: dict[AttemptFolder, float] = {}
        """Containers that should be gone by then: how they ended was told."""
        self._over = EndedCalls()
        self._closing = False
        self._clean_at = 0.0
        self._watcher = Watcher(self._ended, lease_ms=lease_ms, name=self.name, tick=self._tick)
        self._hands = ThreadPoolExecutor(max(4, int(machine.cpus)), thread_name_prefix=f"skylift-{self.name}")

    # The port ---------------------------------------------------------------------------------------------------

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        return offers_of(self.name, self._room.machine, requirements)

    def submit(self, calls: Sequence[TaskCall]) -> None:
        with self._lock:
            new = [call for call in calls if not self._knows(call)]
        adopted = self._adopt({call.token: call.delivery for call in new})
        refused: list[tuple[str, Outcome]] = []
        with self._lock:
            if self._closing:
                return
            for call in new:
                if call.token in self._held or call.token in adopted:
                    continue
                misfit = self._room.misfit(call.requirements)
                if misfit is None:
                    held = self._held[call.token] = Held(self._room.entry(call))
                    self._room.wait(held)
                else:
                    self._over.add(call.token, call.delivery)
                    refused.append((call.token, infeasible(call.label, self.name, misfit)))
            self._begin()
        for token, outcome in refused:
            self._report(token, outcome)

    def poll(self, tokens: Collection[str]) -> Mapping[str, Literal["queued", "running"]]:
        with self._lock:
            found = [held for token in tokens if (held := self._held.get(token)) is not None]
            return {held.token: "running" if held.started and _all_up(held) else "queued" for held in found}

    def explain(self, tokens: Collection[str]) -> Mapping[str, str]:
        with self._lock:
            found = [held for token in tokens if (held := self._held.get(token)) is not None]
            return {held.token: why for held in found if (why := self._why(held))}

    def cancel(self, tokens: Collection[str]) -> None:
        dropped: list[str] = []
        with self._lock:
            for token in tokens:
                held = self._held.get(token)
                if held is None or held.cancelled or self._closing:
                    continue
                held.cancelled = True
                if held.placed:
                    self._stop(held)
                else:
                    self._room.drop(held)
                    del self._held[token]
                    self._over.forget(token)
                    dropped.append(token)
        for token in dropped:
            self._report(token, Cancelled())

    def sweep(self, live: Collection[str]) -> None:
        alive = set(live)
        with self._lock:
            stray = [token for token in self._held if token not in alive]
        self.cancel(stray)

    def leased(self) -> Sequence[Leased]:
        self._clean()
        return [
            self._leased(listed.name, listed.labels) for listed in self._engine.listing(self._place.project_labels())
        ]

    def end(self, leased: Sequence[Leased]) -> None:
        names = {one.id for one in leased}
        folders = [folder for folder in self._folders if container_name(folder) in names]
        for folder in folders:
            folder.ask_to_stop()
        deadline = time.monotonic() + self._settings.grace_ms / 1000 + 1
        while any(folder.alive for folder in folders) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._engine.kill(sorted(names))
        for folder in folders:
            if folder.outcome() is None:
                folder.give_outcome(Lost(reason="its container was ended: its lease was over, or it was swept"))

    def shell(self, token: str) -> Sequence[str] | None:
        folder = self._folders.find(token) or self._folders.find(f"{token}{MEMBER}0")
        if folder is None or not folder.alive:
            return None
        return self._engine.exec_words(container_name(folder), ["/bin/sh"])

    def close(self) -> None:
        """What runs goes on, and is adopted by the next engine or ended by its lease."""
        with self._lock:
            self._closing = True
        self._watcher.close()
        self._hands.shutdown(wait=True, cancel_futures=True)

    # Under the lock ---------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Give places to those whose turn it is."""
        while not self._closing and (held := self._room.next()) is not None:
            held.placed = True
            self._hands.submit(self._start, held)

    def _stop(self, held: Held) -> None:
        held.stop(time.monotonic() + self._settings.grace_ms / 1000 + _KILL_AFTER_S)

    def _knows(self, call: TaskCall) -> bool:
        return call.token in self._held or self._over.has(call.token, call.delivery)

    def _settle(self, held: Held, now: float) -> None:
        """Of a gang that has ended otherwise than well, stop what is left."""
        if held.stops_at <= now:
            self._stop(held)
        elif held.stops_at != float("inf"):
            self._watcher.tick_by(held.stops_at)

    def _finished(self, held: Held) -> Outcome | None:
        """Forget a call of which nothing runs any more; its outcome, if that is to be told."""
        if held.folders or self._held.get(held.token) is not held:
            return None
        del self._held[held.token]
        self._room.leave(held)
        outcome = held.verdict()
        if isinstance(outcome, Lost | Cancelled):
            self._over.forget(held.token)
        else:
            self._over.add(held.token, held.entry.call.delivery)
        self._begin()
        return None if self._closing else outcome

    def _why(self, held: Held) -> str:
        if not held.placed:
            return self._room.why(held)
        if not held.started:
            image = held.entry.call.requirements.image or self._image
            return self._images.busy.get(image, "its container is being started")
        return "it is being stopped" if held.cancelled else ""

    # On a thread of its own: a start ------------------------------------------------------------------------------

    def _start(self, held: Held) -> None:
        outcome: Outcome | None = None
        try:
            self._launch(held)
        except ContainerFailed as problem:
            outcome = not_started(problem, held.entry.call.requirements)
            self._images.forget(held.entry.call.requirements.image or self._image)
        except SkyliftError as problem:
            outcome = failed(problem)
        except (TypeError, ValueError, RecursionError) as problem:
            outcome = unsendable(held.entry.call.label, problem)
        except OSError as problem:
            outcome = Lost(reason=f"its folder could not be made: {problem}")
        except Exception as problem:  # noqa: BLE001  # a keyring or command may raise anything, and nobody else would tell
            outcome = failure.failed(problem, NO_MASK)
        with self._lock:
            held.started = True
            if outcome is not None and held.outcome is None:
                held.outcome = outcome
            if outcome is not None or held.cancelled:
                self._stop(held)
            told = self._finished(held)
        if told is not None:
            self._report(held.token, told)

    def _launch(self, held: Held) -> None:
        """Start all containers of a call, or raise."""
        call = held.entry.call
        image = self._image_of(call)
        digest = call.requirements.environment
        environment = None if digest is None else self._place.environment(digest)
        values = {name: self._secrets.find(name) for name in call.requirements.secrets}
        values |= {f"${name}": value for name, value in self._place.cloud_variables().items()}
        shared: str | None = "host" if self._settings.network == "host" else None
        for rank, member in enumerate(self._members(call)):
            with self._lock:
                if self._closing or held.cancelled or held.outcome is not None:
                    return
            folder = self._folder(held, member, rank, values)
            gpus = held.gpus_of(rank)
            spec = self._place.spec(member, folder, image, environment=environment, network=shared, gpus=gpus)
            try:
                self._engine.start(spec)
            except (ContainerFailed, NoContainerEngine):
                self._drop_folder(held, folder)
                with contextlib.suppress(ContainerFailed):  # its engine may have died between making and starting it
                    self._engine.kill([spec.name])
                raise
            self._watcher.watch(folder, pid=holder_of(spec))
            if call.requirements.nodes > 1 and shared is None:
                shared = self._engine.network_of(spec)

    def _image_of(self, call: TaskCall) -> Image:
        given = call.requirements.image
        if given is not None and call.code.bundle is None and call.code.target.startswith(_JOBS):
            return self._images.for_program(given)
        return self._images.find(given or self._image)

    def _members(self, call: TaskCall) -> list[TaskCall]:
        if call.requirements.nodes == 1:
            return [call]
        return member_calls(call, HERE, free_port() if self._settings.network == "host" else _PORT)

    def _folder(self, held: Held, member: TaskCall, rank: int, values: Mapping[str, str]) -> AttemptFolder:
        folder = self._folders.create(self._place.order(member, f"{self.name}-{rank}", held.asked_ms))
        folder.give_secrets(values)
        with self._lock:
            held.folders[folder] = rank
            self._by_folder[folder] = held
            if held.cancelled:
                folder.ask_to_stop()
        return folder

    def _drop_folder(self, held: Held, folder: AttemptFolder) -> None:
        """Of a container that never was."""
        with self._lock:
            held.folders.pop(folder, None)
            self._by_folder.pop(folder, None)
        self._watcher.forget(folder)
        folder.remove()

    # On the watcher's thread ------------------------------------------------------------------------------------

    def _ended(self, folder: AttemptFolder, outcome: Outcome | None) -> None:
        if outcome is None:
            outcome = silent_end(folder)
            folder.give_outcome(outcome)
        with self._lock:
            held = self._by_folder.pop(folder, None)
            if held is None:
                return
            now = time.monotonic()
            if folder.alive and not folder.kept:
                self._leaving[folder] = now + _GONE_S
                self._watcher.tick_by(now + _GONE_S)
            held.ended(folder, outcome, now)
            self._settle(held, now)
            told = self._finished(held) if held.started else None
        if told is not None:
            self._report(held.token, told)
        if not folder.kept:
            with contextlib.suppress(RuntimeError):
                self._hands.submit(shutil.rmtree, scratch_of(folder), ignore_errors=True)

    def _tick(self) -> None:
        now = time.monotonic()
        with self._lock:
            for held in self._held.values():
                self._settle(held, now)
            overdue = [folder for held in self._held.values() if now >= held.kill_at for folder in held.folders]
            overdue += self._lingering(now)
            since = time.time() * 1000 - _SILENT_S * 1000
            silent = [folder for folder, held in self._by_folder.items() if held.started and held.asked_ms < since]
        silent = [folder for folder in silent if not folder.started]
        clean = now >= self._clean_at
        if clean:
            self._clean_at = now + _CLEAN_S
        with contextlib.suppress(RuntimeError):
            if overdue:
                self._hands.submit(self._engine.kill, [container_name(folder) for folder in overdue])
            if silent:
                self._hands.submit(self._look_for, silent)
            if clean:
                self._hands.submit(self._clean)

    def _lingering(self, now: float) -> list[AttemptFolder]:
        """Containers that go on although they have ended."""
        due = [folder for folder, gone_at in self._leaving.items() if now >= gone_at]
        for folder in due:
            del self._leaving[folder]
        return [folder for folder in due if folder.alive]

    def _look_for(self, silent: Sequence[AttemptFolder]) -> None:
        """Containers whose supervisor never came up: those that are gone have ended."""
        there = self._existing()
        for folder in silent:
            if container_name(folder) not in there and not folder.started:
                self._watcher.forget(folder)
                self._ended(folder, folder.outcome())

    # Adoption ---------------------------------------------------------------------------------------------------

    def _adopt(self, tokens: Mapping[str, int]) -> set[str]:
        """Take over what engines before this one have left of these deliveries; which tokens that were."""
        found = find_left(self._folders, tokens, existing=self._existing)
        return {token for token, folders in found.items() if self._take_over(token, folders)}

    def _existing(self) -> set[str]:
        return {listed.name for listed in self._engine.listing(self._place.project_labels())}

    def _take_over(self, token: str, folders: Sequence[AttemptFolder]) -> bool:
        known = call_of(token, folders)
        if known is None:
            return False
        call, asked_ms = known
        with self._lock:
            if self._closing or token in self._held:
                return token in self._held
            held = self._held[token] = Held(self._room.entry(call))
            held.asked_ms, held.placed, held.started = asked_ms, True, True
            self._room.enter(held)
            for rank, folder in enumerate(folders):
                held.folders[folder] = rank
                self._by_folder[folder] = held
            missing = call.requirements.nodes - len(folders)
            if missing:
                held.outcome = Lost(reason=f"{missing} members of its gang are gone")
                self._stop(held)
        for folder in folders:
            self._watcher.watch(folder)
        return True

    # Housekeeping -----------------------------------------------------------------------------------------------

    def _leased(self, name: str, labels: Mapping[str, str]) -> Leased:
        folder = AttemptFolder(Path(labels.get("skylift.attempt", "")))
        label = labels.get("skylift.label", "") if folder.path.is_dir() else "an attempt whose folder is gone"
        return Leased(
            backend=self.name,
            kind="container",
            id=name,
            until_ms=folder.until_ms,
            token=labels.get("skylift.token"),
            run_id=labels.get("skylift.run"),
            note=f"{label}, kept after its failure" if folder.kept else label,
        )

    def _clean(self) -> None:
        """Forget what ended long ago. What never got a container, and is nobody's any more, goes too; what was killed
        while nobody listened has ended now."""
        for folder in self._folders.clean():
            if folder in self._by_folder or folder.alive:
                continue
            if folder.started:
                folder.give_outcome(silent_end(folder))
            else:
                folder.remove()


def _all_up(held: Held) -> bool:
    return all(folder.started for folder in held.folders)
