"""What worker processes do that the contract of backends does not speak of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from skylift.compute.process import ProcessBackend
from skylift.compute.process.cgroups import own_group
from skylift.compute.process.machine import Machine
from skylift.compute.process.worker import WorkerProcess
from skylift.ports.compute import (
    Cancelled,
    CodeRef,
    Failed,
    Lost,
    OutOfMemory,
    Requirements,
    Succeeded,
    TaskCall,
    TimedOut,
)
from skylift.testing.backends import Outcomes, call, with_log

TASKS = """
import json, os, subprocess, sys, threading, time
seen = []

def pid():
    return os.getpid()

def remember(value):
    seen.append(value)
    return seen

def length(text):
    return len(text)

def leak(mib, _kept=[]):
    _kept.append(bytearray(b"x" * (mib << 20)))
    return os.getpid()

def children(marks, ms, escape=False):
    child = subprocess.Popen(["/bin/sleep", "600"], start_new_session=escape)
    with open(marks, "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    time.sleep(ms / 1000)

def hungry_child(mib):
    code = f"x = bytearray(b'x' * ({mib} << 20)); import time; time.sleep(600)"
    subprocess.run([sys.executable, "-c", code], check=True)

def secret(leak=False):
    value = os.environ["TOKEN"]
    print("it is", value)
    print("as json", json.dumps(value), file=sys.stderr)
    if leak:
        return {"deep": [value]}
    raise ValueError("bad " + value)

def tidy(path, ms):
    try:
        time.sleep(ms / 1000)
    finally:
        with open(path, "w") as file:
            file.write("tidied")

def now_slow(flag, gate, path, mark):
    with open(path, "a") as file:
        file.write(mark + "\\n")
    while mark == flag and not os.path.exists(gate):
        time.sleep(0.005)
    return mark

def local_names(x):
    password = "hunter22"
    big = list(range(10_000))
    raise RuntimeError("look at my locals")

def gpus():
    return os.environ.get("CUDA_VISIBLE_DEVICES")

def close_everything():
    os.closerange(3, 64)
    time.sleep(10)

def talk_and_wait(ms):
    print("first line")
    time.sleep(ms / 1000)
"""

Make = Callable[..., tuple[ProcessBackend, Outcomes]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "worker_tasks.py").write_text(TASKS)
    made: list[ProcessBackend] = []

    def build(**options: Any) -> tuple[ProcessBackend, Outcomes]:
        outcomes = Outcomes()
        options = {"workers": 2, "grace_ms": 300, "paths": [str(tmp_path / "code")]} | options
        made.append(ProcessBackend(outcomes, **options))
        return made[-1], outcomes

    yield build
    for backend in made:
        backend.close()


_count = iter(range(10**6))


def order(target: str, needs: Requirements | None = None, log: Path | None = None, **arguments: Any) -> TaskCall:
    return TaskCall(
        token=f"w{next(_count)}-{target}",
        run_id="run",
        task=target,
        label=target,
        attempt=1,
        code=CodeRef(bundle=None, target=f"worker_tasks:{target}"),
        arguments=arguments,
        requirements=needs or Requirements(),
        log=None if log is None else str(log),
    )


def run(backend: ProcessBackend, outcomes: Outcomes, *calls: TaskCall) -> list[Any]:
    backend.submit(calls)
    return outcomes.wait(*(one.token for one in calls))


def until(condition: Callable[[], object], timeout: float = 90.0) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def read_pids(path: Path) -> list[int]:
    until(lambda: path.exists() and len(path.read_text().split()) == 2)
    return [int(word) for word in path.read_text().split()]


def test_state_of_modules_stays_between_calls(make: Make) -> None:
    backend, outcomes = make(workers=1)
    assert run(backend, outcomes, order("remember", value=1))[0].output == [1]
    assert run(backend, outcomes, order("remember", value=2))[0].output == [1, 2]


def test_arguments_beyond_what_the_stream_holds_reach_a_worker_that_is_up(make: Make) -> None:
    """The rest is sent as the worker reads on, with nothing else due on that backend."""
    backend, outcomes = make(workers=1, idle_ms=3_600_000)
    run(backend, outcomes, order("pid"))
    assert run(backend, outcomes, order("length", text="x" * 16_000_000))[0].output == 16_000_000
    assert run(backend, outcomes, order("length", text="x" * 10))[0].output == 10


def test_recycled_after_so_many_calls(make: Make) -> None:
    backend, outcomes = make(workers=1, recycle_after=3)
    pids = [run(backend, outcomes, order("pid"))[0].output for _ in range(7)]
    assert len(set(pids)) == 3
    until(lambda: not alive(pids[0]))


def test_recycled_when_memory_grows(make: Make) -> None:
    backend, outcomes = make(workers=1, recycle_growth_mib=40)
    pids = [run(backend, outcomes, order("leak", mib=25))[0].output for _ in range(4)]
    assert len(set(pids)) == 2


@pytest.mark.parametrize("escape", [False, True])
@pytest.mark.parametrize("by", ["timeout", "cancel"])
def test_what_a_task_started_ends_with_it(make: Make, tmp_path: Path, by: str, escape: bool) -> None:
    backend, outcomes = make()
    needs = Requirements(timeout_ms=400) if by == "timeout" else Requirements()
    one = order("children", needs, marks=str(tmp_path / "pids"), ms=600_000, escape=escape)
    backend.submit([one])
    pids = read_pids(tmp_path / "pids")
    if by == "cancel":
        backend.cancel([one.token])
    [outcome] = outcomes.wait(one.token)
    assert isinstance(outcome, TimedOut if by == "timeout" else Cancelled)
    until(lambda: not any(map(alive, pids)))


def test_finally_blocks_run_when_an_attempt_is_stopped(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    one = order("tidy", Requirements(timeout_ms=200), path=str(tmp_path / "tidied"), ms=600_000)
    [outcome] = run(backend, outcomes, one)
    assert isinstance(outcome, TimedOut)
    assert (tmp_path / "tidied").read_text() == "tidied"


def test_calls_behind_a_slow_one_go_to_others_and_run_once(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    path = tmp_path / "marks"
    gate = tmp_path / "gate"
    common: dict[str, Any] = {"path": str(path), "flag": "slow", "gate": str(gate)}
    run(backend, outcomes, *(order("now_slow", mark=f"warm{number}", **common) for number in range(40)))
    marks = [*(f"a{number}" for number in range(20)), "slow", *(f"b{number}" for number in range(40))]
    calls = [order("now_slow", mark=mark, **common) for mark in marks]
    backend.submit(calls)
    outcomes.wait(*(one.token for one, mark in zip(calls, marks, strict=True) if mark != "slow"))
    assert calls[marks.index("slow")].token not in outcomes.by_token
    gate.touch()
    outcomes.wait(*(one.token for one in calls))
    written = path.read_text().split()[40:]
    assert sorted(written) == sorted(marks)


def test_a_cancelled_call_in_a_batch_does_not_hurt_those_behind(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make(workers=1)
    path = tmp_path / "marks"
    common: dict[str, Any] = {"path": str(path), "flag": "slow", "gate": str(tmp_path / "gate")}
    run(backend, outcomes, *(order("now_slow", mark=f"warm{number}", **common) for number in range(20)))
    marks = ["slow", *(f"b{number}" for number in range(20))]
    calls = [order("now_slow", mark=mark, **common) for mark in marks]
    backend.submit(calls)
    until(lambda: "slow" in path.read_text())
    backend.cancel([calls[0].token, calls[5].token])
    found = outcomes.wait(*(one.token for one in calls))
    assert [type(outcome) for outcome in found] == [Cancelled, *[Succeeded] * 4, Cancelled, *[Succeeded] * 15]
    written = path.read_text().split()[20:]
    assert sorted(written) == sorted(mark for mark in marks if mark != "b4")


@pytest.mark.parametrize("enforcement", ["auto", "watch"])
def test_memory_limit_is_kept(make: Make, enforcement: str) -> None:
    backend, outcomes = make(memory_enforcement=enforcement)
    needs = Requirements(memory_mib=150)
    found = run(backend, outcomes, call("allocate", mib=500, hold_ms=600_000, requirements=needs), call("nap", ms=100))
    assert isinstance(found[0], OutOfMemory) and isinstance(found[1], Succeeded)
    assert found[0].limit_mib == 150
    assert found[0].peak_mib is not None and found[0].peak_mib > 100
    assert isinstance(run(backend, outcomes, call("allocate", mib=30, requirements=needs))[0], Succeeded)


def test_memory_of_children_counts(make: Make) -> None:
    backend, outcomes = make(memory_enforcement="watch")
    [outcome] = run(backend, outcomes, order("hungry_child", Requirements(memory_mib=200), mib=600))
    assert isinstance(outcome, OutOfMemory)


def test_secrets_are_found_masked_and_never_in_a_result(make: Make, tmp_path: Path) -> None:
    value = 'pa"ss\\word-42'
    (tmp_path / "token").write_text(value + "\n")
    for source in (f"file:{tmp_path / 'token'}", f"command:cat {tmp_path / 'token'}"):
        backend, outcomes = make(secrets={"TOKEN": source})
        log = tmp_path / f"{len(source)}.log"
        needs = Requirements(secrets=("TOKEN",))
        failed, leaked = run(backend, outcomes, order("secret", needs, log), order("secret", needs, log, leak=True))
        assert isinstance(failed, Failed) and failed.error == "ValueError"
        assert isinstance(leaked, Failed) and leaked.error == "SecretInResult"
        text = log.read_text() + failed.cause + leaked.cause
        assert value not in text and "ss\\word" not in text
        assert "stdout it is ***" in text and "bad ***" in text


def test_locals_of_a_failure_are_in_the_log_not_in_the_outcome(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    [outcome] = run(backend, outcomes, order("local_names", log=tmp_path / "log", x=41))
    log = (tmp_path / "log").read_text()
    assert "x = 41" in log and "password = ***" in log and "hunter22" not in log.replace('password = "hunter22"', "")
    assert "big = [0, 1, 2" in log and len(log) < 10_000
    assert "hunter22" not in outcome.cause and "x = " not in outcome.cause and "0, 1, 2" not in outcome.cause


def test_output_can_be_followed_while_the_attempt_runs(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    one = order("talk_and_wait", log=tmp_path / "log", ms=600_000)
    backend.submit([one])
    until(lambda: (tmp_path / "log").exists() and "first line" in (tmp_path / "log").read_text())
    assert backend.poll([one.token]) == {one.token: "running"}
    backend.cancel([one.token])
    outcomes.wait(one.token)


def test_a_crash_is_explained_in_the_log(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make()
    [outcome] = run(backend, outcomes, with_log(call("die", how="segfault"), tmp_path / "log"))
    assert isinstance(outcome, Lost)
    log = (tmp_path / "log").read_text()
    assert "SIGSEGV" in log and "in die" in log


def test_a_task_that_closes_our_pipes_is_lost_alone(make: Make) -> None:
    backend, outcomes = make()
    found = run(backend, outcomes, order("close_everything"), *(order("pid") for _ in range(5)))
    assert isinstance(found[0], Lost)
    assert all(isinstance(outcome, Succeeded) for outcome in found[1:])


def test_gpus_are_shared_out_whole(make: Make) -> None:
    machine = Machine(cpus=4.0, memory_mib=8_000, gpus=("Tesla V100", "Tesla V100", "NVIDIA H100"))
    backend, outcomes = make(workers=4, machine=machine)
    found = run(
        backend,
        outcomes,
        order("gpus", Requirements(gpu="V100:2")),
        order("gpus", Requirements(gpu="H100")),
        order("gpus"),
    )
    assert [outcome.output for outcome in found] == ["0,1", "2", None]
    assert run(backend, outcomes, order("gpus", Requirements(gpu="V100")))[0].output in ("0", "1")


def test_close_gives_back_every_process_file_and_thread(make: Make) -> None:
    make()[0].close()
    me = psutil.Process()
    before = (len(os.listdir("/proc/self/fd")), len(me.children()), threading.active_count())  # noqa: PTH208
    for _ in range(3):
        backend, outcomes = make()
        run(backend, outcomes, *(call("add", a=1, b=1) for _ in range(20)), call("die", how="kill"))
        backend.submit([call("nap", ms=600_000)])
        backend.close()
    after = (len(os.listdir("/proc/self/fd")), len(me.children()), threading.active_count())  # noqa: PTH208
    assert after == before


def test_a_fork_after_close_touches_no_file_of_others(make: Make) -> None:
    backend, outcomes = make()
    run(backend, outcomes, call("add", a=1, b=1))
    backend.close()
    files = [os.pipe() for _ in range(20)]
    child = os.fork()
    if child == 0:
        try:
            os._exit(sum(os.fstat(fd).st_size for pair in files for fd in pair))
        finally:
            os._exit(9)
    assert os.waitpid(child, 0)[1] == 0
    for fd in (fd for pair in files for fd in pair):
        os.close(fd)


ENGINE = """
import sys, time
from skylift.compute.process import ProcessBackend
from skylift.ports.compute import *
backend = ProcessBackend(lambda token, outcome: print(token, outcome), workers=2, paths=[sys.argv[1]])
code = CodeRef(bundle=None, target="worker_tasks:children")
arguments = {"marks": sys.argv[2], "ms": 60_000}
needs = Requirements(memory_mib=500)
call = TaskCall(
    token="t", run_id="r", task="c", label="c", attempt=1, code=code, arguments=arguments, requirements=needs
)
backend.submit([call])
time.sleep(60)
"""


def test_workers_and_their_children_die_with_the_engine(make: Make, tmp_path: Path) -> None:
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, str(tmp_path / "code"), str(tmp_path / "pids")])
    pids = read_pids(tmp_path / "pids")
    assert all(map(alive, pids))
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    until(lambda: not any(map(alive, pids)))
    own = own_group()
    until(lambda: own is None or not list(own[0].glob(f"skylift-{engine.pid}-*")))


def test_a_fork_of_the_engine_does_not_keep_workers_alive(make: Make, tmp_path: Path) -> None:
    forking = ENGINE.replace("time.sleep(60)", "import os\nif os.fork() == 0:\n    backend.close()\ntime.sleep(60)")
    engine = subprocess.Popen([sys.executable, "-c", forking, str(tmp_path / "code"), str(tmp_path / "pids")])
    pids = read_pids(tmp_path / "pids")
    until(lambda: psutil.Process(engine.pid).children())
    forked = [child for child in psutil.Process(engine.pid).children() if child.cmdline()[-1] == str(tmp_path / "pids")]
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    until(lambda: not any(map(alive, pids)))
    for child in forked:
        child.kill()


def test_workers_that_cannot_start_are_reported(make: Make, tmp_path: Path) -> None:
    backend, outcomes = make(cwd=str(tmp_path / "not there"))
    [outcome] = run(backend, outcomes, order("pid"))
    assert isinstance(outcome, Lost) and "not there" in outcome.reason


def test_a_warning_that_overtakes_a_workers_first_word_is_told(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code runs already, and what its worker said lies unread: nobody may wait for a warning that was given."""
    heard = threading.Event()
    read = WorkerProcess.read

    def late(worker: WorkerProcess) -> tuple[list[Any], bool]:
        return read(worker) if heard.wait(0.01) else ([], False)

    monkeypatch.setattr(WorkerProcess, "read", late)
    backend, outcomes = make()
    one = call("heed_warning", path=str(tmp_path / "ears"))
    backend.submit([one])
    until((tmp_path / "ears").exists)
    backend.warn(300.0)
    heard.set()
    [outcome] = outcomes.wait(one.token)
    assert isinstance(outcome, Succeeded) and 0 < outcome.output <= 300
