from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union

import pytest

from skylift.stores.files import FileBlobStore
from skylift.values.codec import ValueCodec
from skylift.values.files import Directory, File
from skylift.values.tags import ValueMismatch

T = TypeVar("T")
UserId = NewType("UserId", int)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1


class Options(TypedDict, total=False):
    rate: float
    since: datetime.date


class Strict(TypedDict):
    rate: float


class Pair(NamedTuple):
    a: int
    b: float = 0.5


@dataclass
class Inner:
    when: datetime.datetime
    scale: float = 1.0


@dataclass
class Outer:
    inner: Inner
    many: list[Inner] = field(default_factory=list)
    by_name: dict[str, Inner] = field(default_factory=dict)
    parent: Optional[Outer] = None  # noqa: UP045


@dataclass
class Box(Generic[T]):
    content: T


NOON = "2026-01-02T12:00:00+00:00"
WHEN = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


@pytest.fixture
def codec(tmp_path: Path) -> ValueCodec:
    return ValueCodec(FileBlobStore(tmp_path))


FITTING: list[tuple[Any, Any, Any]] = [
    (int, 3, 3),
    (int, 3.0, 3),
    (float, 3, 3.0),
    (str, "x", "x"),
    (bool, True, True),
    (None, None, None),
    (type(None), None, None),
    (datetime.datetime, NOON, WHEN),
    (datetime.date, "2026-01-02", datetime.date(2026, 1, 2)),
    (datetime.time, "12:30", datetime.time(12, 30)),
    (datetime.timedelta, 90, datetime.timedelta(seconds=90)),
    (decimal.Decimal, "1.50", decimal.Decimal("1.50")),
    (decimal.Decimal, 1.5, decimal.Decimal("1.5")),
    (uuid.UUID, str(uuid.UUID(int=5)), uuid.UUID(int=5)),
    (Path, "/a", Path("/a")),
    (File, "/a", File("/a")),
    (Directory, "/a", Directory("/a")),
    (bytes, "YWI=", b"ab"),
    (Colour, "red", Colour.RED),
    (Colour, "BLUE", Colour.BLUE),
    (Size, 1, Size.SMALL),
    (list[float], [1, 2.5], [1.0, 2.5]),
    (list, [1], [1]),
    (Sequence[int], [1], [1]),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (tuple, [1], (1,)),
    (set[int], [1, 1], {1}),
    (frozenset[str], ["a"], frozenset("a")),
    (dict[str, tuple[int, int]], {"a": [1, 2]}, {"a": (1, 2)}),
    (dict[int, str], {"1": "a"}, {1: "a"}),
    (Mapping[str, float], {"a": 1}, {"a": 1.0}),
    (Optional[int], None, None),  # noqa: UP045
    (int | None, 3, 3),
    (float | None, 3, 3.0),
    (Union[int, str], "a", "a"),  # noqa: UP007
    (int | Inner, {"when": NOON}, Inner(WHEN)),
    (datetime.date | str, "2026-01-02", datetime.date(2026, 1, 2)),
    (datetime.date | str, "today", "today"),
    (Literal["a", 1], 1, 1),
    (Annotated[int, "x"], 2.0, 2),
    (UserId, 7, 7),
    (Options, {"rate": 1, "since": "2026-01-02"}, {"rate": 1.0, "since": datetime.date(2026, 1, 2)}),
    (Pair, {"a": 1}, Pair(1)),
    (Inner, {"when": NOON, "scale": 2}, Inner(WHEN, 2.0)),
    (Box[int], {"content": [1]}, Box([1])),
    (Any, [1], [1]),
    (
        Outer,
        {"inner": {"when": NOON}, "many": [{"when": NOON}], "by_name": {"x": {"when": NOON}}, "parent": None},
        Outer(Inner(WHEN), [Inner(WHEN)], {"x": Inner(WHEN)}),
    ),
    (
        Outer,
        {"inner": {"when": NOON}, "parent": {"inner": {"when": NOON}}},
        Outer(Inner(WHEN), parent=Outer(Inner(WHEN))),
    ),
]


@pytest.mark.parametrize(("annotation", "node", "value"), FITTING)
@pytest.mark.parametrize("strict", [True, False])
def test_plain_json_becomes_the_annotated_type(
    codec: ValueCodec, annotation: Any, node: Any, value: Any, strict: bool
) -> None:
    found = codec.load(node, annotation, strict=strict)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("annotation", "_", "value"), FITTING)
def test_tags_win_over_annotations(codec: ValueCodec, annotation: Any, _: Any, value: Any) -> None:
    if isinstance(value, (File, Directory)):
        pytest.skip("their content travels")
    found = codec.load(codec.dump(value), annotation)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "node", "message"),
    [
        (int, "3", "a whole number is needed, not '3'"),
        (int, True, "a whole number"),
        (int, 3.5, "a whole number"),
        (float, "x", "a number"),
        (str, 3, "a string"),
        (bool, 1, "true or false"),
        (datetime.date, "soon", "a date"),
        (Colour, "green", "one of 'red', 'blue'"),
        (Literal["a", "b"], "c", "one of 'a', 'b'"),
        (list[int], "x", "an array"),
        (list[int], [1, "x"], "/1: a whole number"),
        (dict[str, int], {"a": {"b": 1}}, "/a: a whole number"),
        (tuple[int, str], [1], "an array of 2 items"),
        (int | None, "x", "int or null"),
        (Inner, {"when": NOON, "colour": 1}, "no field colour"),
        (Inner, {"scale": 1}, "no Inner can be made"),
        (Outer, {"inner": {"when": 5}}, "/inner/when: a date and time"),
        (Strict, {}, "needs rate"),
        (Inner, [1], "an object"),
    ],
)
def test_misfits_are_named_when_strict_and_left_alone_otherwise(
    codec: ValueCodec, annotation: Any, node: Any, message: str
) -> None:
    with pytest.raises(ValueMismatch) as caught:
        codec.load(node, annotation, strict=True)
    assert message in str(caught.value)
    codec.load(node, annotation)


def test_artifacts_pass_whatever_the_annotation(codec: ValueCodec) -> None:
    node = codec.dump(["x" * 100_000])
    for annotation in (list[str], int, dict[str, int], Inner, str | None):
        assert codec.load(node, annotation) == ["x" * 100_000]
