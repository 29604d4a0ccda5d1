"""Real machines of the batch backend: they come with the queue and go with it, are killed, orphaned, adopted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from batch_pool import LARGE, SMALL, SPOT, Pool

from skylift.compute.batch.backend import BatchBackend
from skylift.compute.batch.local_files import MachineFolder
from skylift.compute.batch.provider import Kind
from skylift.compute.batch.queues import QueuePolicy
from skylift.compute.batch.real_runner import RealRunner, wall_ms
from skylift.compute.batch.scheduler import PoolPolicy
from skylift.compute.batch.share import group_parents
from skylift.compute.batch.simulated import SimulatedProvider
from skylift.compute.process.cgroups import Cgroups
from skylift.ports.compute import Lost, Requirements, Succeeded
from skylift.testing.backend_harness import Outcomes, call, until


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    pool = Pool(tmp_path)
    yield pool
    pool.close()


def alive(pool: Pool) -> list[MachineFolder]:
    folders = [MachineFolder(path) for path in (pool.root / "machines").iterdir()]
    return [folder for folder in folders if folder.alive]


def test_the_pool_grows_from_nothing_with_the_queue_and_goes_back_to_nothing(pool: Pool) -> None:
    outcomes = Outcomes()
    backend = pool.make(outcomes)
    time.sleep(0.2)
    assert alive(pool) == []
    naps = [call("nap", ms=1_500) for _ in range(4)]
    backend.submit(naps)
    until(lambda: "running" in backend.poll([nap.token for nap in naps]).values())
    processes = [folder.pid for folder in alive(pool)]
    assert 1 <= len(processes) <= 2
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes.wait(*(nap.token for nap in naps)))
    until(lambda: not alive(pool))
    until(lambda: not [pid for pid in processes if Path(f"/proc/{pid}").exists()])


def test_usage_names_the_machine_its_share_and_the_start(pool: Pool) -> None:
    outcomes = Outcomes()
    backend = pool.make(outcomes)
    one = call("spin", ms=50, requirements=Requirements(cpus=0.5, memory_mib=300))
    backend.submit([one])
    [outcome] = outcomes.wait(one.token)
    assert isinstance(outcome, Succeeded) and outcome.usage is not None
    usage = outcome.usage
    assert usage.instance_type == "small" and usage.service == "batch" and usage.market == "on-demand"
    assert usage.vcpus == 0.5 and usage.memory_mib == 300 and usage.worker is not None
    assert usage.startup_ms is not None and usage.cost_usd_micro == 0


def test_a_killed_machine_loses_its_attempts_and_they_run_again_elsewhere(pool: Pool) -> None:
    outcomes = Outcomes()
    backend = pool.make(outcomes)
    naps = [call("nap", ms=60_000, requirements=Requirements(cpus=0.5)) for _ in range(2)]
    backend.submit(naps)
    tokens = [nap.token for nap in naps]
    until(lambda: set(backend.poll(tokens).values()) == {"running"})
    until(lambda: len([each for folder in alive(pool) for each in folder.assignments()]) == 2)
    for folder in alive(pool):
        assert folder.pid is not None
        os.kill(folder.pid, signal.SIGKILL)
    losses = outcomes.wait(*tokens)
    assert all(isinstance(loss, Lost) and not loss.preempted and "killed" in loss.reason for loss in losses), losses
    outcomes.by_token.clear()
    again = [msgspec.structs.replace(call("nap", ms=1), token=nap.token, delivery=2) for nap in naps]
    backend.submit(again)
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes.wait(*tokens))


def test_a_spot_machine_that_vanishes_was_taken_away_and_one_that_is_warned_tells_its_attempts(tmp_path: Path) -> None:
    pool = Pool(tmp_path, (SPOT, LARGE))
    outcomes = Outcomes()
    backend = pool.make(outcomes)
    began = tmp_path / "began"
    spot = msgspec.structs.replace(call("note_and_nap", path=str(began), ms=60_000), market="spot")
    backend.submit([spot])
    until(began.exists)  # a machine that is warned with nothing on it yet goes at once
    [folder] = alive(pool)
    assert folder.order is not None and folder.order.kind == SPOT and folder.pid is not None
    os.kill(folder.pid, signal.SIGTERM)
    until(lambda: folder.has("warned"))
    until(lambda: [machine.phase for machine in pool.provider().look()] == ["warned"])
    until(lambda: [node.machine.phase for node in backend._scheduler.nodes.all()] == ["warned"])  # it has looked too
    late = msgspec.structs.replace(call("nap", ms=10), market="spot", requirements=Requirements(cpus=0.5))
    backend.submit([late])
    time.sleep(0.3)
    assert backend.poll([late.token]) == {late.token: "queued"}  # a machine that is about to go gets nothing more
    os.kill(folder.pid, signal.SIGKILL)
    [loss] = outcomes.wait(spot.token)
    assert isinstance(loss, Lost) and loss.preempted
    assert isinstance(outcomes.wait(late.token)[0], Succeeded)
    pool.close()


def test_a_machine_ends_by_itself_with_its_lease_and_with_all_that_is_on_it(pool: Pool) -> None:
    outcomes = Outcomes()
    backend = pool.make(outcomes)
    one = call("nap", ms=60_000)
    backend.submit([one])
    until(lambda: any(folder.assignments() for folder in alive(pool)))
    [folder] = alive(pool)
    backend._renew = lambda: None  # type: ignore[method-assign]  # as if the engine hung
    pool.provider().renew(folder.path.name, int(time.time() * 1000) - 1)
    until(lambda: not folder.alive)
    [loss] = outcomes.wait(one.token)
    assert isinstance(loss, Lost) and "lease" in loss.reason


def test_another_kind_gets_the_limit_that_idle_machines_hold(pool: Pool) -> None:
    outcomes = Outcomes()
    backend = pool.make(outcomes)
    small, large = call("nap", ms=1), call("nap", ms=1, requirements=Requirements(cpus=2))
    backend.submit([small])
    outcomes.wait(small.token)
    backend.submit([large])
    assert isinstance(outcomes.wait(large.token)[0], Succeeded)


def test_what_waits_says_why(tmp_path: Path) -> None:
    pool = Pool(tmp_path, (SMALL,), most_mcpus=1000)
    outcomes = Outcomes()
    queues = {"high": QueuePolicy(priority=9)}
    backend = pool.make(outcomes, queue_of={"nap": "high"}, queues=queues)
    first, second = call("nap", ms=30_000), call("nap", ms=1)
    later = call("add", a=1, b=1)
    huge = call("add", a=1, b=1, requirements=Requirements(memory_mib=8192))
    backend.submit([first])
    until(lambda: backend.poll([first.token])[first.token] == "running")
    backend.submit([second, later, huge])
    [refused] = outcomes.wait(huge.token)
    assert "needs 8 GiB, and the largest machine allowed has 1 GiB" in refused.cause  # type: ignore[union-attr]
    told = backend.explain([first.token, second.token, later.token])
    assert told[first.token].startswith("on small m-")
    assert told[second.token] == "waits for 1 vCPU: the compute environment is at its limit of 1 vCPUs"
    assert told[later.token] == "behind 1 job of queue high"
    backend.cancel([first.token, second.token, later.token])
    outcomes.wait(first.token, second.token, later.token)
    pool.close()


ENGINE = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from batch_pool import Pool
from skylift.compute.batch.local_files import MachineFolder
from skylift.testing.backend_harness import Outcomes, call
import msgspec
backend = Pool(Path({home!r})).make(Outcomes())
one = msgspec.structs.replace(call("append_after", path={mark!r}, text="x", ms=4000), token="the-token")
backend.submit([one])
while backend.poll(["the-token"]) != {{"the-token": "running"}}:
    time.sleep(0.01)
machines = Path({home!r}, "attempts", "batch", "machines")
while not any(MachineFolder(path).assignments() for path in machines.iterdir()):  # so its machine says
    time.sleep(0.01)
print("running", flush=True)
time.sleep(60)
"""


def test_what_a_killed_engine_left_running_is_adopted_and_runs_once(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    source = ENGINE.format(tests=str(Path(__file__).parents[1]), home=str(tmp_path), mark=str(mark))
    engine = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    assert engine.stdout is not None and engine.stdout.readline() == "running\n"
    engine.kill()
    engine.wait()
    engine.stdout.close()
    pool = Pool(tmp_path)
    outcomes = Outcomes()
    backend = pool.make(outcomes)
    one = call("append_after", path=str(mark), text="x", ms=4000)
    backend.submit([msgspec.structs.replace(one, token="the-token")])
    assert backend.poll(["the-token", "another"]) == {"the-token": "running"}
    [outcome] = outcomes.wait("the-token")
    assert isinstance(outcome, Succeeded) and outcome.output == "x" and mark.read_text() == "x"
    until(lambda: not alive(pool))  # the machine was taken over, and is stopped when it is idle
    pool.close()


def test_simulated_machines_run_user_code_for_real(tmp_path: Path) -> None:
    runner = RealRunner("batch", str(tmp_path / "blobs"), str(tmp_path / "code"), str(tmp_path), {}, ())
    kinds = (Kind(name="p3.2xlarge", vcpus=8, memory_mib=62_464, gpu="V100", gpus=1, startup_ms=300),)
    policy = PoolPolicy(kinds=kinds, most_mcpus=8000, idle_ms=200)
    outcomes = Outcomes()
    backend = BatchBackend(outcomes, SimulatedProvider(kinds, wall_ms, runner), policy)
    one = call("add", a=1, b=2, requirements=Requirements(gpu="V100", cpus=8))
    try:
        backend.submit([one])
        [outcome] = outcomes.wait(one.token)
        assert isinstance(outcome, Succeeded) and outcome.output == 3 and outcome.usage is not None
        assert outcome.usage.instance_type == "p3.2xlarge" and outcome.usage.vcpus == 8
        until(lambda: backend.leased() == [])
    finally:
        backend.close()


def groups_of(machines: list[str]) -> list[Path]:
    """Folders of control groups that carry their names, wherever a machine of this process may have made them."""
    found = (found for parent in group_parents() for found in parent.glob("skylift-machine-*"))
    return [group for group in found if group.name.removeprefix("skylift-machine-") in machines]


@pytest.mark.skipif(Cgroups.here() is None, reason="no control groups of our own here")
def test_no_control_group_is_left_of_machines_that_were_stopped_or_killed_or_ended_by_themselves(pool: Pool) -> None:
    provider = pool.provider()
    soon_ms = int(time.time() * 1000) + 600_000
    stopped, killed, left = (provider.start(SMALL, "me", soon_ms) for _ in range(3))
    machines = [stopped, killed, left]
    folders = {machine: MachineFolder(pool.root / "machines" / machine) for machine in machines}
    until(lambda: all(folder.has("ready") for folder in folders.values()))
    assert groups_of(machines)
    provider.stop([stopped])
    assert groups_of([stopped]) == []
    provider.renew(left, 0)  # its lease is over: nobody looks after it
    until(lambda: not folders[left].alive)
    assert groups_of([left]) == []
    os.kill(folders[killed].pid or 0, signal.SIGKILL)
    until(lambda: provider.look() is not None and not groups_of([killed]))


class Trouble:
    """In place of one of a provider's methods: raises what no contract names, the first few times."""

    def __init__(self, real: Callable[..., Any], times: int) -> None:
        self._real, self._left = real, times

    def __call__(self, *arguments: Any) -> Any:
        if self._left:
            self._left -= 1
            raise RuntimeError("the provider is not well")
        return self._real(*arguments)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What is told of errors that nobody expects, instead of the terminal."""
    said: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, problem, trace: said.append(problem))
    return said


def test_a_provider_that_raises_anything_when_a_machine_is_asked_for_is_asked_again(tmp_path: Path) -> None:
    """What was asked for was waited for, for ever."""
    pool = Pool(tmp_path, retry_ms=50)
    outcomes = Outcomes()
    backend = pool.make(outcomes)
    backend._provider.start = Trouble(backend._provider.start, 2)  # type: ignore[method-assign]
    one = call("add", a=1, b=1)
    backend.submit([one])
    assert isinstance(outcomes.wait(one.token)[0], Succeeded)
    pool.close()


def test_an_attempt_that_its_provider_does_not_take_is_lost_and_may_come_again(pool: Pool) -> None:
    outcomes = Outcomes()
    backend = pool.make(outcomes)
    backend._provider.run = Trouble(backend._provider.run, 1)  # type: ignore[method-assign]
    one = call("add", a=1, b=1)
    backend.submit([one])
    [lost] = outcomes.wait(one.token)
    assert isinstance(lost, Lost) and "RuntimeError: the provider is not well" in lost.reason
    outcomes.by_token.clear()
    backend.submit([msgspec.structs.replace(one, delivery=2)])
    assert isinstance(outcomes.wait(one.token)[0], Succeeded)


def test_a_machine_that_could_not_be_stopped_is_stopped_later(pool: Pool, quiet: list[BaseException]) -> None:
    outcomes = Outcomes()
    backend = pool.make(outcomes)
    backend._provider.stop = Trouble(backend._provider.stop, 1)  # type: ignore[method-assign]
    one = call("add", a=1, b=1)
    backend.submit([one])
    assert isinstance(outcomes.wait(one.token)[0], Succeeded)
    [machine] = alive(pool)
    until(lambda: not machine.alive)
    assert [str(problem) for problem in quiet] == ["the provider is not well"]
    assert "stopped" in (machine.farewell() or pytest.fail("it said nothing")).reason, "and did not end by itself"
