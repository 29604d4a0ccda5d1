"""What a backend and a worker say to each other.

Orders flow down a stream socket as length-prefixed msgpack frames, replies flow up the same socket. Beside it runs the
*ticket pipe*: one 8-byte number per order. A worker starts an order only after it has read its ticket, and the backend
keeps a reading end of that pipe too. So an order that no worker has begun can be taken back by reading its ticket,
without asking the worker, which may be deep in C code: the kernel gives each ticket to exactly one reader. That is what
lets calls be batched without ever being run twice (decision 0040).
"""

from __future__ import annotations

import json
import signal
import struct
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from skylift.errors import InternalError
from skylift.ports.compute import CodeRef, Failed, Lost, OutOfMemory, TaskCall, TimedOut

TICKET: Final = struct.Struct("<Q")
LENGTH: Final = struct.Struct("<I")
WARNING: Final = getattr(signal, "SIGRTMIN", signal.SIGUSR2)
"""Tells a worker that its place is about to be taken away. SIGTERM is the end of the attempt (`Stopping`)."""
NOTICE: Final = struct.Struct("<d")
NOTICE_AT: Final = 1_048_576
"""Where in the file for crash reports it then finds how many seconds are left."""
LARGEST_FRAME: Final = 2**32 - 1


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame a worker is sent. Plain strings and numbers only."""

    name: str
    """For people and the ledger: `process-3`."""
    backend: str = "process"
    blobs: str | None = None
    """Where artifacts and bundles are: a path or an fsspec URL, given to `blobs_factory`."""
    checkpoints: str | None = None
    """Where checkpoints are kept: a path or an fsspec URL. None for beside `blobs`."""
    blobs_factory: str = "skylift.stores.open:open_blobs"
    """`module:function` called with `blobs` when an artifact or a bundle is first needed."""
    cache_dir: str = ""
    """Where bundles are unpacked."""
    inline_limit: int = 65_536
    paths: tuple[str, ...] = ()
    """Put before sys.path when code without a bundle is loaded."""
    cwd: str | None = None
    secrets: dict[str, str] = {}
    """Name → where it comes from: `env:NAME`, `file:PATH`, `keyring:SERVICE[/USER]`, `command:COMMAND LINE`. Names
    not listed are looked for in the environment, in SKYLIFT_SECRETS_DIR and in the keyring service `skylift`."""
    env: dict[str, str] = {}
    """Set for the life of the worker."""


class Order(msgspec.Struct, frozen=True, array_like=True):
    """One thing for a worker to do: run `call`, or only load `preload` into memory."""

    number: int
    call: TaskCall | None = None
    text: str | None = None
    """The arguments as JSON text, where msgpack has no form for them (integers beyond 64 bits)."""
    preload: CodeRef | None = None


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The worker is up."""

    pid: int


class Began(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Code is loaded, the attempt's time runs from here. Sent only for calls that have a limit to be kept."""

    number: int


class Beat(msgspec.Struct, frozen=True, array_like=True, tag=2):
    number: int


class Done(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The attempt succeeded."""

    number: int
    output: Any
    started_ms: int
    duration_ms: float
    cpu_ms: float
    peak_mib: float
    rss_mib: float
    text: bool = False
    """`output` is JSON text."""
    in_bytes: int = 0
    out_bytes: int = 0
    """Read from artifact storage, and written to it."""


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The attempt ended otherwise."""

    number: int
    outcome: Failed | OutOfMemory | TimedOut | Lost
    duration_ms: float
    rss_mib: float


class Loaded(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A preload is done, well or not: the call that needs the code reports what is wrong with it."""

    number: int
    rss_mib: float


class Saved(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """A checkpoint is stored: what `Usage.saved_ms` is, should the attempt end without a word."""

    number: int
    saved_ms: float


Reply = Hello | Began | Beat | Done | Ended | Loaded | Saved

_encode = msgspec.msgpack.Encoder().encode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode
_decode_order = msgspec.msgpack.Decoder(Order).decode
_decode_config = msgspec.msgpack.Decoder(WorkerConfig).decode


def frame(message: Any) -> bytes:
    """`message` with its length in front."""
    body = _encode(message)
    if len(body) > LARGEST_FRAME:
        raise OverflowError(f"a message of {len(body)} bytes; a frame holds at most {LARGEST_FRAME}")
    return LENGTH.pack(len(body)) + body


def order_frame(number: int, call: TaskCall) -> bytes:
    try:
        return frame(Order(number, call))
    except (OverflowError, UnicodeEncodeError):
        text = json.dumps(call.arguments)
        return frame(Order(number, msgspec.structs.replace(call, arguments=None), text))


def done_frame(done: Done) -> bytes:
    try:
        return frame(done)
    except (OverflowError, UnicodeEncodeError):
        return frame(msgspec.structs.replace(done, output=json.dumps(done.output), text=True))


def output_of(done: Done) -> Any:
    return json.loads(done.output) if done.text else done.output


def call_of(order: Order) -> TaskCall:
    if order.call is None:
        raise InternalError("an order without a call reached the place that runs calls")
    if order.text is None:
        return order.call
    return msgspec.structs.replace(order.call, arguments=json.loads(order.text))


decode_order = _decode_order
decode_config = _decode_config


def replies(buffer: bytearray) -> Iterator[Reply]:
    """The whole frames at the start of `buffer`, which keeps the rest."""
    start, have = 0, len(buffer)
    try:
        while have - start >= 4:
            (length,) = LENGTH.unpack_from(buffer, start)
            end = start + 4 + length
            if end > have:
                break
            reply = _decode_reply(memoryview(buffer)[start + 4 : end])
            start = end
            yield reply
    finally:
        if start:
            del buffer[:start]
