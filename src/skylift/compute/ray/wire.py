"""What engine, bridge, supervisor and hosts tell each other: msgpack, so that no part unpickles another's words."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from skylift.compute.worker.wire import Order, call_of, decode_order, order_frame
from skylift.ports.compute import Cancelled, Failed, Lost, OutOfMemory, Succeeded, TaskCall, TimedOut

AnyOutcome = Succeeded | Failed | TimedOut | OutOfMemory | Lost | Cancelled
LENGTH: Final = struct.Struct("<I")


class HostConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the places that run attempts are told once."""

    backend: str
    blobs: str
    blobs_factory: str
    probe: str
    """Digest of a blob that every node must be able to read."""
    mark: str
    """A file beside the engine's state; who reads `mark_text` in it sees the engine's files."""
    mark_text: str
    bundles: str
    """Where code is unpacked, on machines that see the engine's files."""
    paths: tuple[str, ...] = ()
    """Where code without a bundle is looked for, on such machines."""
    secrets: dict[str, str] = {}
    withheld: tuple[str, ...] = ()


class SupervisorConfig(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    lease_ms: int
    host: HostConfig
    gangs: Literal["pack", "spread", "strict-spread"] = "pack"
    grows: bool = False
    idle_s: float = 30.0
    """How long a place is kept warm that has nothing to do."""


class BridgeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame a bridge is sent."""

    address: str
    client: str
    """Names this engine object among those of the project."""
    ours: bool
    """Started here, by this interpreter: its machine has our code."""
    must_exist: bool
    """Only for a supervisor that is there already."""
    supervisor: SupervisorConfig


class Down(msgspec.Struct, frozen=True, array_like=True):
    """Engine to bridge: ask `method` of the supervisor."""

    number: int
    method: str
    body: bytes


class Up(msgspec.Struct, frozen=True, array_like=True):
    """Bridge to engine."""

    number: int
    kind: Literal["answer", "error", "events", "up", "refused", "gone", "note"]
    body: bytes = b""


class Submit(msgspec.Struct, frozen=True, array_like=True):
    calls: list[bytes]


class Told(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """An attempt ended."""

    token: str
    outcome: AnyOutcome
    text: bool = False
    """The output of a success is JSON text, for msgpack has no form for it."""


class Wrote(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What an attempt printed on a machine that cannot see the engine's files."""

    token: str
    path: str
    data: bytes


class Began(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A host is up, or says why it is of no use."""

    node: str
    address: str
    problem: str | None = None


Event = Told | Wrote


class Events(msgspec.Struct, frozen=True, array_like=True):
    """What is new since `seen`; the next question acknowledges `last`."""

    last: int
    events: list[bytes]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A machine of the cluster."""

    id: str
    address: str
    cpus: float
    memory_mib: int
    gpus: int = 0
    accelerators: tuple[str, ...] = ()
    market: str = "on-demand"
    instance_type: str = "ray-node"


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """An attempt that the supervisor holds, for sweepers."""

    token: str
    run_id: str
    label: str
    until_ms: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor says of itself."""

    name: str
    until_ms: int
    holdings: list[Holding]
    nodes: list[Node]
    clients: int
    places: int
    unheard: int = 0
    """Attempts that have ended while no engine listened."""


encode = msgspec.msgpack.Encoder().encode
decode_event: Callable[[bytes], Event] = msgspec.msgpack.Decoder(Event).decode


def decode(data: bytes, kind: Any) -> Any:
    return msgspec.msgpack.decode(data, type=kind)


def framed(message: Any) -> bytes:
    body = encode(message)
    return LENGTH.pack(len(body)) + body


def pack_call(call: TaskCall) -> bytes:
    """Raises what `order_frame` raises for arguments that cannot be sent."""
    return order_frame(0, call)[LENGTH.size :]


def unpack_call(body: bytes) -> TaskCall:
    return call_of(decode_order(body))


def head_of(body: bytes) -> TaskCall:
    """The call without its arguments, for those who only pass it on."""
    order: Order = decode_order(body)
    assert order.call is not None
    return msgspec.structs.replace(order.call, arguments=None)


def pack_outcome(token: str, outcome: AnyOutcome) -> bytes:
    try:
        return encode(Told(token, outcome))
    except (OverflowError, UnicodeEncodeError):
        assert isinstance(outcome, Succeeded)
        return encode(Told(token, msgspec.structs.replace(outcome, output=json.dumps(outcome.output)), True))


def outcome_of(told: Told) -> AnyOutcome:
    if not told.text or not isinstance(told.outcome, Succeeded):
        return told.outcome
    return msgspec.structs.replace(told.outcome, output=json.loads(told.outcome.output))
