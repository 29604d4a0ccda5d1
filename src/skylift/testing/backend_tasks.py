"""Functions that `BackendConformance` has workers run. Standard library only."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from skylift.compute.worker.current import attempt, heartbeat

NOT_CALLABLE = 3


class TooSmall(ValueError):
    """What `fail` raises."""


class Odd(BaseException):
    """Not an Exception."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def add(a: int, b: int) -> int:
    return a + b


def echo(value: Any) -> Any:
    return value


def nap(ms: float) -> float:
    time.sleep(ms / 1000)
    return ms


def spin(ms: float) -> int:
    end, count = time.perf_counter() + ms / 1000, 0
    while time.perf_counter() < end:
        count += 1
    return count


def append(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(text)


def append_after(path: str, text: str, ms: float) -> str:
    time.sleep(ms / 1000)
    append(path, text)
    return text


def meet() -> dict[str, Any]:
    """Every member of a gang sends its rank to rank 0, at the address it was told."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    where = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    heard = {rank}
    if rank == 0:
        with socket.create_server(where) as server:
            server.settimeout(60)
            while len(heard) < size:
                connection, _ = server.accept()
                with connection:
                    heard.add(int(connection.recv(16)))
    else:
        _tell(where, str(rank).encode())
    return {"rank": rank, "size": size, "heard": sorted(heard)}


def _tell(where: tuple[str, int], text: bytes) -> None:
    with _connected(where) as connection:
        connection.sendall(text)


def _connected(where: tuple[str, int]) -> socket.socket:
    """Once somebody listens there."""
    end = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(where, timeout=5)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def die_in_gang(folder: str) -> None:
    """Rank 1 is killed once rank 0 is up, which would go on for ever."""
    alive = Path(folder) / "alive"
    if os.environ["RANK"] == "1":
        while not alive.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        alive.touch()
        time.sleep(0.02)


def abandoned_in_gang() -> None:
    """Rank 1 is killed in the midst of talking to rank 0, which fails of that before anybody can know why."""
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if os.environ["RANK"] == "1":
        with _connected(address):
            os.kill(os.getpid(), signal.SIGKILL)
    with socket.create_server(address) as server:
        server.settimeout(60)
        peer, _ = server.accept()
        with peer:
            peer.settimeout(60)
            if not peer.recv(1):
                raise ConnectionError("Connection closed by peer")


def fail_in_gang() -> None:
    """Rank 1 fails; rank 0 would go on for ever."""
    if os.environ["RANK"] == "1":
        raise TooSmall("no")
    time.sleep(60)


async def later(value: int) -> int:
    return value


def numbers(count: int) -> Iterator[int]:
    yield from range(count)


async def async_numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def fail(message: str) -> None:
    raise TooSmall(message)


def odd(kind: str) -> Any:
    if kind == "unprintable":
        raise Unprintable
    if kind == "exit":
        sys.exit(0)
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "base":
        raise Odd("x" * 100_000)
    if kind == "group":
        raise ExceptionGroup("several", [ValueError("one"), TypeError("two")])
    if kind == "chained":
        try:
            fail("inner")
        except TooSmall as error:
            raise RuntimeError("outer") from error
    return odd(kind)


def die(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    import ctypes

    ctypes.string_at(0)


def die_once(mark: str) -> None:
    path = Path(mark)
    if not path.exists():
        path.touch()
        os._exit(1)


def beat(times: int, every_ms: float, then_ms: float) -> None:
    for _ in range(times):
        time.sleep(every_ms / 1000)
        heartbeat()
    time.sleep(then_ms / 1000)


def allocate(mib: int, hold_ms: float = 50) -> int:
    """Really used, in steps, so that the whole does not come at one blow; and held, for whoever looks at it."""
    blocks = []
    for _ in range(mib):
        blocks.append(bytearray(b"x" * 2**20))
        time.sleep(0.0005)
    time.sleep(hold_ms / 1000)
    return len(blocks)


def note_and_nap(path: str, ms: float) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(ms / 1000)


def until_warned(longest_s: float) -> float:
    """How many seconds were left when the warning had come."""
    now, end = attempt(), time.monotonic() + longest_s
    while now is not None and now.warned is None and time.monotonic() < end:
        time.sleep(0.005)
    return -1.0 if now is None or now.warned is None else now.warned


def heed_warning(path: str) -> float:
    """Listens from the moment that there is such a file."""
    Path(path).touch()
    return until_warned(600)


def die_of_warning(path: str) -> None:
    if heed_warning(path) >= 0:
        os.kill(os.getpid(), signal.SIGKILL)


def version_of(module: str) -> str | None:
    """None where it is not installed."""
    try:
        return str(importlib.import_module(module).VERSION)
    except ModuleNotFoundError:
        return None


def read_text(path: str) -> str | None:
    return Path(path).read_text() if Path(path).exists() else None


def count_until(path: str) -> list[int]:
    """Counts, saving the count, until there is such a file: from where, and how far."""
    from skylift import checkpoint

    state: dict[str, int] = checkpoint.load({"count": 0})
    began_at = state["count"]
    while not Path(path).exists():
        state["count"] += 1
        if checkpoint.due():
            checkpoint.save(state)
        time.sleep(0.01)
    return [began_at, state["count"]]


def alone(folder: str, ms: float) -> bool:
    """Whether no other attempt was in here at the same time."""
    mark = Path(folder) / "inside"
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    time.sleep(ms / 1000)
    mark.unlink()
    return True


def surroundings() -> dict[str, str | None]:
    before = str(Path.cwd())
    os.chdir("/")
    return {"variable": os.environ.get("SKYLIFT_TEST_VARIABLE"), "folder": before}


def myself() -> dict[str, Any]:
    now = attempt()
    assert now is not None
    return {"token": now.token, "run": now.run_id, "number": now.number}


def speak() -> None:
    import ctypes
    import logging
    import subprocess

    print("from print: grüß")  # noqa: T201 - output is what this is for
    print("from stderr", file=sys.stderr)  # noqa: T201
    subprocess.run(["/bin/echo", "from a child"], check=True)
    ctypes.CDLL(None).printf(b"from C\n")
    logging.getLogger("speaker").warning("from logging %d", 1)
    sys.stdout.write("no end of line")


def handler(event: Any, context: Any) -> dict[str, Any]:
    return {
        "event": event,
        "request": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
    }


def bad_handler(event: Any, context: Any) -> Any:
    return {"set": {1, 2}}
