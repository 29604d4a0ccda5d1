"""The plain form, cadence, and what states may hold."""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from skylift import File, checkpoint
from skylift.compute.worker import current
from skylift.compute.worker.checkpoint import keeper as keeping
from skylift.compute.worker.checkpoint.cadence import Cadence, best_interval_s, mtbf_s
from skylift.compute.worker.checkpoint.files import LocalFiles, open_files
from skylift.compute.worker.checkpoint.layout import Snapshots, state_of
from skylift.compute.worker.checkpoint.versions import saved_ms
from skylift.errors import BlobUnavailable
from skylift.values.tags import ValueNotLoadable, ValueNotStorable


@dataclass
class Record:
    name: str
    scores: list[float]


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[current.Attempt]:
    now = current.Attempt(
        token="r:1-1", run_id="r", task="t", label="t", number=1, visit="1-1", checkpoints=str(tmp_path / "c")
    )
    current.enter(now, process_wide=False)
    yield now
    now.standing.end()
    current.enter(None, process_wide=False)


def written(state: Any) -> bytearray:
    snapshot = Snapshots().take(state)
    data = bytearray().join(snapshot.chunks())
    snapshot.drop()
    return data


PLAIN: list[Any] = [
    None,
    {"a": [1, 2.5, True, None, "ü"], "b": (1, (2,)), 3: {1, 2}},
    {"big": 10**40, "inf": math.inf, "bytes": b"x" * 100_000, "long": [0.5] * 30_000},
    Record("one", [1.0]),
    datetime(2026, 1, 2, tzinfo=UTC),
    OrderedDict([("b", 1), ("a", 2)]),
    Counter("abba"),
    {"counts": defaultdict(int, {"x": 1}), "lists": defaultdict(list, {"x": [1]})},
]


@pytest.mark.parametrize("state", PLAIN, ids=lambda state: type(state).__name__)
def test_states_come_back_as_they_were(state: Any) -> None:
    back = state_of(written(state))
    assert back == state
    assert type(back) is type(state)


def test_arrays_come_back_bit_for_bit() -> None:
    np = pytest.importorskip("numpy")
    state = {
        "turned": np.arange(6.0).reshape(2, 3).T,
        "single": np.float32(0.1),
        "empty": np.zeros((0, 3)),
        "days": np.array(["2026-01-01"], "M8[D]"),
        "records": np.zeros(3, [("a", "i4")]),
        "point": np.array(3),
        "nan": np.array([np.nan, -0.0]),
    }
    back = state_of(written(state))
    for name, value in state.items():
        assert back[name].dtype == value.dtype
        assert back[name].tobytes() == value.tobytes()
    back["turned"][0, 0] = 5.0


@pytest.mark.parametrize(
    "make", [lambda: lambda: 1, lambda: iter([]), lambda: defaultdict(lambda: 1), lambda: {"x": [object()]}]
)
def test_code_is_refused(make: Any) -> None:
    with pytest.raises(ValueNotStorable, match="a checkpoint cannot hold"):
        Snapshots().take(make())


def test_a_forged_pickle_is_not_read() -> None:
    forged = written(b"x" * 100_000).replace(b'"format":"bytes"', b'"format":"pickle"')
    data = forged.replace(b'"pickle","type"', b'"pickle" ,"type"')
    with pytest.raises(ValueNotLoadable):
        state_of(data)


@pytest.mark.parametrize("cut", [0, 7, 15, 30, 200])
def test_torn_bytes_are_no_state(cut: int) -> None:
    with pytest.raises(ValueNotLoadable):
        state_of(written({"a": b"x" * 100_000})[:cut])


def test_load_save_and_load_again(attempt: current.Attempt, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("first")
    state = checkpoint.load({"done": 0})
    assert state == {"done": 0}
    for done in range(1, 4):
        checkpoint.save({"done": done, "notes": File(notes)})
        notes.write_text("later")
    attempt.standing.end()
    state = checkpoint.load()
    assert state["done"] == 3
    assert state["notes"].read_text() == "later"
    assert saved_ms(str(attempt.checkpoints), "r", "1-1") == attempt.standing.saved_ms


def test_keys_are_shared_by_the_steps_of_a_run(attempt: current.Attempt) -> None:
    checkpoint.save([1], key="shared")
    attempt.standing.end()
    other = current.Attempt(
        token="r:2-1", run_id="r", task="u", label="u", number=1, visit="2-1", checkpoints=attempt.checkpoints
    )
    current.enter(other, process_wide=False)
    assert checkpoint.load(key="shared") == [1]
    assert checkpoint.load() is None


def test_clear_forgets(attempt: current.Attempt) -> None:
    checkpoint.save(1)
    checkpoint.clear()
    assert checkpoint.load("none") == "none"


def test_a_failed_upload_is_raised_by_the_next_save(
    attempt: current.Attempt, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint.save(1)
    attempt.standing.end()
    folder = tmp_path / "c/r/1-1"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    checkpoint.save(2)
    with pytest.raises(BlobUnavailable, match="cannot be used"):
        checkpoint.save(3)


def test_at_most_one_upload_is_under_way(attempt: current.Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most = 0, 0
    write = LocalFiles.write

    def slow(self: LocalFiles, *arguments: Any) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.02)
        write(self, *arguments)
        under_way -= 1

    monkeypatch.setattr(LocalFiles, "write", slow)
    for number in range(5):
        checkpoint.save({"number": number, "numbers": list(range(number))})
    attempt.standing.end()
    assert most == 1
    assert checkpoint.load() == {"number": 4, "numbers": [0, 1, 2, 3]}


def test_what_changes_after_save_is_not_saved(attempt: current.Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    np = pytest.importorskip("numpy")
    array, rows = np.zeros(1000), [1]
    checkpoint.save({"array": array, "rows": rows})
    array += 1
    rows.append(2)
    attempt.standing.end()
    state = checkpoint.load()
    assert not state["array"].any()
    assert state["rows"] == [1]


def test_the_best_interval() -> None:
    assert best_interval_s(0.5, 3600) == 60
    cadence = Cadence(mtbf_s=3600)
    assert cadence.due(), "the first save shows what a save costs"
    cadence.saved(0.5)
    assert cadence.interval_s == 60
    assert not cadence.due()
    cadence.saved(4.5)
    assert cadence.interval_s == best_interval_s(2.5, 3600)


def test_cadence_by_steps_and_by_time() -> None:
    steps = Cadence(mtbf_s=1, steps=3)
    due = []
    for _ in range(7):
        steps.step()
        due.append(steps.due())
        if due[-1]:
            steps.saved(0.1)
    assert due == [False, False, True, False, False, True, False]
    assert not Cadence(mtbf_s=1, every_s=60).due()


def test_where_machines_are_taken_away_saves_are_more_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKYLIFT_MTBF", raising=False)
    assert mtbf_s(spot=True) < mtbf_s(spot=False)
    monkeypatch.setenv("SKYLIFT_MTBF", "90m")
    assert mtbf_s(spot=False) == 5400


def test_due_is_false_while_an_upload_is_under_way(attempt: current.Attempt, tmp_path: Path) -> None:
    place = keeping.Place(None, tmp_path / "own")
    saver = keeping.Keeper(place, Cadence(mtbf_s=1, steps=1), 2)
    saver.cadence.step()
    assert saver.due()
    saver.save(1)
    saver.wait()
    assert not saver.due()


def test_urls_of_files(tmp_path: Path) -> None:
    files = open_files(f"file://{tmp_path}/there")
    assert files.names() == []
    files.publish("one", b"1")
    assert open_files(str(tmp_path / "there")).read("one") == b"1"
    assert files.read("two") is None
