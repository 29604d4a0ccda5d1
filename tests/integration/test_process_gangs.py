"""Gangs, leases, warnings and metering of worker processes, with real processes and a real collective."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skylift.compute.process import ProcessBackend, gpus
from skylift.compute.process.leases import workers_of
from skylift.compute.process.machine import Machine
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
from skylift.testing.backend_harness import until
from skylift.testing.backends import Outcomes

TASKS = """
import os
import time
from pathlib import Path


def rank():
    return int(os.environ["RANK"])


def note(folder, name):
    Path(folder, f"{name}-{rank()}").write_text(str(os.getpid()))


def together(folder):
    note(folder, "at")
    while len(list(Path(folder).glob("at-*"))) < int(os.environ["WORLD_SIZE"]):
        time.sleep(0.005)
    print("there")
    return [rank(), os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]) > 1023]


def stay(folder):
    note(folder, "at")
    time.sleep(600)


def fail_at(folder, which):
    note(folder, "at")
    while len(list(Path(folder).glob("at-*"))) < int(os.environ["WORLD_SIZE"]):
        time.sleep(0.005)
    if rank() == which:
        raise KeyError("member")
    time.sleep(600)


def nap(ms):
    time.sleep(ms / 1000)


def held(gate):
    Path(gate + ".began").touch()
    while not Path(gate).exists():
        time.sleep(0.005)


def reduce(folder, die):
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    total = torch.tensor([float(rank() + 1)])
    dist.all_reduce(total)
    mark = Path(folder, "died")
    if die and rank() == 1 and not mark.exists():
        mark.touch()
        os._exit(9)
    dist.barrier()
    dist.destroy_process_group()
    return total.item()


def warned(folder):
    from skylift.checkpoint import warned

    note(folder, "at")
    while warned() is None:
        time.sleep(0.005)
    return warned()


def big(size):
    return b"x" * size


def length(data: bytes) -> int:
    return len(data)
"""
Make = Callable[..., tuple[ProcessBackend, Outcomes]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "gang_tasks.py").write_text(TASKS)
    made: list[ProcessBackend] = []

    def build(**options: Any) -> tuple[ProcessBackend, Outcomes]:
        outcomes = Outcomes()
        given = {"workers": 4, "grace_ms": 300, "paths": [str(tmp_path / "code")], "blobs": str(tmp_path / "blobs")}
        made.append(ProcessBackend(outcomes, **{**given, **options}))
        return made[-1], outcomes

    yield build
    for backend in made:
        backend.close()


_count = iter(range(10**6))


def order(target: str, needs: Requirements | None = None, *, run: str = "run", **arguments: Any) -> TaskCall:
    return TaskCall(
        token=f"g{next(_count)}",
        run_id=run,
        task=target,
        label=target,
        attempt=1,
        code=CodeRef(bundle=None, target=f"gang_tasks:{target}"),
        arguments=arguments,
        requirements=needs or Requirements(),
    )


def ended(backend: ProcessBackend, outcomes: Outcomes, call: TaskCall) -> Outcome:
    outcomes.by_token.pop(call.token, None)
    backend.submit([call])
    return outcomes.wait(call.token, timeout=90)[0]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def pids(folder: Path) -> list[int]:
    return [int(mark.read_text()) for mark in folder.glob("at-*") if mark.read_text()]


# Gangs ----------------------------------------------------------------------------------------------------------------


def test_members_know_each_other_and_rank_0_answers(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    log = tmp_path / "attempt.log"
    call = order("together", Requirements(nodes=4), folder=str(tmp_path))
    outcome = ended(backend, outcomes, msgspec.structs.replace(call, log=str(log)))
    assert isinstance(outcome, Succeeded), outcome
    said = sorted(line.split(" ", 2)[2] for line in log.read_text().splitlines())
    assert said == [f"[{rank}] there" for rank in range(4)]
    assert outcome.output == [0, "127.0.0.1", True]
    assert outcome.usage is not None and outcome.usage.vcpus == 4 and len(set(pids(tmp_path))) == 4
    assert backend.poll(["x"]) == {} and len(outcomes.order) == 1


def test_a_gang_waits_until_all_can_start_and_others_do_not_pass_it_for_ever(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make(workers=2)
    gate, later = tmp_path / "gate", tmp_path / "later"
    gates = [gate, gate, later, later, later, later]
    others = [order("held", run=f"r{number}", gate=str(one)) for number, one in enumerate(gates)]
    backend.submit(others[:2])
    gang = order("together", Requirements(nodes=2), folder=str(tmp_path))
    backend.submit([gang])
    backend.submit(others[2:])
    until(lambda: bool(backend.explain([gang.token])))
    assert backend.explain([gang.token]) == {gang.token: "waits for 2 workers at once"}
    assert not list(tmp_path.glob("at-*"))
    gate.touch()
    [outcome] = outcomes.wait(gang.token)
    assert isinstance(outcome, Succeeded)
    later.touch()
    outcomes.wait(*(other.token for other in others))
    assert outcomes.order.index(gang.token) <= 4


def test_more_nodes_than_workers_are_refused(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make(workers=2)
    needs = Requirements(nodes=3)
    assert not backend.offers(needs)
    outcome = ended(backend, outcomes, order("together", needs, folder=str(tmp_path)))
    assert isinstance(outcome, Failed) and outcome.error == "Skylift.Infeasible"
    assert "wants 3 workers at once, and this machine gives 2" in outcome.cause and "workers" in outcome.cause


@pytest.mark.parametrize("which", [0, 3])
def test_a_member_that_fails_ends_the_gang(make: Make, tmp_path: Path, which: int) -> None:
    backend, outcomes = make()
    outcome = ended(backend, outcomes, order("fail_at", Requirements(nodes=4), folder=str(tmp_path), which=which))
    assert isinstance(outcome, Failed) and outcome.error == "KeyError"
    others = [pid for pid in pids(tmp_path) if pid != int((tmp_path / f"at-{which}").read_text())]
    assert len(others) == 3 and all(map(is_gone, others))
    (tmp_path / "again").mkdir()
    assert isinstance(
        ended(backend, outcomes, order("together", Requirements(nodes=4), folder=str(tmp_path / "again"))), Succeeded
    )


def test_a_member_that_is_killed_loses_the_attempt(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    call = order("stay", Requirements(nodes=3), folder=str(tmp_path))
    backend.submit([call])
    until(lambda: len(pids(tmp_path)) == 3)
    assert backend.poll([call.token]) == {call.token: "running"}
    os.kill(int((tmp_path / "at-1").read_text()), signal.SIGKILL)
    [outcome] = outcomes.wait(call.token)
    assert isinstance(outcome, Lost) and outcome.reason.startswith("member 1 of the gang") and not outcome.preempted
    assert all(map(is_gone, pids(tmp_path)))


def test_a_gang_is_cancelled_and_timed_out_as_one(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    one = order("stay", Requirements(nodes=2), folder=str(tmp_path))
    backend.submit([one])
    until(lambda: len(pids(tmp_path)) == 2)
    backend.cancel([one.token])
    assert isinstance(outcomes.wait(one.token)[0], Cancelled)
    assert all(map(is_gone, pids(tmp_path)))
    late = order("stay", Requirements(nodes=2, timeout_ms=200), folder=str(tmp_path))
    assert isinstance(ended(backend, outcomes, late), TimedOut)
    assert outcomes.order == [one.token, late.token]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_a_real_all_reduce_is_restarted_after_the_loss_of_a_member(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make(workers=2)
    call = order("reduce", Requirements(nodes=2), folder=str(tmp_path), die=True)
    lost = ended(backend, outcomes, call)
    assert isinstance(lost, Lost), lost
    again = ended(backend, outcomes, msgspec.structs.replace(call, delivery=2))
    assert isinstance(again, Succeeded) and again.output == 3.0


# Leases ---------------------------------------------------------------------------------------------------------------

LOOK = """
import json, sys
from pathlib import Path
from skylift.compute.process import ProcessBackend
backend = ProcessBackend(lambda *_: None, state=sys.argv[1], workers=1)
found = backend.leased()
backend.end(found)
print(json.dumps([[one.id, one.until_ms, one.note, one.kind] for one in found]), len(backend.leased()))
backend.close()
"""


def test_another_process_finds_workers_by_their_leases_and_ends_them(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make(state=str(tmp_path / "state"), lease_ms=90_000)
    call = order("stay", Requirements(env={"RANK": "0"}), folder=str(tmp_path))
    backend.submit([call])
    until(lambda: bool(pids(tmp_path)))
    looked = subprocess.run(
        [sys.executable, "-c", LOOK, str(tmp_path / "state")], capture_output=True, text=True, check=True
    ).stdout
    found, left = json.JSONDecoder().raw_decode(looked)[0], looked.split()[-1]
    assert [entry[0] for entry in found] == [str(pids(tmp_path)[0])] and left == "0"
    assert 0 < found[0][1] - time.time() * 1000 <= 90_000 and found[0][3] == "worker"
    assert f"engine process {os.getpid()}" in found[0][2]
    assert isinstance(outcomes.wait(call.token)[0], Lost) and is_gone(pids(tmp_path)[0])


def test_leases_are_renewed_and_end_with_their_worker(make: Make, tmp_path: Path) -> None:
    state = tmp_path / "state"
    backend, outcomes = make(state=str(state), lease_ms=300)
    assert isinstance(ended(backend, outcomes, order("nap", ms=1)), Succeeded)
    [first] = backend.leased()
    until(lambda: backend.leased()[0].until_ms > first.until_ms)
    backend.close()
    assert backend.leased() == [] and list(state.iterdir()) == []


ENGINE = """
import sys, time
from skylift.compute.process import ProcessBackend
from skylift.ports.compute import CodeRef, Requirements, TaskCall
backend = ProcessBackend(lambda *_: None, state=sys.argv[1], paths=[sys.argv[2]], workers=1)
backend.submit([TaskCall(token="t", run_id="r", task="stay", label="stay", attempt=1,
    code=CodeRef(bundle=None, target="gang_tasks:stay"), arguments={"folder": sys.argv[3]},
    requirements=Requirements(env={"RANK": "0"}))])
time.sleep(600)
"""


def test_nothing_is_leased_by_an_engine_that_was_killed(make: Make, tmp_path: Path) -> None:
    make()
    command = [sys.executable, "-c", ENGINE, str(tmp_path / "state"), str(tmp_path / "code"), str(tmp_path)]
    engine = subprocess.Popen(command)
    try:
        until(lambda: bool(pids(tmp_path)))
        assert len(workers_of(tmp_path / "state", "process")) == 1
    finally:
        engine.kill()
        engine.wait()
    until(lambda: not workers_of(tmp_path / "state", "process"))
    assert is_gone(pids(tmp_path)[0]) and list((tmp_path / "state").glob("*.json")) == []


# Warnings and metering ------------------------------------------------------------------------------------------------


def test_a_warning_reaches_user_code_with_its_time(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    call = order("warned", Requirements(env={"RANK": "0"}), folder=str(tmp_path))
    backend.submit([call])
    until(lambda: bool(pids(tmp_path)))
    backend.warn(300.0, [call.token])
    [outcome] = outcomes.wait(call.token)
    assert isinstance(outcome, Succeeded) and 250 < outcome.output <= 300


def test_start_up_place_and_bytes_are_measured(make: Make) -> None:
    backend, outcomes = make(workers=1)
    cold = ended(backend, outcomes, order("big", Requirements(cpus=0.5, memory_mib=900), size=3_000_000))
    assert isinstance(cold, Succeeded) and cold.usage is not None
    usage = cold.usage
    assert usage.startup_ms is not None and usage.startup_ms > 10
    assert (usage.service, usage.vcpus, usage.memory_mib) == ("process", 0.5, 900)
    assert usage.in_bytes is None and usage.out_bytes is not None and 3_000_000 <= usage.out_bytes < 3_001_000
    warm = ended(backend, outcomes, order("length", data=cold.output))
    assert isinstance(warm, Succeeded) and warm.usage is not None and warm.output == 3_000_000
    assert warm.usage.startup_ms is not None and warm.usage.startup_ms < usage.startup_ms
    assert warm.usage.in_bytes is not None and warm.usage.in_bytes >= 3_000_000 and warm.usage.out_bytes is None


def test_a_lost_attempt_says_how_long_it_ran(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    call = order("stay", Requirements(env={"RANK": "0"}), folder=str(tmp_path))
    backend.submit([call])
    until(lambda: bool(pids(tmp_path)))
    time.sleep(0.1)
    os.kill(pids(tmp_path)[0], signal.SIGKILL)
    [outcome] = outcomes.wait(call.token)
    assert isinstance(outcome, Lost) and outcome.usage is not None
    assert (outcome.usage.duration_ms or 0) >= 100 and outcome.usage.service == "process"


def test_an_attempt_that_ran_out_of_memory_is_given_again_with_more(make: Make) -> None:
    backend, outcomes = make()
    call = order("big", Requirements(memory_mib=100), size=400 * 2**20)
    assert isinstance(ended(backend, outcomes, call), OutOfMemory)
    backend.submit([call])  # the same delivery again is the same attempt
    more = msgspec.structs.replace(call, delivery=2, requirements=Requirements(memory_mib=2000))
    outcome = ended(backend, outcomes, more)
    assert isinstance(outcome, Succeeded) and outcomes.order == [call.token] * 2


SMI = """#!/bin/sh
while true; do echo "0, 50, 1000"; echo "1, 100, 2000"; sleep 0.02; done
"""


def test_gpus_are_watched_while_an_attempt_has_them(make: Make, tmp_path: Path, monkeypatch: Any) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    tool = programs / "nvidia-smi"
    tool.write_text(SMI)
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(gpus, "LINGER_S", 0.2)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    backend, outcomes = make(machine=Machine(cpus=2, memory_mib=4000, gpus=("V100", "V100")))
    call = order("held", Requirements(gpu="1"), gate=str(tmp_path / "gate"))
    backend.submit([call])
    until((tmp_path / "gate.began").exists)
    [gauge] = backend._pool.gpus._gauges
    starting_ms = gauge.busy_ms  # its worker had the GPU too while it started
    until(lambda: gauge.busy_ms > 3 * starting_ms)
    (tmp_path / "gate").touch()
    [outcome] = outcomes.wait(call.token)
    assert isinstance(outcome, Succeeded) and outcome.usage is not None
    assert outcome.usage.gpu_ms is not None and outcome.usage.duration_ms is not None
    assert 0 < outcome.usage.gpu_ms < outcome.usage.duration_ms
    assert outcome.usage.gpu_memory_mib == 1000
    plain = ended(backend, outcomes, order("nap", ms=1))
    assert isinstance(plain, Succeeded) and plain.usage is not None and plain.usage.gpu_ms is None
    until(lambda: backend._pool.gpus._process is None)
