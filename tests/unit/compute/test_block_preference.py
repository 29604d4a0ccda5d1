"""Calls that read a block go to the machine that has read it, where that has room."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from skylift.blocks.block import Block
from skylift.compute.batch.offers import work_of
from skylift.compute.batch.packing import Room, pack
from skylift.compute.batch.provider import Kind, Machine
from skylift.compute.batch.scheduler import Ended, Observed, Place, PoolPolicy, Scheduler, Submitted
from skylift.compute.batch.work import Needs, Work
from skylift.compute.ray.crew import Crew, PlaceState
from skylift.compute.ray.desk import Desk
from skylift.compute.ray.wire import HostConfig, Node, SupervisorConfig, Told, encode, pack_call
from skylift.ports.compute import CodeRef, Succeeded, TaskCall
from skylift.stores.files import FileBlobStore
from skylift.values.codec import ValueCodec

SMALL = Kind(name="small", vcpus=1, memory_mib=1024)


def reads(token: str, block: int, folder: Path) -> TaskCall:
    value = Block(url="s3://b/a.csv", format="csv", index=block, start=block, end=block + 1, size=99, version="etag:1")
    return TaskCall(
        token=token,
        run_id="r",
        task="count",
        label="count",
        attempt=1,
        code=CodeRef(bundle=None, target="m:f"),
        arguments={"block": ValueCodec(FileBlobStore(folder)).dump(value)},
    )


def test_the_queue_prefers_the_machine_that_has_the_block(tmp_path: Path) -> None:
    scheduler = Scheduler(PoolPolicy(kinds=(SMALL,)))
    machines = [Machine(id=name, kind=SMALL, phase="ready", since_ms=0, until_ms=10**9) for name in ("m1", "m2", "m3")]
    scheduler.advance(Observed(machines, frozenset({"m1", "m2", "m3"})), 0)

    def placed(number: int, block: int) -> str:
        scheduler.advance(Submitted([work_of(reads(f"t{number}", block, tmp_path), {})]), number)
        (place,) = [effect for effect in scheduler.decide(number) if isinstance(effect, Place)]
        return place.machines[0]

    where = {block: placed(block, block) for block in range(3)}
    assert set(where.values()) == {"m1", "m2", "m3"}
    for block in range(3):
        scheduler.advance(Ended(f"t{block}"), 10)
    for number, block in enumerate((2, 0, 1), 10):
        assert placed(number, block) == where[block]
    scheduler.advance(Ended("t11"), 20)
    assert placed(20, 2) == where[0], "the machine of block 2 is busy: it does not wait for it"


def test_what_is_near_does_not_take_the_place_of_gpus() -> None:
    gpus = Room("g", Kind(name="g", vcpus=4, memory_mib=8192, gpu="V100", gpus=1))
    plain = Room("p", SMALL)
    assert pack(Needs(), [gpus, plain], "g") == [plain]
    assert pack(Needs(gpus=1), [gpus], "g") == [gpus]
    assert Work(token="t", needs=Needs()).near == ()


class Hands:
    """A cluster of nodes that a test names, with a place on each."""

    def __init__(self, nodes: list[str]) -> None:
        self.nodes = iter(nodes)
        self.given: list[str] = []

    def start_place(self, crew: Crew) -> PlaceState:
        place = PlaceState(f"place-{id(crew)}-{len(crew.places)}", crew)
        place.node = next(self.nodes, "more")
        return place

    def give(self, place: PlaceState, bodies: list[bytes]) -> None:
        self.given += [place.node] * len(bodies)

    def tell(self, client: str, event: bytes) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return lambda *given: None


def test_ray_prefers_the_node_that_has_the_block(tmp_path: Path) -> None:
    hands = Hands(["n1", "n2", "n3"])
    host = HostConfig(backend="ray", blobs="", blobs_factory="", probe="", mark="", mark_text="", bundles="")
    desk = Desk(SupervisorConfig(name="s", lease_ms=60_000, host=host), hands)  # type: ignore[arg-type]
    desk.nodes = [Node(id=name, address="", cpus=1.0, memory_mib=1024) for name in ("n1", "n2", "n3")]
    desk.submit([pack_call(reads(f"a{block}", block, tmp_path)) for block in range(3)], "engine")
    (crew,) = desk.crews.values()
    for place in list(crew.places):
        desk.up(place)
    first = dict(zip(range(3), hands.given, strict=True))
    assert set(first.values()) == {"n1", "n2", "n3"}
    finish(desk, crew.places)
    hands.given.clear()
    desk.submit([pack_call(reads(f"b{block}", block, tmp_path)) for block in (2, 0, 1)], "engine")
    assert hands.given == [first[2], first[0], first[1]]


def finish(desk: Desk, places: Collection[PlaceState]) -> None:
    for place in places:
        desk.answered(place, [encode(Told(token, Succeeded(output=1))) for token in list(place.window)])
