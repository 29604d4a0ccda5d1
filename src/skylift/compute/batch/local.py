"""Machines that are shares of this box: an agent process each, with worker processes of its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from skylift.compute.attempts.folders import AttemptFolder, AttemptFolders
from skylift.compute.batch.capabilities import CAPABILITIES
from skylift.compute.batch.groups_left import PREFIX, sweep_groups
from skylift.compute.batch.local_files import (
    CRASH,
    GONE,
    HOLDER,
    LEASE,
    LEAVE,
    LOCK,
    ON,
    ORDER,
    PID,
    READY,
    STOP,
    WARNED,
    AgentOrder,
    Assignment,
    Farewell,
    MachineFolder,
)
from skylift.compute.batch.provider import Held, Kind, Machine, NoCapacity, Phase
from skylift.compute.batch.share import group_parents, make_group, remove_group
from skylift.compute.gangs import HERE, free_port
from skylift.compute.process.machine import Machine as Box
from skylift.compute.process.machine import this_machine
from skylift.compute.worker.solo_files import SoloOrder, write_moment
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import Outcome, TaskCall

_PROGRAM = "import sys; from skylift.compute.batch.agent import main; main(sys.argv[1], int(sys.argv[2]))"
_LOCK_FD = 3
_KEEP_MS = 7 * 86_400_000
"""Outcomes that nobody has asked for are kept for so long."""
_FORGET_MS = 600_000
"""And those that were told for so long: the engine may die before it has written them down."""
_BURIED_MS = 600_000
_MAKING_S = 10.0
_GRACE_S = 5.0
_STEP_S = 0.005
_CLEAN_EVERY_S = 60.0


def local_kinds(box: Box) -> tuple[Kind, ...]:
    """One processor, two, four … up to all, with their share of the memory; GPUs come with the whole box."""
    sizes = [1]
    while sizes[-1] * 2 < box.cpus:
        sizes.append(sizes[-1] * 2)
    if box.cpus > sizes[-1]:
        sizes.append(int(box.cpus))
    return tuple(
        Kind(
            name=f"local-{size}",
            vcpus=float(size),
            memory_mib=max(1, int(box.memory_mib * size / max(1.0, box.cpus))),
            gpu=box.gpus[0] if box.gpus and size == sizes[-1] else None,
            gpus=len(box.gpus) if size == sizes[-1] else 0,
            startup_ms=400,
        )
        for size in sizes
    )


class LocalProvider:
    """The Provider port. Everything lies under `root`: machines, and the folders of attempts."""

    name = "local"
    capabilities = CAPABILITIES
    open = False
    pause_s = 0.005

    def __init__(
        self,
        root: Path,
        worker: WorkerConfig,
        *,
        kinds: Sequence[Kind] = (),
        withheld: Collection[str] = (),
        box: Box | None = None,
        grace_ms: int = 1_000,
        idle_ms: int = 60_000,
    ) -> None:
        """`idle_ms`: a machine that its pool has forgotten ends by itself, some time after it had nothing to do."""
        self._box = box or this_machine()
        self._kinds = tuple(kinds) or local_kinds(self._box)
        self.most_vcpus: float | None = None if kinds else self._box.cpus
        self._machines = root / "machines"
        self._machines.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._attempts = AttemptFolders(root / "attempts", lease_ms=_KEEP_MS)
        self._worker = worker
        self._withheld = tuple(withheld)
        self._grace_ms = grace_ms
        self._idle_ms = idle_ms
        self._lock = threading.Lock()
        self._known: dict[str, MachineFolder] = {}
        self._children: set[int] = set()
        """Agents that this process started, to be waited for."""
        self._folders: dict[str, AttemptFolder] = {}
        self._clean_at = 0.0

    def kinds(self) -> Sequence[Kind]:
        return self._kinds

    def in_stock(self, kind: Kind) -> bool | None:
        """A machine is a process of this box, which can always be started."""
        return True

    # Machines ---------------------------------------------------------------------------------------------------

    def start(self, kind: Kind, holder: str, until_ms: int) -> str:
        machine = f"m-{secrets.token_hex(5)}"
        with self._lock:
            devices = self._free_devices(kind)
            folder = MachineFolder(self._machines / machine)
            (folder.path / ON).mkdir(parents=True, mode=0o700)
            self._write_order(folder, kind, holder, until_ms, devices)
            try:
                self._spawn(folder)
            except OSError as problem:
                shutil.rmtree(folder.path, ignore_errors=True)
                raise NoCapacity(f"a process could not be started: {problem.strerror or problem}") from problem
        return machine

    def _free_devices(self, kind: Kind) -> tuple[int, ...]:
        if not kind.gpus:
            return ()
        taken = {device for folder in self._all() if folder.alive and folder.order for device in folder.order.devices}
        model = (kind.gpu or "").lower()
        free = [number for number, name in enumerate(self._box.gpus) if number not in taken and model in name.lower()]
        if len(free) < kind.gpus:
            raise NoCapacity(f"{kind.name} has {kind.gpus} GPUs, and {len(free)} of this box are free")
        return tuple(free[: kind.gpus])

    def _write_order(
        self, folder: MachineFolder, kind: Kind, holder: str, until_ms: int, devices: tuple[int, ...]
    ) -> None:
        group = make_group(f"{PREFIX}{folder.path.name}", kind.memory_mib)
        order = AgentOrder(
            id=folder.path.name,
            kind=kind,
            since_ms=int(time.time() * 1000),
            devices=devices,
            box_gpus=self._box.gpus,
            group=None if group is None else str(group.path),
            worker=self._worker,
            withheld=self._withheld,
            grace_ms=self._grace_ms,
            idle_ms=self._idle_ms,
        )
        write_moment(str(folder.path), LEASE, until_ms)
        folder.write_text(HOLDER, holder)
        folder.write(ORDER, order)

    def _spawn(self, folder: MachineFolder) -> None:
        """The child holds the lock from its first instant, through the descriptor that it is given."""
        held = os.open(folder.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        lock = fcntl.fcntl(held, fcntl.F_DUPFD_CLOEXEC, _LOCK_FD + 1)
        os.close(held)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(folder.path / CRASH), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, lock, _LOCK_FD),
            ]
            command = [sys.executable, "-P", "-c", _PROGRAM, str(folder.path), str(_LOCK_FD)]
            pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True)
        finally:
            os.close(lock)
        folder.write_text(PID, str(pid))
        self._children.add(pid)

    def look(self) -> Sequence[Machine]:
        with self._lock:
            self._reap()
            found = [machine for folder in self._all() if (machine := self._seen(folder)) is not None]
            self._clean()
        return found

    def _all(self) -> list[MachineFolder]:
        names = set()
        with contextlib.suppress(OSError):
            names = {path.name for path in self._machines.iterdir()}
        self._known = {name: self._known.get(name) or MachineFolder(self._machines / name) for name in names}
        return list(self._known.values())

    def _seen(self, folder: MachineFolder) -> Machine | None:
        alive = folder.alive
        order = folder.order
        if order is None or (not alive and self._being_made(folder)):
            return None
        farewell = folder.farewell()
        phase: Phase = "starting"
        if farewell is not None or not alive:
            phase = "gone"
            farewell = farewell or _died(folder, order.kind)
            if not alive:
                self._bury(folder, order)
        elif folder.has(WARNED):
            phase = "warned"
        elif folder.has(READY):
            phase = "ready"
        return Machine(
            id=order.id,
            kind=order.kind,
            phase=phase,
            since_ms=order.since_ms,
            until_ms=folder.until_ms,
            holder=folder.holder,
            holds=() if phase == "gone" else tuple(each.held for each in folder.assignments().values()),
            reason="" if farewell is None else farewell.reason,
            preempted=farewell is not None and farewell.preempted,
        )

    def _being_made(self, folder: MachineFolder) -> bool:
        """Its maker is between two steps, or has died there."""
        with contextlib.suppress(OSError):
            return not folder.has(PID) and time.time() - folder.path.stat().st_mtime < _MAKING_S
        return False

    def _bury(self, folder: MachineFolder, order: AgentOrder) -> None:
        _tidy(folder, order)
        with contextlib.suppress(OSError):
            if time.time() * 1000 - (folder.path / LEASE).stat().st_mtime * 1000 > _BURIED_MS:
                shutil.rmtree(folder.path, ignore_errors=True)

    def _reap(self) -> None:
        for pid in list(self._children):
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG) == (0, 0):
                    continue
            self._children.discard(pid)

    def renew(self, machine: str, until_ms: int, holder: str | None = None) -> None:
        folder = MachineFolder(self._machines / machine)
        with contextlib.suppress(FileNotFoundError):
            write_moment(str(folder.path), LEASE, until_ms)
            if holder is not None:
                folder.write_text(HOLDER, holder)

    def stop(self, machines: Collection[str]) -> None:
        """An interrupt, so that it ends in order; a kill for what does not go."""
        folders = [MachineFolder(self._machines / machine) for machine in machines]
        _signal(folders, signal.SIGINT)
        deadline = time.monotonic() + _GRACE_S
        while left := [folder for folder in folders if folder.alive]:
            if time.monotonic() > deadline:
                _signal(left, signal.SIGKILL)
            time.sleep(_STEP_S)
            with self._lock:
                self._reap()
        for folder in folders:
            if folder.order is None:
                continue
            if folder.farewell() is None and folder.path.exists():
                folder.write(GONE, Farewell(reason="it was stopped"))
            _tidy(folder, folder.order)

    # Attempts ---------------------------------------------------------------------------------------------------

    def run(self, machine: str, calls: Sequence[tuple[TaskCall, Held]]) -> None:
        folder = MachineFolder(self._machines / machine)
        for call, held in calls:
            found = self._folder_of(call.token)
            if found is not None and found.outcome() is None and folder.has(_on(found)):
                continue
            self._assign(folder, call, held)

    def _assign(self, machine: MachineFolder, call: TaskCall, held: Held) -> None:
        now_ms = int(time.time() * 1000)
        attempt = self._attempts.create(SoloOrder(call=call, config=self._worker, asked_ms=now_ms))
        with self._lock:
            self._folders[call.token] = attempt
        with contextlib.suppress(FileNotFoundError):  # the machine has been buried meanwhile: `look` tells
            machine.write(_on(attempt), Assignment(held=held, folder=str(attempt.path), asked_ms=now_ms))

    def cancel(self, machine: str, tokens: Collection[str]) -> None:
        self._ask(machine, tokens, STOP)

    def release(self, machine: str, tokens: Collection[str]) -> None:
        self._ask(machine, tokens, LEAVE)

    def _ask(self, machine: str, tokens: Collection[str], wish: str) -> None:
        folder = MachineFolder(self._machines / machine)
        for token in tokens:
            found = self._folder_of(token)
            if found is not None and folder.has(_on(found)):
                with contextlib.suppress(FileNotFoundError):
                    folder.write_text(_on(found) + wish, "")

    def saved_ms(self, tokens: Collection[str]) -> Mapping[str, float]:
        return {token: float(folder.saved_ms) for token in tokens if (folder := self._folder_of(token)) is not None}

    def outcomes(self, tokens: Collection[str]) -> Mapping[str, Outcome]:
        ended = {}
        for token in tokens:
            folder = self._folder_of(token)
            outcome = None if folder is None else folder.outcome()
            if outcome is not None:
                ended[token] = outcome
        return ended

    def call(self, token: str) -> TaskCall | None:
        folder = self._folder_of(token)
        order = None if folder is None else folder.order
        return None if order is None else order.call

    def forget(self, tokens: Collection[str]) -> None:
        for token in tokens:
            folder = self._folder_of(token)
            if folder is not None:
                with contextlib.suppress(FileNotFoundError):
                    folder.renew(int(time.time() * 1000) + _FORGET_MS)
                with self._lock:
                    self._folders.pop(token, None)

    def drop(self, tokens: Collection[str]) -> None:
        for token in tokens:
            folder = self._folder_of(token)
            if folder is not None:
                folder.remove()
                with self._lock:
                    self._folders.pop(token, None)

    def _folder_of(self, token: str) -> AttemptFolder | None:
        with self._lock:
            known = self._folders.get(token)
        if known is None:
            known = self._attempts.find(token)
            if known is not None:
                with self._lock:
                    self._folders[token] = known
        return known

    def _clean(self) -> None:
        """Orders, outcomes and groups that nobody will ask for."""
        now = time.monotonic()
        if now >= self._clean_at:
            self._clean_at = now + _CLEAN_EVERY_S
            self._attempts.clean()
            sweep_groups(group_parents())

    def rendezvous(self, machine: str) -> tuple[str, int]:
        return HERE, free_port()

    def listen(self, wake: Callable[[], None]) -> None:
        """Nothing calls: it is looked at often."""

    def close(self) -> None:
        with self._lock:
            self._reap()


def _on(attempt: AttemptFolder) -> str:
    """What an attempt's delivery is called on a machine."""
    return f"{ON}/{hashlib.sha256(str(attempt.path).encode()).hexdigest()[:24]}"


def _tidy(folder: MachineFolder, order: AgentOrder) -> None:
    """Remove its control groups, as soon as the last process has left them."""
    if not folder.tidy:
        folder.tidy = order.group is None or remove_group(order.group, Path(order.group).name)


def _died(folder: MachineFolder, kind: Kind) -> Farewell:
    """It left no word: killed, as a market or a failing host does it, or never well."""
    if not folder.has(READY):
        words = _words(folder)
        return Farewell(reason="its process did not come up" + (f": {words}" if words else ""))
    spot = kind.market == "spot"
    return Farewell(reason="its process was killed" + (" (a spot machine: taken away)" if spot else ""), preempted=spot)


def _words(folder: MachineFolder) -> str:
    """The last that its interpreter wrote."""
    with contextlib.suppress(OSError):
        lines = (folder.path / CRASH).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
    return ""


def _signal(folders: Sequence[MachineFolder], number: signal.Signals) -> None:
    """Only what holds its lock is signalled: its number cannot belong to another process."""
    for folder in folders:
        pid = folder.pid
        if pid is not None and folder.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
