"""Sessions: a loop that is broken off anywhere ends as if it had not been."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skylift import checkpoint
from skylift.compute.worker import current
from skylift.compute.worker.checkpoint.things import CheckpointMismatch
from skylift.errors import SetupError
from skylift.values.tags import ValueNotStorable


class Broken(Exception):
    pass


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[current.Attempt]:
    now = attempt_of(tmp_path)
    current.enter(now, process_wide=False)
    yield now
    current.enter(None, process_wide=False)


def attempt_of(folder: Path, **facts: Any) -> current.Attempt:
    known = {"token": "r:1-1", "run_id": "r", "task": "train", "label": "train", "number": 1, "visit": "1-1", **facts}
    return current.Attempt(checkpoints=str(folder / "checkpoints"), **known)


def walk(folder: Path, broken_at: int, **options: Any) -> list[float]:
    """Nested and neighbouring loops, random numbers before, between and in them."""
    random.seed(1)
    own, seen, done = random.Random(2), list[float](), 0
    with checkpoint.session(own=own, seen=seen, folder=folder, **options) as saved:
        first = random.random()
        for number in saved.steps(range(3)):
            seen.append(number + first)
            done += 1
        between = random.random()
        for _ in saved.steps(iter(range(4))):
            before = random.random()
            order = random.sample(range(5), 5)
            for item in saved.steps(order):
                seen.append(item + before * own.random() + between)
                done += 1
                if done == broken_at:
                    raise Broken
            for item in saved.steps(range(9)):
                if item == 2:
                    break
                seen.append(random.random())
                done += 1
                if done == broken_at:
                    raise Broken
    return [*seen, random.random(), own.random()]


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_broken_off_anywhere_it_ends_the_same(tmp_path: Path, steps: int) -> None:
    whole = walk(tmp_path / "whole", -1)
    for broken_at in range(1, 32):
        folder = tmp_path / str(broken_at)
        again = None
        for extra in range(40):
            try:
                again = walk(folder, broken_at + extra * steps, steps=steps)
                break
            except Broken:
                continue
        assert again == whole, f"broken off after {broken_at} steps"


def test_what_has_ended_is_not_done_again(tmp_path: Path) -> None:
    assert walk(tmp_path, -1) == walk(tmp_path, 1)


def test_state_is_kept_and_steps_are_skipped(attempt: current.Attempt) -> None:
    with pytest.raises(Broken), checkpoint.session(steps=1) as saved:
        for number in saved.steps(range(10)):
            saved.state["last"] = number
            if number == 4:
                raise Broken
    with checkpoint.session() as saved:
        assert saved.resumed
        assert saved.state == {"last": 3}
        assert list(saved.steps(range(10))) == [4, 5, 6, 7, 8, 9]
    assert attempt.standing.saved_ms is not None


def test_a_warning_saves_and_leaves(attempt: current.Attempt) -> None:
    done = []

    def work() -> None:
        with checkpoint.session(every="1h") as saved:
            for number in saved.steps(range(10)):
                done.append(number)
                if number == 6:
                    current.warn(120)

    with pytest.raises(checkpoint.Preempted, match=r"saved, 1[12][0-9] s before"):
        work()
    assert done == list(range(7))
    current.enter(attempt_of(Path(str(attempt.checkpoints)).parent, delivery=2), process_wide=False)
    work()
    assert done == list(range(10))


def test_a_warning_before_the_attempt_counts_for_it(tmp_path: Path) -> None:
    current.warn(60)
    now = attempt_of(tmp_path)
    current.enter(now, process_wide=True)
    try:
        assert 55 < (now.warned or 0) <= 60
        assert checkpoint.warned() == pytest.approx(now.warned, abs=1)
    finally:
        current.enter(None, process_wide=True)
    current.enter(later := attempt_of(tmp_path), process_wide=True)
    current.enter(None, process_wide=True)
    assert later.warned is None


def test_files_and_folders_are_put_back(tmp_path: Path) -> None:
    folder, log = tmp_path / "work", tmp_path / "log.txt"

    def work(broken_at: int) -> None:
        folder.mkdir(exist_ok=True)
        with checkpoint.session(folder_of_work=folder, log=log, folder=tmp_path / "kept", steps=1) as saved:
            for number in saved.steps(range(5)):
                (folder / f"{number}.txt").write_text(str(number))
                log.write_text(f"{number} done")
                if number == broken_at:
                    raise Broken

    with pytest.raises(Broken):
        work(3)
    (folder / "0.txt").unlink()
    work(-1)
    assert sorted(path.name for path in folder.iterdir()) == [f"{number}.txt" for number in range(5)]
    assert log.read_text() == "4 done"


def test_a_script_begins_anew_when_it_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SKYLIFT_HOME", raising=False)

    def work(broken_at: int) -> list[int]:
        done = []
        with checkpoint.session(key="mine", steps=1) as saved:
            for number in saved.steps(range(4)):
                done.append(number)
                if number == broken_at:
                    raise Broken
        return done

    with pytest.raises(Broken):
        work(2)
    assert (tmp_path / ".skylift/checkpoints/local/mine").is_dir()
    assert work(-1) == [2, 3]
    assert work(-1) == [0, 1, 2, 3]


def test_followers_load_and_do_not_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(rank: int, delivery: int, upto: int) -> list[int]:
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        current.enter(attempt_of(tmp_path, delivery=delivery), process_wide=False)
        done = []
        try:
            with checkpoint.session(steps=1) as saved:
                for number in saved.steps(range(10)):
                    done.append(number)
                    if number == upto:
                        raise Broken
        except Broken:
            pass
        current.enter(None, process_wide=False)
        return done

    assert work(1, 1, 5) == [0, 1, 2, 3, 4, 5]
    assert work(0, 1, 3) == [0, 1, 2, 3]
    assert work(0, 2, 6) == [3, 4, 5, 6]
    assert work(1, 2, 6) == [3, 4, 5, 6], "what rank 0 saved before this delivery, not what it saved meanwhile"


def test_what_cannot_be_kept_is_refused_by_name() -> None:
    with pytest.raises(ValueNotStorable, match=r"cannot keep `rate`, a builtins\.float") as refused:
        checkpoint.session(rate=0.1)
    assert "saved.state" in str(refused.value.hint)


def test_another_set_of_things_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Broken), checkpoint.session(one={}, folder=tmp_path, steps=1) as saved:
        for number in saved.steps(range(3)):
            if number == 1:
                raise Broken
    with pytest.raises(CheckpointMismatch, match="holds one, but this session keeps one, two"):
        checkpoint.session(one={}, two={}, folder=tmp_path).__enter__()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"every": "5m", "steps": 2}, "one cadence"),
        ({"steps": 0}, "steps=0"),
        ({"every": "soon"}, "every='soon'"),
        ({"keep": 0}, "keep=0"),
    ],
)
def test_bad_options(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said):
        checkpoint.session(folder=tmp_path, **options)


def test_an_attempt_without_a_place_says_so() -> None:
    current.enter(current.Attempt(token="t", run_id="r", task="a", label="a[1]", number=1), process_wide=False)
    try:
        with pytest.raises(SetupError, match=r"worker of a\[1\] was given no place"):
            checkpoint.load()
    finally:
        current.enter(None, process_wide=False)
