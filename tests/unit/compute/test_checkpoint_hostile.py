"""Checkpoints on disks that are full or damaged, killed at every file that a save touches, asked for what cannot be,
and shared by gangs."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skylift import checkpoint
from skylift.compute.worker import current
from skylift.compute.worker.checkpoint import files
from skylift.errors import BlobUnavailable, SetupError
from skylift.values.tags import ValueNotStorable


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    yield
    current.enter(None, process_wide=False)


def attempt_of(folder: Path, *, visit: str = "1-1", delivery: int = 1) -> current.Attempt:
    return current.Attempt(
        token=f"t/{visit}", run_id="r", task="a", label="a[1]", number=1, visit=visit, delivery=delivery,
        checkpoints=str(folder),
    )  # fmt: skip


def saved_in(folder: Path, *values: int) -> None:
    checkpoint.load(folder=folder)
    for value in values:
        checkpoint.save(value)
    checkpoint.load(folder=folder)


def newest_of(folder: Path, kind: str) -> Path:
    return max(folder.glob(f"{kind}.*"))


# Damage -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["data", "saved"])
def test_a_damaged_version_is_passed_over_and_that_is_said(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    saved_in(tmp_path, 1, 2)
    assert not caplog.records
    damaged = newest_of(tmp_path, kind)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    assert checkpoint.load(folder=tmp_path) == 1
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "is damaged: the work goes on from saved." in record.getMessage()
    assert str(tmp_path) in record.getMessage()


def test_when_nothing_is_whole_it_begins_anew_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved_in(tmp_path, 1, 2)
    for path in tmp_path.glob("data.*"):
        path.write_bytes(b"")
    assert checkpoint.load("nothing", folder=tmp_path) == "nothing"
    assert "the work begins anew" in caplog.text


def test_what_did_not_fit_on_the_disk_does_not_stay_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved_in(tmp_path, 1)
    checkpoint.load(folder=tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as tight:
        tight.setattr(files.os, "fsync", full)
        for _ in range(3):
            checkpoint.save(bytes(100))
            with pytest.raises(BlobUnavailable, match="No space left on device") as told:
                checkpoint.save(bytes(100))
            assert "free space" in str(told.value.hint)
        with pytest.raises(BlobUnavailable, match="No space left"):
            checkpoint.load(folder=tmp_path)  # cannot claim the place either
    assert sorted(tmp_path.iterdir()) == before
    assert checkpoint.load(folder=tmp_path) == 1
    saved_in(tmp_path, 2)
    assert checkpoint.load(folder=tmp_path) == 2


KILLED = """
import os, sys
from skylift import checkpoint
from skylift.compute.worker.checkpoint.plain import _keeper

folder = sys.argv[1]

def dies_at(count):
    def hook(event, arguments):
        nonlocal count
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir") and folder in str(arguments[0]):
            count -= 1
            if count < 0:
                os._exit(9)
    sys.addaudithook(hook)

value, lived = 0, 0
for left in range(1_000):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        dies_at(left)
        found = checkpoint.load(0, folder=folder)
        os.write(writing, b"%d " % found)
        for number in (1, 2, 3):
            checkpoint.save(found + number)
            _keeper(None).wait()
            os.write(writing, b"%d " % (found + number))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        numbers = [int(number) for number in told.read().split()]
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if numbers:
        assert value <= numbers[0] <= value + 1, (left, value, numbers)
        value = numbers[-1]
    if status == 0:
        break
    assert status == 9, status
    lived = left
else:
    raise SystemExit("it was never left alone")
assert lived > 10, lived
assert len([name for name in os.listdir(folder) if name.startswith("data.")]) == 2, os.listdir(folder)
"""


def test_killed_at_every_file_that_a_save_touches_it_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "c")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_clear_takes_nothing_but_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years")
    saved_in(tmp_path, 1)
    (tmp_path / "saved.x.77.part").write_text("left by a killed writer")
    checkpoint.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    saved_in(tmp_path / "own", 1)
    checkpoint.clear()
    assert not (tmp_path / "own").exists()


# Options ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": "2"}, "keep='2'"),
        ({"keep": 1.5}, r"keep=1\.5"),
        ({"keep": True}, "keep=True"),
        ({"keep": None}, "keep=None"),
        ({"steps": True}, "steps=True is no number of steps"),
        ({"key": 5}, "key=5 is no name"),
        ({"key": ""}, "key='' is no name"),
        ({"folder": 5}, "folder=5 is no place"),
        ({"folder": ""}, "folder='' is no place"),
        ({"folder": b"/tmp/x"}, "is no place"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    for function in (checkpoint.load, checkpoint.session):
        with pytest.raises(SetupError, match=said):
            function(**{"folder": tmp_path, **options})


def test_a_key_that_is_none_is_refused_everywhere() -> None:
    wrong: Any = 5
    for use in (checkpoint.due, checkpoint.clear, lambda key: checkpoint.save(1, key=key)):
        with pytest.raises(SetupError, match="key=5 is no name"):
            use(key=wrong)


def test_what_holds_itself_is_not_called_code(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    checkpoint.load(folder=tmp_path)
    with pytest.raises(ValueNotStorable, match="nested so deeply, or holds itself"):
        checkpoint.save(endless)


def test_workers_that_last_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Loader(list[int]):
        persistent_workers = True
        num_workers = 2

    with checkpoint.session(folder=tmp_path) as saved:
        for _ in saved.steps(Loader([1, 2])):
            pass
    assert "persistent_workers" in caplog.text


# Gangs --------------------------------------------------------------------------------------------------------------


class Broken(Exception):
    pass


def member(
    monkeypatch: pytest.MonkeyPatch, attempt: current.Attempt | None, rank: int, upto: int, **options: Any
) -> list[int]:
    """The numbers that a member counts, one after the other, until it breaks at one of them."""
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "2")
    current.enter(attempt, process_wide=False)
    done: list[int] = []
    try:
        with checkpoint.session(steps=1, **options) as saved:
            for number in saved.steps(range(10)):
                done.append(number)
                if number == upto:
                    raise Broken
    except Broken:
        pass
    return done


def test_members_find_what_an_earlier_step_saved_under_a_shared_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = attempt_of(tmp_path, visit="1-1"), attempt_of(tmp_path, visit="2-1")
    assert member(monkeypatch, first, 0, 3, key="shared") == [0, 1, 2, 3]
    assert member(monkeypatch, second, 0, 6, key="shared") == [3, 4, 5, 6]
    assert member(monkeypatch, second, 1, 6, key="shared") == [3, 4, 5, 6]
    assert member(monkeypatch, attempt_of(tmp_path, visit="2-1", delivery=2), 1, 7, key="shared") == [6, 7]


def test_members_that_torchrun_starts_go_on_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    for name, value in (("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29500"), ("TORCHELASTIC_RESTART_COUNT", "0")):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert member(monkeypatch, None, 0, 3) == [0, 1, 2, 3]
    assert member(monkeypatch, None, 1, 3) == [0, 1, 2, 3], "what rank 0 has saved meanwhile is none of its"
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert member(monkeypatch, None, 1, 9) == [3, 4, 5, 6, 7, 8, 9]
    assert member(monkeypatch, None, 0, 5) == [3, 4, 5]
    assert member(monkeypatch, None, 1, 10) == [3, 4, 5, 6, 7, 8, 9], "it ends well, and takes nothing away"
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    assert member(monkeypatch, None, 0, 10) == [5, 6, 7, 8, 9]
    assert member(monkeypatch, None, 0, 0) == [0], "a script that has ended well begins anew"
