"""`--on ray` without an address: a cluster of this machine that comes with the first call and goes with the last."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from ray_backends import RayParts, make
from ray_cluster import Namespace, lonely

from skylift.compute.ray.backend import RayBackend
from skylift.compute.ray.cluster import Cluster, wait_gone
from skylift.compute.ray.remains import processes_of
from skylift.ports.compute import Succeeded
from skylift.sweeping import sweep
from skylift.testing.backend_harness import until
from skylift.testing.backends import Outcomes, call

__all__ = ["lonely"]

WAIT_S = 180.0
PROGRAM = """
from skylift import pipeline, task

@task
def square(x: int) -> int:
    return x * x

@pipeline
def squares(n: int) -> list[int]:
    return [square(x) for x in range(n)]
"""


def test_one_command_starts_a_cluster_says_where_it_listens_and_leaves_nothing(
    tmp_path: Path, lonely: Namespace
) -> None:
    (tmp_path / "squares.py").write_text(PROGRAM)
    environment = {**os.environ, "SKYLIFT_HOME": str(tmp_path / "home")}
    command = [str(Path(sys.executable).with_name("skylift")), "run", "squares.py", "--on", "ray", "--n", "4"]
    before = _rays()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"\d+", done.stdout)[-4:] == ["0", "1", "4", "9"]
    said = [line for line in done.stderr.splitlines() if "started a cluster" in line]
    assert len(said) == 1 and "127.0.0.1:" in said[0] and "token" in said[0]
    until(lambda: _rays() == before, WAIT_S)  # the command waits for it only so long, on a busy machine
    folders = set(re.findall(r"/tmp/skylift-ray-\w+", (tmp_path / "home/attempts/ray/keeper.log").read_text()))
    assert folders
    until(lambda: not any(Path(folder).exists() for folder in folders), WAIT_S)
    assert (tmp_path / "home/attempts/ray/token").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_a_cluster_goes_on_with_what_runs_and_the_next_engine_ends_it(tmp_path: Path, lonely: Namespace) -> None:
    parts = RayParts(tmp_path / "home", settings={"cpus": 1})
    backend = _announced(parts, Outcomes(), said := [])
    one = call("append_after", path=str(tmp_path / "runs"), text="x", ms=1_500)
    backend.submit([one])
    until(lambda: backend.poll([one.token]).get(one.token) == "running", WAIT_S)
    backend.close()
    heard = Outcomes()
    following = _announced(parts, heard, said)
    following.submit([one])
    [outcome] = heard.wait(one.token, timeout=WAIT_S)
    assert isinstance(outcome, Succeeded) and (tmp_path / "runs").read_text() == "x"
    assert len(said) == 1
    following.close()
    until(lambda: not _rays(), WAIT_S)


@pytest.mark.slow
def test_a_cluster_ends_with_its_last_lease(tmp_path: Path, lonely: Namespace) -> None:
    cluster = Cluster(tmp_path / "ray", "an-engine-that-dies")
    facts, started = cluster.ensure(1, 30_000)
    assert started
    cluster.renew(1_000)
    assert wait_gone(facts, WAIT_S) and cluster.facts() is None
    until(lambda: not _rays(), WAIT_S)


@pytest.mark.slow
def test_a_killed_engine_that_had_nothing_in_it_takes_its_cluster_along(tmp_path: Path, lonely: Namespace) -> None:
    program = (
        "import os, sys; from pathlib import Path; from skylift.compute.ray.cluster import Cluster\n"
        "Cluster(Path(sys.argv[1]), 'an-engine').ensure(1, 600_000); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "ray")], timeout=WAIT_S)
    assert done.returncode == 9
    until(lambda: not _rays(), WAIT_S)
    assert Cluster(tmp_path / "ray", "another").facts() is None


@pytest.mark.slow
def test_the_lease_says_whether_something_is_in_the_cluster(tmp_path: Path, lonely: Namespace) -> None:
    parts = RayParts(tmp_path / "home", settings={"cpus": 1})
    backend = _announced(parts, outcomes := Outcomes(), [])

    def busy() -> list[bool]:
        files = (tmp_path / "home").rglob("leases/*")
        return [json.loads(file.read_bytes())["busy"] for file in files if not file.name.endswith(".new")]

    try:
        one = call("append_after", path=str(tmp_path / "runs"), text="x", ms=3_000)
        backend.submit([one])
        until(lambda: backend.poll([one.token]).get(one.token) == "running", WAIT_S)
        assert busy() == [True]
        outcomes.wait(one.token, timeout=WAIT_S)
        until(lambda: busy() == [False], WAIT_S)
    finally:
        backend.close()


def test_a_cluster_whose_keeper_is_killed_is_ended_by_the_keepers_fork(tmp_path: Path, lonely: Namespace) -> None:
    cluster = Cluster(tmp_path / "ray", "an-engine")
    facts, _ = cluster.ensure(1, 300_000)
    temps = _temps(cluster)
    os.kill(facts.pid, signal.SIGKILL)
    until(lambda: not _rays(), WAIT_S)
    until(lambda: not any(temp.exists() for temp in temps), WAIT_S)
    assert temps and cluster.facts() is None and not cluster.left()


@pytest.mark.slow
def test_what_is_left_when_keeper_and_fork_are_killed_is_listed_and_swept(tmp_path: Path, lonely: Namespace) -> None:
    parts = RayParts(tmp_path / "home", settings={"cpus": 1})
    backend = _announced(parts, Outcomes(), [])
    one = call("nap", ms=600_000)
    backend.submit([one])
    until(lambda: backend.poll([one.token]).get(one.token) == "running", WAIT_S)
    backend.abandon()
    cluster = Cluster(tmp_path / "home/attempts/ray", "looks")
    [temp] = _temps(cluster)
    killed = [process for process in psutil.process_iter(["cmdline"]) if _is_keeper_of(process, cluster)]
    assert len(killed) == 2
    # `ray start --block` would end the rest as soon as the raylet is gone, and nothing would be left to be found.
    killed += [process for process in processes_of(temp) if _is_last(process)]
    for process in killed:
        process.suspend()
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, timeout=10)
    sweeper = _announced(RayParts(tmp_path / "home"), Outcomes(), said := [])
    assert sweep({"ray": sweeper}, 0).left and _rays(), "within its lease it stays"
    swept = sweep({"ray": sweeper}, sys.maxsize)
    assert [leased.id for leased in swept.over] == [f"remains:{temp}"] and not swept.troubles
    until(lambda: not _rays(), WAIT_S)
    assert not temp.exists() and not sweeper.leased()
    sweeper.close()
    assert not said, "a question started a cluster"


@pytest.mark.slow
def test_the_sweeper_of_another_process_ends_a_cluster_that_is_in_use(tmp_path: Path, lonely: Namespace) -> None:
    parts = RayParts(tmp_path / "home", settings={"cpus": 1})
    outcomes = Outcomes()
    backend = _announced(parts, outcomes, [])
    one = call("nap", ms=600_000)
    backend.submit([one])
    until(lambda: backend.poll([one.token]).get(one.token) == "running", WAIT_S)
    sweeper = _announced(RayParts(tmp_path / "home", settings={"cpus": 1}), Outcomes(), [])
    found = sweeper.leased()
    assert {leased.kind for leased in found} == {"worker", "cluster"}
    assert one.token in {leased.token for leased in found}
    sweeper.end(found)
    outcomes.wait(one.token, timeout=WAIT_S)
    until(lambda: not _rays(), WAIT_S)
    assert not sweeper.leased()
    sweeper.close()
    backend.close()


def test_nothing_is_started_by_questions(tmp_path: Path, lonely: Namespace) -> None:
    backend = _announced(RayParts(tmp_path / "home"), Outcomes(), said := [])
    assert backend.poll(["unknown"]) == {}
    assert backend.leased() == []
    assert backend.explain(["unknown"]) == {}
    backend.end([])
    backend.sweep([])
    backend.close()
    assert not said and not (tmp_path / "home/attempts/ray/facts.json").exists()


def _announced(parts: RayParts, outcomes: Outcomes, said: list[str]) -> RayBackend:
    backend = make(parts, outcomes)
    backend._announce = said.append
    return backend


def _temps(cluster: Cluster) -> list[Path]:
    facts = cluster.facts()
    assert facts is not None
    return [folder for folder in Path("/tmp").glob("skylift-ray-*") if f'"pid":{facts.pid},' in _owner(folder)]


def _owner(temp: Path) -> str:
    try:
        return (temp / "skylift.json").read_text()
    except OSError:
        return ""


def _is_last(process: psutil.Process) -> bool:
    try:
        return "--block" in process.cmdline() or process.name() == "raylet"
    except psutil.NoSuchProcess:
        return False


def _is_keeper_of(process: psutil.Process, cluster: Cluster) -> bool:
    line = process.info["cmdline"] or []
    return "skylift.compute.ray.keeper" in line and str(cluster.folder) in line


def _rays() -> list[str]:
    """Command lines of Ray's processes, keepers and bridges in this network namespace."""
    found = []
    for process in psutil.process_iter(["cmdline", "pid"]):
        line = " ".join(process.info["cmdline"] or [])
        ours = "skylift.compute.ray." in line or "ray::" in line or "/ray/core/src/ray/" in line
        if ours and _namespace(process.pid) == _namespace(os.getpid()):
            found.append(line)
    return found


def _namespace(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


@pytest.fixture(autouse=True)
def _ray_in_short_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
