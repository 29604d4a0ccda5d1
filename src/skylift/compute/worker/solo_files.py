"""The files through which a lone attempt and whoever started it talk: one folder a delivery, shared by both.

| file | written by | holds |
|---|---|---|
| `lease` | holder | until when the attempt may live, UTC milliseconds; renewed while somebody wants it |
| `order` | holder | the call and how to run it (`SoloOrder`) |
| `secrets` | holder | values of secrets by name, of variables by `$NAME`; gone as soon as they are read |
| `stop` | holder | the attempt is to be cancelled |
| `bell` | supervisor | a pipe that rings when something has happened; its writing end closes with the supervisor |
| `ear` | holder | a pipe that wakes the supervisor to look at what is asked of it |
| `alive` | supervisor | its process and when that started; locked for as long as it lives |
| `warned` | supervisor | the machine is about to be taken away |
| `saved` | machine's agent | milliseconds of work that the attempt's checkpoints keep so far |
| `kept` | supervisor | the attempt failed, and its place is kept until then |
| `outcome` | supervisor | how it ended (`SoloEnd`); appears whole, and last |

Nothing else is needed to adopt an attempt: what is true of it stands in its folder.

The code of an attempt can write there too, and whoever holds it may be root: no link is followed, nothing but plain
files of a bounded size is read, and nothing but data. What it can forge is its own end. Its lease stands beside the
folder too, where it cannot reach in a container: whoever sweeps believes that.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from typing import Any, Final

import msgspec

from skylift.asl.events import Usage
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, OutOfMemory, Succeeded, TaskCall, TimedOut
from skylift.ports.foreign import sound

LEASE: Final = "lease"
ORDER: Final = "order"
SECRETS: Final = "secrets"
STOP: Final = "stop"
BELL: Final = "bell"
EAR: Final = "ear"
ALIVE: Final = "alive"
WARNED: Final = "warned"
SAVED: Final = "saved"
KEPT: Final = "kept"
OUTCOME: Final = "outcome"
CRASH: Final = "crash"
"""What the interpreter wrote when it crashed."""


LONGEST_FILE: Final = 256 * 1024 * 1024
"""Of an order or an outcome."""
_LONGEST_MOMENT = 64
_LATEST_MS = 2**53
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class SoloOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that the supervisor of one attempt is told."""

    call: TaskCall
    text: str | None = None
    """The arguments as JSON text, where msgpack has no form for them."""
    config: WorkerConfig
    asked_ms: int
    """When a place for the attempt was asked for, UTC: its start-up counts from here."""
    place: Usage = Usage()
    """What is known of the place beforehand: service, instance type, processors, memory, market, region."""
    limit_mib: int | None = None
    """The limit of memory to be told of, where the attempt runs out of it."""
    group: str | None = None
    """Folder of the control group that limits and counts its memory; in it, or in `memory/` below it, lie the files."""
    join: bool = False
    """The attempt has to be put into that group, which is removed after it."""
    watch: bool = False
    """No group limits its memory: the supervisor looks at it now and then."""
    grace_ms: int = 1_000
    """Between the request to stop and the kill."""
    load_timeout_ms: int = 600_000
    """For importing user code, which the task's own timeout does not count."""


class SoloEnd(msgspec.Struct, frozen=True, array_like=True):
    """An outcome on file."""

    outcome: Succeeded | Failed | TimedOut | OutOfMemory | Lost | Cancelled
    text: bool = False
    """The output is JSON text."""


_encode = msgspec.msgpack.Encoder().encode


def write_order(folder: str, order: SoloOrder) -> None:
    """Raises TypeError, ValueError or RecursionError for arguments that have no JSON form."""
    try:
        data = _encode(order)
    except (OverflowError, UnicodeEncodeError):
        text = json.dumps(order.call.arguments)
        call = msgspec.structs.replace(order.call, arguments=None)
        data = _encode(msgspec.structs.replace(order, call=call, text=text))
    write(folder, ORDER, data)


def read_order(folder: str) -> SoloOrder | None:
    """None where there is none, or none that can be read."""
    order: SoloOrder | None = _read(folder, ORDER, SoloOrder)
    if order is None or order.text is None:
        return order
    call = msgspec.structs.replace(order.call, arguments=json.loads(order.text))
    return msgspec.structs.replace(order, call=call, text=None)


def write_outcome(folder: str, outcome: Outcome) -> None:
    try:
        data = _encode(SoloEnd(outcome))
    except (OverflowError, UnicodeEncodeError):
        assert isinstance(outcome, Succeeded)
        data = _encode(SoloEnd(msgspec.structs.replace(outcome, output=json.dumps(outcome.output)), text=True))
    write(folder, OUTCOME, data)


def read_outcome(folder: str) -> Outcome | None:
    end: SoloEnd | None = _read(folder, OUTCOME, SoloEnd)
    if end is None:
        return None
    if end.text and isinstance(end.outcome, Succeeded):
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            return msgspec.structs.replace(end.outcome, output=json.loads(end.outcome.output))
        return None
    return sound(end.outcome)


def write_secrets(folder: str, values: dict[str, str]) -> None:
    write(folder, SECRETS, _encode(values))


def take_secrets(folder: str) -> dict[str, str]:
    """The values, which are on file no longer."""
    values: dict[str, str] = _read(folder, SECRETS, dict[str, str]) or {}
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, SECRETS))
    return values


def write_moment(folder: str, name: str, moment_ms: int) -> None:
    write(folder, name, str(moment_ms).encode())


def read_moment(folder: str, name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return max(0, min(int(_bytes(folder, name, _LONGEST_MOMENT)), _LATEST_MS))
    return None


def until_ms(folder: str) -> int:
    """Until when the attempt may live or its place be kept; 0 where nothing says so."""
    kept = read_moment(folder, KEPT)
    return kept if kept is not None else read_moment(folder, LEASE) or 0


def there(folder: str, name: str) -> bool:
    return os.path.lexists(os.path.join(folder, name))


def locked(folder: str, name: str) -> bool:
    """Whether some process holds the file's lock; a file that is not there is nobody's."""
    try:
        fd = os.open(os.path.join(folder, name), os.O_RDONLY | _SAFELY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def mark(folder: str, name: str) -> None:
    os.close(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | _SAFELY, 0o600))


def write(folder: str, name: str, data: bytes) -> None:
    """Appears whole or not at all."""
    path = os.path.join(folder, name)
    draft = f"{path}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)
    os.replace(draft, path)


def open_pipe(folder: str, name: str, flags: int) -> int:
    """Without waiting for the other end. OSError where it is no pipe."""
    return _opened(folder, name, flags, stat.S_ISFIFO)


def read_start(folder: str, name: str, most: int) -> bytes:
    """The first bytes of a plain file. OSError where there is none."""
    with open(_opened(folder, name, os.O_RDONLY, stat.S_ISREG), "rb") as file:
        return file.read(most)


def _bytes(folder: str, name: str, most: int = LONGEST_FILE) -> bytes:
    data = read_start(folder, name, most + 1)
    if len(data) > most:
        raise OSError(f"{name} is longer than {most} bytes")
    return data


def _opened(folder: str, name: str, flags: int, is_right: Any) -> int:
    fd = os.open(os.path.join(folder, name), flags | _SAFELY)
    if is_right(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(f"{name} is not what it should be")


def _read(folder: str, name: str, kind: Any) -> Any:
    try:
        return msgspec.msgpack.decode(_bytes(folder, name), type=kind)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None
