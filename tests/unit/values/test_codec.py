from __future__ import annotations

import threading
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from skylift.errors import BlobMissing
from skylift.stores.files import FileBlobStore
from skylift.values.codec import ValueCodec, direct_references
from skylift.values.tags import ARTIFACT, TYPE, ValueNotLoadable, ValueNotStorable


@dataclass
class Model:
    accuracy: float
    weights: Any = None
    history: list[Any] = field(default_factory=list)


@dataclass
class Checked:
    value: int
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        self.twice = self.value * 2


@dataclass
class WithCache:
    value: int

    @cached_property
    def double(self) -> int:
        return self.value * 2


@dataclass
class OwnPickling:
    value: int

    def __getstate__(self) -> dict[str, int]:
        return {"kept": self.value}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.value = state["kept"] + 100


class Plain:
    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]


@dataclass
class Failure(Exception):
    reason: str


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(tmp_path)


@pytest.fixture
def codec(blobs: FileBlobStore) -> ValueCodec:
    return ValueCodec(blobs)


def round_trip(codec: ValueCodec, value: Any) -> Any:
    return codec.load(msgspec.json.decode(msgspec.json.encode(codec.dump(value))))


def test_fields_stay_visible(codec: ValueCodec) -> None:
    node = codec.dump(Model(accuracy=0.5, history=[(1, 2)]))
    assert node == {
        TYPE: f"{__name__}:Model",
        "accuracy": 0.5,
        "weights": None,
        "history": [{TYPE: "tuple", "items": [1, 2]}],
    }


def test_only_the_large_field_becomes_an_artifact(codec: ValueCodec) -> None:
    node = codec.dump(Model(accuracy=0.5, weights=np.zeros(100_000), history=["x" * 100_000]))
    assert node["accuracy"] == 0.5
    assert node["weights"]["format"] == "numpy"
    assert node["history"][0]["format"] == "json"
    assert len(direct_references(node)) == 2
    back = codec.load(node)
    assert back.history == ["x" * 100_000]
    assert np.array_equal(back.weights, np.zeros(100_000))


def test_an_array_of_many_small_items_goes_whole(codec: ValueCodec) -> None:
    node = codec.dump({"small": 1, "rows": list(range(100_000))})
    assert node["small"] == 1
    assert node["rows"]["type"] == "list"
    assert codec.load(node)["rows"] == list(range(100_000))


def test_many_middling_fields_go_largest_first(codec: ValueCodec) -> None:
    value = {f"k{number}": "x" * 10_000 * number for number in range(1, 5)} | {"accuracy": 1}
    node = codec.dump(value)
    assert node["accuracy"] == 1
    assert node["k1"] == "x" * 10_000
    assert node["k4"]["format"] == "json"
    assert len(msgspec.json.encode(node)) <= codec.inline_limit
    assert codec.load(node) == value


def test_thousands_of_keys_go_whole(codec: ValueCodec) -> None:
    value = {f"key-{number}": number for number in range(20_000)}
    node = codec.dump(value)
    assert node["type"] == "dict"
    assert codec.load(node) == value


def test_inline_keeps_json_whatever_its_size(codec: ValueCodec) -> None:
    value = {"text": "x" * 200_000, "array": np.arange(3)}
    node = codec.dump(value, inline=True)
    assert node["text"] == value["text"]
    assert node["array"]["format"] == "numpy"


def test_references_follow_what_is_nested(codec: ValueCodec, blobs: FileBlobStore) -> None:
    node = codec.dump([{"array": np.arange(number), "pad": "y" * 500} for number in range(400)])
    assert node["nested"] is True
    found = codec.references(node)
    assert len(found) == 401
    assert found == set(blobs.digests())
    assert len(codec.load(node)) == 400


def test_equal_content_is_stored_once(codec: ValueCodec, blobs: FileBlobStore) -> None:
    codec.dump([np.arange(10), np.arange(10), Model(1, np.arange(10))])
    assert len(list(blobs.digests())) == 1


def test_keys_like_ours_are_escaped(codec: ValueCodec) -> None:
    for value in ({TYPE: "tuple"}, {ARTIFACT: "sha256:x"}, {TYPE: {TYPE: 1}}, {"a": {ARTIFACT: None}}):
        assert round_trip(codec, value) == value


@pytest.mark.parametrize(
    ("value", "plain"),
    [(np.float64(0.25), 0.25), (np.float32(0.5), 0.5), (np.int8(-3), -3), (np.bool_(True), True), (np.str_("a"), "a")],
)
def test_numpy_numbers_become_pythons(codec: ValueCodec, value: Any, plain: Any) -> None:
    node = codec.dump(value)
    assert node == plain
    assert type(node) is type(plain)


def test_numpy_values_out_of_range(codec: ValueCodec) -> None:
    assert round_trip(codec, np.float64("inf")) == float("inf")
    assert round_trip(codec, np.uint64(2**64 - 1)) == 2**64 - 1
    assert round_trip(codec, np.datetime64("2020-01-01")) == np.datetime64("2020-01-01")
    assert round_trip(codec, np.complex128(1 + 2j)) == 1 + 2j


@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(a=1),
        Counter("hello"),
        defaultdict(list, a=[1]),
        Plain(3),
        [Plain(3), {"x": Plain(4)}],
        b"x" * 100_000,
        bytearray(b"x" * 100_000),
        {1: "a", "1": "b", (1, 2): "c", None: "d"},
    ],
)
def test_other_values_come_back(codec: ValueCodec, value: Any) -> None:
    back = round_trip(codec, value)
    assert back == value
    assert type(back) is type(value)


def test_huge_integers(codec: ValueCodec) -> None:
    for value in (10**5000, -(10**5000), 2**63, -(2**63) - 1):
        assert round_trip(codec, value) == value


def test_functions_and_exceptions_are_pickled(codec: ValueCodec) -> None:
    assert round_trip(codec, lambda: 42)() == 42
    error = round_trip(codec, Failure("bad"))
    assert (type(error), error.reason) == (Failure, "bad")
    assert codec.dump(Failure("bad"))["format"] == "pickle"


def test_records_are_made_without_their_constructor(codec: ValueCodec) -> None:
    value = Checked(3)
    value.twice = 7
    assert round_trip(codec, value) == value


def test_a_record_with_more_than_its_fields_is_pickled(codec: ValueCodec) -> None:
    value = Model(1.0)
    value.extra = 5  # type: ignore[attr-defined]
    assert codec.dump(value)["format"] == "pickle"
    assert round_trip(codec, value).extra == 5


def test_a_cached_property_does_not_travel(codec: ValueCodec) -> None:
    value = WithCache(2)
    assert value.double == 4
    assert codec.dump(value) == {TYPE: f"{__name__}:WithCache", "value": 2}
    assert round_trip(codec, value).double == 4


def test_a_class_with_its_own_pickling_is_pickled(codec: ValueCodec) -> None:
    assert round_trip(codec, OwnPickling(1)).value == 101


def test_a_local_class_is_pickled_by_value(codec: ValueCodec) -> None:
    @dataclass
    class Local:
        x: int

    assert codec.dump(Local(1))["format"] == "pickle"
    assert round_trip(codec, Local(1)) == Local(1)


def test_a_cycle_is_pickled(codec: ValueCodec) -> None:
    value: list[Any] = [1]
    value.append(value)
    back = round_trip(codec, value)
    assert back[1] is back


def test_depth_is_no_problem(codec: ValueCodec) -> None:
    value: Any = 1
    for _ in range(300):
        value = [value, {"k": value}] if _ < 3 else [value]
    assert round_trip(codec, value) == value


def test_what_cannot_be_stored_says_so(codec: ValueCodec) -> None:
    with pytest.raises(ValueNotStorable, match=r"lock.*cannot be stored") as caught:
        codec.dump({"a": threading.Lock()})
    assert caught.value.hint


@pytest.mark.parametrize(
    "node",
    [
        {TYPE: "no-such-tag"},
        {TYPE: 5},
        {TYPE: "tuple"},
        {TYPE: "datetime", "value": "yesterday"},
        {TYPE: "no_such_module_x:Class", "a": 1},
        {TYPE: f"{__name__}:NoClass", "a": 1},
        {TYPE: f"{__name__}:Plain", "value": 1},
        {TYPE: f"{__name__}:Model", "accuracy": 1},
        {TYPE: "os:system"},
        {ARTIFACT: "md5:123", "format": "json"},
        {ARTIFACT: "sha256:" + "0" * 64, "format": "from-the-future"},
    ],
)
def test_what_cannot_be_loaded_says_so(codec: ValueCodec, node: Any) -> None:
    with pytest.raises(ValueNotLoadable):
        codec.load(node)


def test_a_missing_artifact_is_named(codec: ValueCodec) -> None:
    with pytest.raises(BlobMissing, match="0" * 64):
        codec.load({ARTIFACT: "sha256:" + "0" * 64, "format": "json", "type": "str", "size": 1})


def test_a_server_neither_unpickles_nor_imports(codec: ValueCodec, blobs: FileBlobStore) -> None:
    server = ValueCodec(blobs, allow_pickle=False)
    for value in (Plain(1), Model(1.0), np.array([None, "x"], dtype=object)):
        with pytest.raises(ValueNotLoadable):
            server.load(codec.dump(value))
    array = np.arange(5)
    assert np.array_equal(server.load(codec.dump(array)), array)
    assert server.load(codec.dump((1, {2}))) == (1, {2})
