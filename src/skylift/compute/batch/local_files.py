"""Machines that are shares of this box, as files: what the pool and a machine's agent tell each other.

| file of a machine | written by | holds |
|---|---|---|
| `order` | pool | what the machine is and how its workers are set up (`AgentOrder`) |
| `lease`, `holder` | pool | until when it may live, UTC milliseconds; which backend object gives it work |
| `pid`, `lock` | pool | its process; locked for as long as that lives, from before it starts |
| `on/NAME` | pool, removed by the agent | an attempt that is on the machine (`Assignment`) |
| `on/NAME.stop` | pool, removed by the agent | it is to be cancelled |
| `on/NAME.leave` | pool, removed by the agent | it may save its state and leave |
| `ready` | agent | it takes attempts |
| `warned` | agent | it will be taken away soon |
| `gone` | agent | why it has ended (`Farewell`) |

Orders and outcomes of attempts lie in folders of their own, see `skylift.compute.attempts`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final

import msgspec

from skylift.compute.batch.provider import Held, Kind
from skylift.compute.worker.solo_files import locked, read_moment, there, write
from skylift.compute.worker.wire import WorkerConfig

ORDER: Final = "order"
LEASE: Final = "lease"
HOLDER: Final = "holder"
PID: Final = "pid"
LOCK: Final = "lock"
ON: Final = "on"
STOP: Final = ".stop"
LEAVE: Final = ".leave"
WISHES: Final = (STOP, LEAVE)
"""What is asked of an attempt stands beside it, under its name and one of these."""
READY: Final = "ready"
WARNED: Final = "warned"
GONE: Final = "gone"
CRASH: Final = "crash"


class AgentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """All that a machine's agent is told."""

    id: str
    kind: Kind
    since_ms: int
    devices: tuple[int, ...] = ()
    """GPUs of the box that are its own."""
    box_gpus: tuple[str, ...] = ()
    """Models of all GPUs of the box."""
    group: str | None = None
    """Folder of the control group that keeps it to its memory."""
    worker: WorkerConfig
    withheld: tuple[str, ...] = ()
    """Variables of the environment that its workers do not inherit."""
    grace_ms: int = 1_000
    idle_ms: int = 60_000
    """After that without an attempt its pool stops it. Where there is no pool any more it ends by itself a little
    later."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    held: Held
    folder: str
    """Of the attempt: order, outcome."""
    asked_ms: int


class Farewell(msgspec.Struct, frozen=True, kw_only=True):
    reason: str
    preempted: bool = False


class MachineFolder:
    """What changes is read when asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = str(path)
        self._order: AgentOrder | None = None
        self.tidy = False
        """Its control groups are known to be gone."""

    @property
    def order(self) -> AgentOrder | None:
        """None while it is being made."""
        if self._order is None:
            self._order = self.read(ORDER, AgentOrder)
        return self._order

    @property
    def until_ms(self) -> int:
        return read_moment(self._folder, LEASE) or 0

    @property
    def holder(self) -> str:
        with contextlib.suppress(OSError):
            return (self.path / HOLDER).read_text()
        return ""

    @property
    def pid(self) -> int | None:
        return read_moment(self._folder, PID)

    def has(self, name: str) -> bool:
        return there(self._folder, name)

    @property
    def alive(self) -> bool:
        """Whether its process lives now."""
        return locked(self._folder, LOCK)

    def farewell(self) -> Farewell | None:
        return self.read(GONE, Farewell)  # type: ignore[no-any-return]

    def assignments(self) -> dict[str, Assignment]:
        """What is on it, by name."""
        found = {}
        for name in self.names():
            if not name.endswith(WISHES):
                assignment = self.read(f"{ON}/{name}", Assignment)
                if assignment is not None:
                    found[name] = assignment
        return found

    def names(self) -> list[str]:
        """What lies in `on`, drafts left out."""
        with contextlib.suppress(OSError):
            names = [path.name for path in (self.path / ON).iterdir()]
            return [name for name in names if "." not in name or name.endswith(WISHES)]
        return []

    def read(self, name: str, kind: Any) -> Any:
        try:
            return msgspec.msgpack.decode((self.path / name).read_bytes(), type=kind)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, name: str, value: Any) -> None:
        write(self._folder, name, msgspec.msgpack.encode(value))

    def write_text(self, name: str, text: str) -> None:
        write(self._folder, name, text.encode())

    def remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.path / name).unlink()
