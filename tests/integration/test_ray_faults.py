"""What goes wrong on a cluster: workers, nodes, engines and supervisors that vanish, nodes that see nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from ray_backends import RayParts, make
from ray_cluster import RayCluster, lonely, ray_cluster

from skylift.compute.ray.backend import RayBackend
from skylift.ports.compute import Failed, Lost, Requirements, Succeeded
from skylift.testing.backend_harness import until
from skylift.testing.backends import Outcomes, call, with_log

__all__ = ["lonely", "ray_cluster"]

FOREVER_MS = 600_000
WAIT_S = 180.0
PROGRAM = """
from skylift import pipeline, task

@task
def slow(mark: str) -> str:
    import os, time
    with open(mark, "a") as file:
        file.write(f"{os.getppid()}\\n")
    time.sleep(6)
    return "done"

@pipeline
def shape(mark: str) -> str:
    return slow(mark)
"""


@pytest.fixture
def parts(tmp_path: Path, ray_cluster: RayCluster) -> RayParts:
    return RayParts(tmp_path / "home", address=ray_cluster.address)


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


@pytest.fixture
def backend(parts: RayParts, outcomes: Outcomes) -> Iterator[RayBackend]:
    backend = make(parts, outcomes)
    yield backend
    backend.end(backend.leased())
    backend.close()


def _runs(backend: RayBackend, token: str) -> None:
    until(lambda: backend.poll([token]).get(token) == "running", WAIT_S)


def _host_pids() -> list[int]:
    return [process.pid for process in psutil.process_iter(["cmdline"]) if _title(process).startswith("ray::Host")]


def _newest_supervisor() -> int:
    """In the network of this process: other tests have theirs. Those of tests before this one leave when nobody has
    asked them for a while."""
    here = Path("/proc/self/ns/net").readlink()
    titled = [one for one in psutil.process_iter(["cmdline"]) if _title(one).startswith("ray::Supervisor")]
    found = [one for one in titled if _network(one.pid) == here]
    return int(max(found, key=lambda one: one.create_time()).pid)


def _network(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/net").readlink()
    except OSError:  # it has just ended
        return None


def _title(process: psutil.Process) -> str:
    return (process.info["cmdline"] or [""])[0]


def test_a_killed_ray_worker_costs_the_attempt_that_ran_and_no_other(backend: RayBackend, outcomes: Outcomes) -> None:
    naps = [call("nap", ms=1_500) for _ in range(4)]
    backend.submit(naps)
    _runs(backend, naps[0].token)
    before = set(_host_pids())
    assert before
    victim = before.pop()
    os.kill(victim, signal.SIGKILL)
    ended = outcomes.wait(*(one.token for one in naps), timeout=WAIT_S)
    lost = [outcome for outcome in ended if isinstance(outcome, Lost)]
    assert len(lost) <= 1 and sum(isinstance(outcome, Succeeded) for outcome in ended) == 4 - len(lost)
    assert all("worker" in outcome.reason for outcome in lost)
    again = [one for one, outcome in zip(naps, ended, strict=True) if isinstance(outcome, Lost)]
    outcomes.by_token.clear()
    backend.submit([*again, last := call("add", a=1, b=2)])
    assert all(
        isinstance(one, Succeeded) for one in outcomes.wait(*(one.token for one in [*again, last]), timeout=WAIT_S)
    )


@pytest.mark.slow
def test_a_lost_node_loses_its_attempts_and_the_engine_may_give_them_again(
    backend: RayBackend, outcomes: Outcomes, ray_cluster: RayCluster
) -> None:
    node = ray_cluster.add_node(cpus=3)
    one = call("nap", ms=FOREVER_MS, requirements=Requirements(cpus=3))
    backend.submit([one])
    _runs(backend, one.token)
    ray_cluster.lose(node)
    [lost] = outcomes.wait(one.token, timeout=WAIT_S)
    assert isinstance(lost, Lost), lost
    [after] = _run(backend, outcomes, call("add", a=1, b=1))
    assert isinstance(after, Succeeded)


def test_what_no_node_can_give_is_refused_with_what_they_have(backend: RayBackend, outcomes: Outcomes) -> None:
    backend.connect()
    needs = Requirements(memory_mib=50_000_000)
    assert not backend.offers(needs)
    [outcome] = _run(backend, outcomes, call("add", a=1, b=1, requirements=needs))
    assert isinstance(outcome, Failed) and "50000000 MiB" in outcome.cause and "largest node" in outcome.cause


@pytest.mark.slow
def test_on_a_cluster_that_grows_it_is_waited_for_and_explained(
    parts: RayParts, outcomes: Outcomes, ray_cluster: RayCluster
) -> None:
    parts.settings["grows"] = True
    backend = make(parts, outcomes)
    one = call("add", a=1, b=1, requirements=Requirements(gpu="V100"))
    try:
        backend.submit([one])
        until(lambda: "V100" in backend.explain([one.token]).get(one.token, ""), WAIT_S)
        assert backend.poll([one.token]) == {one.token: "queued"}
        assert backend.offers(one.requirements)
        node = ray_cluster.add_node(cpus=1, gpus=1, **{"accelerator_type:V100": 1})
        [outcome] = outcomes.wait(one.token, timeout=WAIT_S)
        assert isinstance(outcome, Succeeded)
    finally:
        backend.end(backend.leased())
        backend.close()
    ray_cluster.lose(node)


@pytest.mark.slow
def test_a_dead_supervisor_loses_what_it_held_and_is_made_anew(backend: RayBackend, outcomes: Outcomes) -> None:
    one = call("nap", ms=FOREVER_MS)
    backend.submit([one])
    _runs(backend, one.token)
    os.kill(_newest_supervisor(), signal.SIGKILL)
    [lost] = outcomes.wait(one.token, timeout=WAIT_S)
    assert isinstance(lost, Lost) and "supervisor" in lost.reason
    [after] = _run(backend, outcomes, call("add", a=1, b=1))
    assert isinstance(after, Succeeded)


def test_a_dead_bridge_costs_nothing(backend: RayBackend, outcomes: Outcomes, tmp_path: Path) -> None:
    one = call("append_after", path=str(tmp_path / "runs"), text="x", ms=2_000)
    backend.submit([one])
    _runs(backend, one.token)
    assert backend._link is not None
    os.kill(backend._link.pid, signal.SIGKILL)
    [outcome] = outcomes.wait(one.token, timeout=WAIT_S)
    assert isinstance(outcome, Succeeded)
    assert (tmp_path / "runs").read_text() == "x"


@pytest.mark.slow
def test_a_node_that_cannot_read_the_artifacts_is_told_before_anything_runs(
    parts: RayParts, outcomes: Outcomes, ray_cluster: RayCluster
) -> None:
    blobs = Path(parts.blobs)
    blobs.mkdir(parents=True)
    hidden = f'mount --make-rprivate / && mount -t tmpfs none {blobs} && exec "$@"'
    node = ray_cluster.add_node(prefix=["unshare", "-m", "sh", "-c", hidden, "sh"])
    backend = make(parts, outcomes)
    mark = parts.home / "ran"
    try:
        for nodes in (1, 2):
            one = call("append", path=str(mark), text="x", requirements=Requirements(nodes=nodes, cpus=0.5))
            [outcome] = _run(backend, outcomes, one)
            assert isinstance(outcome, Failed) and outcome.error == "Skylift.NoBackend", outcome
            assert str(blobs) in outcome.cause and "URL" in outcome.cause
        assert not mark.exists()
    finally:
        backend.close()
        ray_cluster.lose(node)


@pytest.mark.slow
def test_logs_come_from_machines_that_do_not_see_the_engines_files(
    parts: RayParts, outcomes: Outcomes, tmp_path: Path
) -> None:
    backend = make(parts, outcomes)
    host = msgspec.structs.replace(backend._config.host, mark=str(tmp_path / "not there"))
    backend._config = msgspec.structs.replace(backend._config, host=host, name="skylift-far-away")
    log = tmp_path / "logs" / "call.log"
    try:
        [outcome] = _run(backend, outcomes, with_log(call("speak"), log))
        assert isinstance(outcome, Succeeded)
        lines = [line.split(" ", 2)[1:] for line in log.read_text().splitlines()]
        assert ["stdout", "from print: grüß"] in lines and ["stdout", "from a child"] in lines
    finally:
        backend.end(backend.leased())
        backend.close()


@pytest.mark.slow
def test_attempts_end_with_their_lease_when_no_engine_comes_back(
    parts: RayParts, outcomes: Outcomes, tmp_path: Path
) -> None:
    parts.settings["lease"] = "3s"
    backend = make(parts, outcomes)
    beats = tmp_path / "alive"
    one = call("die_in_gang", folder=str(tmp_path), requirements=Requirements(env={"RANK": "0"}))
    backend.submit([one])
    until(beats.exists, WAIT_S)
    backend.abandon()
    until(lambda: _still(beats), WAIT_S)
    until(lambda: not _host_pids(), WAIT_S)


def test_a_cluster_that_is_not_there_is_a_clear_failure(tmp_path: Path, lonely: object, outcomes: Outcomes) -> None:
    backend = make(RayParts(tmp_path / "home", address="127.0.0.1:1"), outcomes)
    one = call("add", a=1, b=1)
    try:
        backend.submit([one])
        [outcome] = outcomes.wait(one.token, timeout=WAIT_S)
        assert isinstance(outcome, Failed) and "127.0.0.1:1" in outcome.cause
    finally:
        backend.close()


def test_the_client_protocol_works_too(parts: RayParts, outcomes: Outcomes) -> None:
    parts.address = "ray://127.0.0.1:10001"
    backend = make(parts, outcomes)
    try:
        ended = _run(backend, outcomes, *(call("add", a=number, b=1) for number in range(20)))
        assert [one.output if isinstance(one, Succeeded) else one for one in ended] == list(range(1, 21))
    finally:
        backend.end(backend.leased())
        backend.close()


@pytest.mark.slow
def test_big_results_never_pass_through_the_engine(backend: RayBackend, outcomes: Outcomes) -> None:
    backend.connect()
    before = psutil.Process().memory_info().rss
    ended = _run(backend, outcomes, *(call("echo", value="x" * 1_000_000) for _ in range(60)))
    assert all(isinstance(one, Succeeded) and "skylift:artifact" in str(one.output)[:200] for one in ended), ended[0]
    grown = psutil.Process().memory_info().rss - before
    assert grown < 150 * 2**20


def test_a_killed_engine_finds_its_attempt_again(
    tmp_path: Path, ray_cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shape.py").write_text(PROGRAM)
    (tmp_path / "skylift.toml").write_text(f'[backends.ray]\naddress = "{ray_cluster.address}"\n')
    mark, environment = tmp_path / "mark", {**os.environ, "SKYLIFT_HOME": str(tmp_path / "home")}
    skylift = [str(Path(sys.executable).with_name("skylift"))]
    command = [*skylift, "run", "shape.py", "--on", "ray", "--mark", str(mark)]
    first = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(mark.exists, WAIT_S)
    first.kill()
    first.communicate()
    runs = subprocess.run([*skylift, "runs", "--json"], cwd=tmp_path, env=environment, capture_output=True, check=True)
    [run_id] = re.findall(r'"run_id": ?"(\w+)"', runs.stdout.decode())
    resumed = subprocess.run(
        [*skylift, "resume", run_id], cwd=tmp_path, env=environment, capture_output=True, timeout=WAIT_S, text=True
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "done" in resumed.stdout
    assert len(mark.read_text().splitlines()) == 1


def _run(backend: RayBackend, outcomes: Outcomes, *calls: object) -> list[object]:
    backend.submit(calls)  # type: ignore[arg-type]
    return list(outcomes.wait(*(one.token for one in calls), timeout=WAIT_S))  # type: ignore[attr-defined]


def _still(beats: Path) -> bool:
    before = beats.stat().st_mtime_ns
    time.sleep(0.4)
    return beats.stat().st_mtime_ns == before
