"""dump → JSON text → load gives the same value with the same types, for whatever Python's own types can build."""

from __future__ import annotations

import collections
import datetime
import enum
import tempfile
import zoneinfo
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from skylift.stores.files import FileBlobStore
from skylift.values.codec import ValueCodec, direct_references
from skylift.values.tags import ARTIFACT, TYPE

BLOBS = FileBlobStore(tempfile.mkdtemp(prefix="skylift-test-"))
CODEC = ValueCodec(BLOBS)
TINY = ValueCodec(BLOBS, inline_limit=60)


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Flags(enum.Flag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: Any
    y: Any = 0


@dataclass
class Record:
    first: Any
    second: Any = None
    third: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True, order=True)
class Slotted:
    value: Any


class Struct(msgspec.Struct):
    a: Any
    b: Any = 1


zones = st.sampled_from(
    [
        None,
        datetime.UTC,
        datetime.timezone(datetime.timedelta(hours=-3, minutes=7)),
        datetime.timezone(datetime.timedelta(hours=2), "CEST"),
        zoneinfo.ZoneInfo("Europe/Berlin"),
    ]
)
texts = st.text(max_size=20) | st.text(st.characters(codec=None), max_size=5)
hashables = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=20),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.times(timezones=st.just(None)),
    st.datetimes(timezones=zones),
    st.timedeltas(),
    st.complex_numbers(allow_nan=False),
    st.sampled_from([Colour.RED, Colour.PAIR, Level.LOW, Word.YES, Flags.A, Flags.A | Flags.B]),
    st.sampled_from([PurePosixPath("/a/b"), PureWindowsPath("c:\\x"), range(3, 9, 2)]),
)
keys = st.sampled_from([TYPE, ARTIFACT, "a"]) | texts


def containers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(values, max_size=4)
    return st.one_of(
        lists,
        lists.map(tuple),
        lists.map(collections.deque),
        st.dictionaries(keys, values, max_size=4),
        st.dictionaries(hashables, values, max_size=3),
        st.dictionaries(keys, values, max_size=2).map(collections.OrderedDict),
        st.sets(hashables, max_size=3),
        st.frozensets(hashables, max_size=3),
        st.binary(max_size=20).map(bytearray),
        st.builds(Point, values, values),
        st.builds(Record, values, values, lists),
        st.builds(Slotted, values),
        st.builds(Struct, values, values),
    )


values = st.recursive(hashables, containers, max_leaves=12)


def through_text(node: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(node))


def same(left: Any, right: Any) -> bool:
    """Equality with types, all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            same(a, b) for a, b in zip(sorted_items(left), sorted_items(right), strict=True)
        )
    if isinstance(left, enum.Enum):
        return left is right
    if isinstance(left, (list, tuple, collections.deque)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, (set, frozenset)):
        return left == right and sorted(map(repr, left)) == sorted(map(repr, right))
    if isinstance(left, Record):
        return same(list(vars(left).items()), list(vars(right).items()))
    if isinstance(left, (Slotted, Struct)):
        names = ["value"] if isinstance(left, Slotted) else ["a", "b"]
        return all(same(getattr(left, name), getattr(right, name)) for name in names)
    if isinstance(left, datetime.datetime):
        return left == right and repr(left) == repr(right)
    return left == right and repr(left) == repr(right)


def sorted_items(value: dict[Any, Any]) -> list[tuple[Any, Any]]:
    return list(value.items())


@given(values)
def test_values_come_back_equal_with_the_same_types(value: Any) -> None:
    node = CODEC.dump(value)
    assert same(CODEC.load(through_text(node)), value)


@given(values)
def test_also_when_nearly_everything_becomes_an_artifact(value: Any) -> None:
    node = through_text(TINY.dump(value))
    assert same(TINY.load(node), value)
    assert direct_references(node) <= TINY.references(node)
    assert all(BLOBS.exists(digest) for digest in TINY.references(node))


@given(values)
def test_inline_values_hold_no_json_artifact(value: Any) -> None:
    node = through_text(TINY.dump(value, inline=True))
    assert same(TINY.load(node), value)
    assert '"format":"json"' not in msgspec.json.encode(node).decode()


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: key not in (TYPE, ARTIFACT)), inner),
    max_leaves=20,
)


@given(plain)
def test_plain_json_is_its_own_form(value: Any) -> None:
    assert CODEC.dump(value) is value
    assert CODEC.load(value) == value
