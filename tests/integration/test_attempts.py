"""Attempts that outlive whoever started them: folders, the supervisor, the watcher, with real processes."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skylift.asl.events import Usage
from skylift.compute.attempts import AttemptFolder, AttemptFolders, Watcher, launch
from skylift.compute.worker.solo_files import SoloOrder
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import (
    Cancelled,
    CodeRef,
    Failed,
    Lost,
    Outcome,
    OutOfMemory,
    Requirements,
    Succeeded,
    TaskCall,
    TimedOut,
)
from skylift.testing.backend_harness import call

WAIT_S = 90.0
TESTS = str(Path(__file__).parents[1])


def ours(target: str, **arguments: Any) -> TaskCall:
    """An attempt of a function of `attempt_tasks`."""
    return msgspec.structs.replace(
        call(target, **arguments), code=CodeRef(bundle=None, target=f"attempt_tasks:{target}")
    )


class Local:
    """A backend in miniature: what every one of them does with these parts."""

    def __init__(self, root: Path, lease_ms: int) -> None:
        self.folders = AttemptFolders(root / "attempts", lease_ms=lease_ms)
        self.ends: queue.Queue[tuple[AttemptFolder, Outcome | None]] = queue.Queue()
        self.watcher = Watcher(lambda folder, outcome: self.ends.put((folder, outcome)), lease_ms=lease_ms)
        self.config = WorkerConfig(name="local-1", backend="local", blobs=str(root / "blobs"), paths=(TESTS,))
        self.started: list[tuple[AttemptFolder, int]] = []

    def start(self, one: TaskCall, **more: Any) -> AttemptFolder:
        limit_mib = one.requirements.memory_mib
        order = SoloOrder(
            call=one, config=self.config, asked_ms=int(time.time() * 1000), limit_mib=limit_mib, grace_ms=300, **more
        )
        folder = self.folders.create(order)
        pid = launch.start(folder, os.environ)
        self.started.append((folder, pid))
        self.watcher.watch(folder, pid=pid)
        return folder

    def end(self) -> tuple[AttemptFolder, Outcome | None]:
        return self.ends.get(timeout=WAIT_S)

    def run(self, one: TaskCall, **more: Any) -> Outcome | None:
        self.start(one, **more)
        return self.end()[1]

    def close(self) -> None:
        self.watcher.close()
        launch.end([folder for folder, _ in self.started], patience_s=2)
        for _, pid in self.started:
            os.waitpid(pid, 0)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    made = Local(tmp_path, 60_000)
    yield made
    made.close()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_an_attempt_runs_and_its_outcome_says_what_it_took(local: Local) -> None:
    one = call("spin", ms=40)
    outcome = local.run(one, place=Usage(service="batch", vcpus=0.5))
    assert isinstance(outcome, Succeeded) and outcome.usage is not None
    usage = outcome.usage
    assert usage.startup_ms is not None and 0 < usage.startup_ms < 90_000
    assert usage.cpu_ms is not None and usage.cpu_ms > 5 and usage.peak_memory_mib is not None
    assert (usage.backend, usage.worker, usage.service, usage.vcpus) == ("local", "local-1", "batch", 0.5)


def test_numbers_beyond_64_bits_and_surrogates_go_there_and_back(local: Local) -> None:
    big = local.run(call("add", a=2**70, b=1))
    assert isinstance(big, Succeeded)
    odd = local.run(call("echo", value="\ud800"))
    assert isinstance(odd, Succeeded) and odd.output == {"__type__": "str", "base64": "7aCA"}


@pytest.mark.parametrize(("how", "said"), [("exit", "status 3"), ("kill", "SIGKILL"), ("segfault", "SIGSEGV")])
def test_the_supervisor_survives_the_attempt(local: Local, how: str, said: str) -> None:
    outcome = local.run(call("die", how=how))
    assert isinstance(outcome, Lost) and said in outcome.reason and not outcome.preempted


def test_limits_of_time(local: Local) -> None:
    late = local.run(call("nap", ms=600_000, requirements=Requirements(timeout_ms=150)))
    assert isinstance(late, TimedOut) and not late.heartbeat
    silent = local.run(call("beat", times=1, every_ms=10, then_ms=600_000, requirements=Requirements(heartbeat_ms=250)))
    assert isinstance(silent, TimedOut) and silent.heartbeat


def test_memory_is_watched_where_no_group_limits_it(local: Local) -> None:
    outcome = local.run(
        call("allocate", mib=400, hold_ms=600_000, requirements=Requirements(memory_mib=150)), watch=True
    )
    assert isinstance(outcome, OutOfMemory) and outcome.limit_mib == 150
    assert outcome.peak_mib is not None and 150 < outcome.peak_mib < 600


def test_a_cancelled_attempt_ends_with_all_it_started(local: Local, tmp_path: Path) -> None:
    folder = local.start(ours("with_children", folder=str(tmp_path)))
    until(lambda: (tmp_path / "far").exists() and (tmp_path / "near").exists())
    pids = [int((tmp_path / name).read_text()) for name in ("near", "far")]
    launch.cancel(folder)
    assert isinstance(local.end()[1], Cancelled)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)  # noqa: PTH110


def test_a_stop_that_comes_before_the_supervisor_is_heard(local: Local) -> None:
    order = SoloOrder(call=call("nap", ms=600_000), config=local.config, asked_ms=0)
    folder = local.folders.create(order)
    folder.ask_to_stop()
    pid = launch.start(folder, os.environ)
    local.started.append((folder, pid))
    local.watcher.watch(folder, pid=pid)
    assert isinstance(local.end()[1], Cancelled)


def test_a_killed_supervisor_takes_the_attempt_along_and_is_noticed(local: Local, tmp_path: Path) -> None:
    folder = local.start(ours("with_children", folder=str(tmp_path)))
    until(lambda: (tmp_path / "far").exists() and (tmp_path / "near").exists())
    launch.kill(folder)
    assert local.end() == (folder, None)
    for name in ("near", "far"):
        until(lambda name=name: _gone(int((tmp_path / name).read_text())))


def test_the_warning_reaches_the_attempt(local: Local, tmp_path: Path) -> None:
    ears = tmp_path / "ears"
    folder = local.start(ours("until_warned", mark=str(ears)))
    until(ears.exists)
    launch.warn(folder)
    _, outcome = local.end()
    assert isinstance(outcome, Succeeded) and 60 < outcome.output <= 120
    assert folder.warned


def test_who_dies_after_a_warning_is_preempted(local: Local, tmp_path: Path) -> None:
    ears = tmp_path / "ears"
    folder = local.start(ours("die_when_warned", mark=str(ears)))
    until(ears.exists)
    launch.warn(folder)
    outcome = local.end()[1]
    assert isinstance(outcome, Lost) and outcome.preempted


def test_without_anybody_the_lease_ends_it(tmp_path: Path) -> None:
    local = Local(tmp_path, 700)
    folder = local.start(call("nap", ms=600_000))
    local.watcher.close()
    until(lambda: folder.outcome() is not None)
    outcome = folder.outcome()
    assert isinstance(outcome, Lost) and "lease" in outcome.reason
    local.close()


def test_a_watcher_renews_the_lease(tmp_path: Path) -> None:
    local = Local(tmp_path, 6_000)
    gate = tmp_path / "gate"
    folder = local.start(ours("nap_until", mark=str(gate)))
    first_ms = folder.until_ms
    until(lambda: time.time() * 1000 > first_ms + 500)  # without its renewals it would have ended by now
    gate.touch()
    assert isinstance(local.end()[1], Succeeded) and folder.until_ms > first_ms
    local.close()


def test_another_watcher_adopts_what_runs_and_what_has_ended(local: Local, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    running, ended = ours("nap_until", mark=str(gate)), call("add", a=1, b=1)
    local.start(running)
    first = local.start(ended)
    until(lambda: first.outcome() is not None)
    local.watcher.close()
    ends: queue.Queue[tuple[AttemptFolder, Outcome | None]] = queue.Queue()
    second = Watcher(lambda folder, outcome: ends.put((folder, outcome)), lease_ms=60_000)
    for one in (running, ended):
        found = local.folders.find(one.token)
        assert found is not None
        second.watch(found)
    outcomes = [ends.get(timeout=WAIT_S)[1]]
    gate.touch()
    outcomes.append(ends.get(timeout=WAIT_S)[1])
    second.close()
    assert [outcome.output for outcome in outcomes if isinstance(outcome, Succeeded)] == [2, "woken"]


def test_the_place_of_a_failure_is_kept_and_given_up(local: Local) -> None:
    kept = local.start(msgspec.structs.replace(call("fail", message="no"), keep_ms=60_000))
    assert isinstance(local.end()[1], Failed)
    assert kept.kept and kept.alive and kept.until_ms > time.time() * 1000 + 30_000
    launch.end([kept])
    assert not kept.alive
    brief = local.start(msgspec.structs.replace(call("fail", message="no"), keep_ms=300))
    local.end()
    until(lambda: not brief.alive)


def test_secrets_are_on_file_until_they_are_read(local: Local) -> None:
    one = call("surroundings", requirements=Requirements(secrets=("SKYLIFT_TEST_VARIABLE",)))
    order = SoloOrder(call=one, config=local.config, asked_ms=0)
    folder = local.folders.create(order)
    folder.give_secrets({"SKYLIFT_TEST_VARIABLE": "s3cr3t"})
    pid = launch.start(folder, os.environ)
    local.started.append((folder, pid))
    local.watcher.watch(folder, pid=pid)
    outcome = local.end()[1]
    assert isinstance(outcome, Failed) and outcome.error == "SecretInResult"  # so it was there, and did not get out
    assert not any(b"s3cr3t" in file.read_bytes() for file in folder.path.iterdir() if file.is_file())


def test_folders_are_found_numbered_and_cleaned(tmp_path: Path) -> None:
    folders = AttemptFolders(tmp_path, lease_ms=60_000)
    order = SoloOrder(call=call("add", a=1, b=1), config=WorkerConfig(name="n"), asked_ms=0)
    first, second = folders.create(order), folders.create(order)
    assert folders.find(order.call.token) == second and list(folders) == [first, second]
    assert folders.find("unknown") is None
    assert second.order is not None and second.order.call == order.call
    second.give_outcome(Cancelled())
    assert folders.clean() == [] and list(folders) == [first, second]
    for folder in (first, second):
        folder.renew(1)
    assert folders.clean() == [first] and list(folders) == [first]
    first.remove()
    assert list(folders) == [] and folders.find(order.call.token) is None


def test_many_at_once_are_told_once_each(local: Local) -> None:
    folders = [local.start(call("add", a=number, b=0)) for number in range(12)]
    ends = dict(local.end() for _ in folders)
    outputs = [outcome.output for folder in folders if isinstance(outcome := ends[folder], Succeeded)]
    assert outputs == list(range(12))
    assert local.ends.empty()


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
