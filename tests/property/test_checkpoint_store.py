"""The store of versions under crashes at every write, and under writers that were given up but still run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.compute.worker.checkpoint.layout import Snapshots, state_of
from skylift.compute.worker.checkpoint.versions import Writer, claim, newest, versions


class Crash(Exception):
    """The machine goes, in the middle of a write."""


class Disk:
    """Files in memory. Dies at the write or deletion whose number it is told, leaving what the contract allows."""

    where = "disk"

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.left: int | None = None
        self.torn = 0.0

    def names(self) -> list[str]:
        return list(self.content)

    def read(self, name: str) -> bytearray | None:
        data = self.content.get(name)
        return None if data is None else bytearray(data)

    def write(self, name: str, chunks: Iterable[memoryview]) -> None:
        data = b"".join(chunks)
        self._act(lambda: self.content.update({name: data[: int(len(data) * self.torn)]}))
        self.content[name] = data

    def publish(self, name: str, data: bytes) -> None:
        self._act(lambda: self.content.update({name: data}) if self.torn > 0.5 else None)
        self.content[name] = data

    def delete(self, name: str) -> None:
        self._act(lambda: self.content.pop(name, None) if self.torn > 0.5 else None)
        self.content.pop(name, None)

    def _act(self, half: Callable[[], object]) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                half()
                raise Crash


def save(writer: Writer, value: int) -> bool:
    state = {"value": value, "bytes": bytes([value % 256]) * (value % 50)}
    return writer.write(Snapshots().take(state).chunks(), float(value)) is not None


def value_on(disk: Disk) -> int | None:
    found = newest(disk)
    if found is None:
        return None
    version, data = found
    state = state_of(data)
    assert state == {"value": state["value"], "bytes": bytes([state["value"] % 256]) * (state["value"] % 50)}
    assert version.manifest.saved_ms == state["value"]
    value = state["value"]
    assert isinstance(value, int)
    return value


lives = st.lists(st.tuples(st.integers(0, 25), st.floats(0, 1)), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(lives=lives, keep=st.integers(1, 3))
def test_a_crash_at_any_write_loses_at_most_what_was_being_saved(lives: list[tuple[int, float]], keep: int) -> None:
    disk, value = Disk(), 0
    for delivery, (left, torn) in enumerate(lives, start=1):
        before = value_on(disk) or 0
        assert value - 1 <= before <= value, "all that was acknowledged is there"
        value = before
        disk.left, disk.torn = left, torn
        try:
            writer = claim(disk, attempt=1, delivery=delivery, keep=keep)
            while True:
                value += 1
                assert save(writer, value)
        except Crash:
            disk.left = None
    writer = claim(disk, attempt=1, delivery=len(lives) + 1, keep=keep)
    assert save(writer, value + 1)
    assert value_on(disk) == value + 1
    assert 1 <= len(list(versions(disk))) <= keep
    data = [name for name in disk.names() if name.startswith("data.")]
    assert len(data) <= keep, "what crashes left behind is gone"


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=30))
def test_a_delivery_that_was_given_up_never_stands_above_its_successor(steps: list[tuple[int, bool]]) -> None:
    """Writers begin in order of delivery and then write in any order."""
    disk, value = Disk(), 0
    writers: dict[int, Writer] = {}
    written: dict[int, int] = {}
    for number, begins in steps:
        if begins and number == len(writers) + 1:
            writers[number] = claim(disk, attempt=1, delivery=number, keep=2)
        elif number in writers:
            value += 1
            if save(writers[number], value):
                assert number == len(writers), "a newer one has claimed the place"
                written[number] = value
            else:
                assert writers[number].overtaken
    last = max(written, default=None)
    assert value_on(disk) == (None if last is None else written[last])


@settings(max_examples=100, deadline=None)
@given(damage=st.binary(min_size=0, max_size=30), at=st.integers(0, 10_000), which=st.sampled_from(["data.", "saved."]))
def test_a_damaged_version_is_passed_over(damage: bytes, at: int, which: str) -> None:
    disk = Disk()
    writer = claim(disk, attempt=1, delivery=1, keep=2)
    save(writer, 1)
    save(writer, 2)
    name = max(name for name in disk.names() if name.startswith(which))
    whole = disk.content[name]
    cut = at % len(whole)
    disk.content[name] = whole[:cut] + damage
    assert value_on(disk) == (2 if disk.content[name] == whole else 1)


def test_the_same_term_twice_is_ordered_by_delivery() -> None:
    """A writer that looked before another claimed, and claims after it."""
    disk = Disk()
    looked = Disk()
    early = Writer(disk, claim(looked, attempt=1, delivery=1, keep=2).rank, 2)
    new = claim(disk, attempt=1, delivery=2, keep=2)
    disk.content |= looked.content
    assert early.rank.term == new.rank.term
    assert save(new, 2)
    assert not save(early, 1)
    assert value_on(disk) == 2
