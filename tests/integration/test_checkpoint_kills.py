"""Trainings that are really killed, in worker processes, end with the same bits as those that were left alone."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skylift.compute.attempts import AttemptFolder, AttemptFolders, launch
from skylift.compute.process import ProcessBackend, answers
from skylift.compute.worker.checkpoint.place import beside
from skylift.compute.worker.checkpoint.versions import saved_ms
from skylift.compute.worker.solo_files import SoloOrder
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import CodeRef, Lost, Outcome, Requirements, Succeeded, TaskCall
from skylift.testing.backends import Outcomes

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src"
KILLS = 4
_UNHURRIED_S = 0.02
"""Between the steps of a training that is to be killed after its first save, and before its end, on a busy machine."""


class Place:
    """A backend with one worker, and a training in it that is given out again whenever it was lost."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outcomes = Outcomes()
        self.blobs = str(folder / "blobs")
        self.backend = ProcessBackend(self.outcomes, workers=1, blobs=self.blobs, paths=[str(HERE)], grace_ms=300)
        self.told = 0
        """How often a worker has said that a checkpoint is stored, and the backend has heard it."""

    def submit(self, run: str, delivery: int, function: str = "train", **arguments: Any) -> str:
        call = self.call(run, delivery, function, **arguments)
        self.backend.submit([call])
        return call.token

    def call(self, run: str, delivery: int, function: str = "train", **arguments: Any) -> TaskCall:
        diary = self.folder / f"{run}.txt"
        return TaskCall(
            token=f"{run}:1-{delivery}",
            run_id=run,
            task=function,
            label=function,
            attempt=1,
            code=CodeRef(bundle=None, target=f"checkpoint_training:{function}"),
            arguments={"diary": str(diary), **arguments},
            requirements=Requirements(env={"SKYLIFT_MTBF": "1s"}),
            visit="1-1",
            delivery=delivery,
            market="spot",
        )

    def lines(self, run: str) -> list[list[str]]:
        diary = self.folder / f"{run}.txt"
        text = diary.read_text(encoding="utf-8") if diary.exists() else ""
        return [line.split() for line in text.splitlines() if line]

    def wait_for(self, run: str, begins: int, steps: int) -> int:
        """Until the begun delivery has done so many steps; its process."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            lines = self.lines(run)
            starts = [number for number, line in enumerate(lines) if line[0] == "begin"]
            if len(starts) == begins and len(lines) - starts[-1] - 1 >= steps:
                return int(lines[starts[-1]][1])
            time.sleep(0.002)
        raise AssertionError(f"{run} did not come so far: {self.lines(run)[-3:]}")

    def outcome(self, token: str) -> Outcome:
        return self.outcomes.wait(token, timeout=60)[0]

    def hears(self, take: Callable[..., None]) -> Callable[..., None]:
        def heard(*what: Any) -> None:
            take(*what)
            self.told += 1

        return heard

    def wait_until_told(self, more_than: int) -> None:
        until = time.monotonic() + 60
        while self.told <= more_than:
            assert time.monotonic() < until, "no checkpoint was ever told of"
            time.sleep(0.002)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    place = Place(tmp_path)
    monkeypatch.setattr(answers, "_saved", place.hears(answers._saved))
    yield place
    place.backend.close()


def digest(outcome: Outcome) -> Any:
    assert isinstance(outcome, Succeeded), outcome
    return outcome.output


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_at_random_it_ends_with_the_same_bits(place: Place, seed: int) -> None:
    pytest.importorskip("torch", reason="the extra [torch] is not installed")
    chance = random.Random(seed)
    whole = digest(place.outcome(place.submit("whole", 1)))
    kept: list[float] = []
    for delivery in range(1, KILLS + 1):
        told = place.told
        token = place.submit("cut", delivery, pause_s=_UNHURRIED_S)
        pid = place.wait_for("cut", delivery, chance.randint(2, 14))
        place.wait_until_told(told)
        time.sleep(chance.random() * 0.01)
        os.kill(pid, signal.SIGKILL)
        lost = place.outcome(token)
        assert isinstance(lost, Lost)
        kept.append(saved_ms(beside(place.blobs), "cut", "1-1") or 0.0)
        assert lost.usage is not None
        assert 0 < (lost.usage.saved_ms or 0.0) <= kept[-1], "as the worker said before it was killed"
    assert digest(place.outcome(place.submit("cut", KILLS + 1))) == whole
    assert kept == sorted(kept)
    assert kept[-1] > kept[0] > 0
    assert [line[0] for line in place.lines("cut")].count("step") < 6 * 20 + KILLS * 12, "most work was kept"


def test_warned_it_saves_leaves_and_loses_nothing(place: Place) -> None:
    pytest.importorskip("torch", reason="the extra [torch] is not installed")
    whole = digest(place.outcome(place.submit("whole", 1)))
    for delivery in range(1, 3):
        token = place.submit("warned", delivery)
        place.wait_for("warned", delivery, 10)
        place.backend.warn(120, [token])
        lost = place.outcome(token)
        assert isinstance(lost, Lost)
        assert lost.preempted
        assert lost.usage is not None
        assert lost.usage.saved_ms == saved_ms(beside(place.blobs), "warned", "1-1")
        assert "before the machine goes" in lost.reason
    assert digest(place.outcome(place.submit("warned", 3))) == whole
    assert [line[0] for line in place.lines("warned")].count("step") == 6 * 20, "no step was done twice"


def test_the_plain_form_survives_kills_without_torch(place: Place) -> None:
    chance = random.Random(5)
    for delivery in range(1, 5):
        token = place.submit("plain", delivery, "count", upto=150)
        os.kill(place.wait_for("plain", delivery, chance.randint(5, 30)), signal.SIGKILL)
        assert isinstance(place.outcome(token), Lost)
    assert digest(place.outcome(place.submit("plain", 5, "count", upto=150))) == 150 * 151 // 2
    begins = [int(line[3]) for line in place.lines("plain") if line[0] == "begin"]
    assert begins == sorted(begins)
    assert begins[-1] > 0


def test_a_supervisor_passes_sigterm_on_and_tells_what_was_kept_after_a_kill(place: Place) -> None:
    """What containers and machines are told, and how they go."""
    folders = AttemptFolders(place.folder / "attempts", lease_ms=60_000)
    config = WorkerConfig(name="alone", blobs=place.blobs, paths=(str(HERE),), cache_dir=str(place.folder / "cache"))

    def ended(delivery: int, end: Callable[[AttemptFolder], object] | None) -> Outcome:
        call = place.call("alone", delivery, "count", upto=150)
        folder = folders.create(SoloOrder(call=call, config=config, asked_ms=0))
        supervisor = launch.start(folder, {**os.environ, "PYTHONPATH": str(SOURCES)})
        try:
            if end is not None:
                place.wait_for("alone", delivery, 20)
                end(folder)
            until = time.monotonic() + 60
            while folder.outcome() is None and time.monotonic() < until:
                time.sleep(0.01)
            outcome = folder.outcome()
            assert outcome is not None
            return outcome
        finally:
            launch.kill(folder)
            os.waitpid(supervisor, 0)

    warned = ended(1, launch.warn)
    assert isinstance(warned, Lost)
    assert warned.preempted
    assert warned.usage is not None
    assert warned.usage.saved_ms is not None
    killed = ended(2, lambda folder: os.kill(int(place.lines("alone")[-1 - _since(place)][1]), signal.SIGKILL))
    assert isinstance(killed, Lost)
    assert killed.usage is not None
    assert (killed.usage.saved_ms or 0.0) >= warned.usage.saved_ms
    assert digest(ended(3, None)) == 150 * 151 // 2
    begins = [int(line[3]) for line in place.lines("alone") if line[0] == "begin"]
    assert begins[1] >= 20, "nothing was lost to the warning"


def _since(place: Place) -> int:
    """Lines after the last beginning."""
    return next(number for number, line in enumerate(reversed(place.lines("alone"))) if line[0] == "begin")
