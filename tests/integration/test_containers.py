"""What containers are for, with real ones: limits, what can be seen, engines that die, images that are given."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from container_parts import TESTS, container_backend
from podman import containers, podman, podman_variables  # noqa: F401  # a fixture

from skylift.compute.attempts import AttemptFolder, AttemptFolders
from skylift.compute.container.backend import ContainerBackend
from skylift.compute.worker.solo_files import ALIVE, KEPT, SoloOrder, read_moment
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import CodeRef, Failed, Lost, OutOfMemory, Requirements, Succeeded, TaskCall
from skylift.sweeping import sweep
from skylift.testing.backend_harness import Outcomes, call, until, with_log

WAIT_S = 120.0
HALF_A_PODMAN = """#!/bin/sh
[ "$1" = run ] || exec {podman} "$@"
shift 2
{podman} create "$@" > "$(dirname "$0")/made"
kill -KILL $$
"""
"""Makes a container and is killed before that is started (the second word of `run` is --detach)."""


class Bench:
    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder, self.variables = folder, variables
        self.outcomes = Outcomes()
        self.made: list[ContainerBackend] = []

    def backend(self, **changes: Any) -> ContainerBackend:
        self.made.append(container_backend(self.outcomes, self.folder, **changes))
        return self.made[-1]

    def run(self, backend: ContainerBackend, one: TaskCall) -> Any:
        backend.submit([one])
        return self.outcomes.wait(one.token, timeout=WAIT_S)[0]

    def close(self) -> None:
        last = self.backend()
        last.end(last.leased())
        for backend in self.made:
            backend.close()


@pytest.fixture
def bench(tmp_path: Path, podman_variables: dict[str, str]) -> Iterator[Bench]:  # noqa: F811
    made = Bench(tmp_path, podman_variables)
    yield made
    made.close()


def ours(target: str, *, requirements: Requirements | None = None, **arguments: Any) -> TaskCall:
    """An attempt of a function of `container_tasks`."""
    code = CodeRef(bundle=None, target=f"container_tasks:{target}")
    return msgspec.structs.replace(call(target, requirements=requirements, **arguments), code=code)


# What an attempt can do, and what it cannot ---------------------------------------------------------------------------


def test_an_attempt_has_no_more_than_it_needs(bench: Bench) -> None:
    outcome = bench.run(bench.backend(), ours("look"))
    assert isinstance(outcome, Succeeded), outcome
    assert outcome.output == {
        "capabilities": 0,
        "no_new_privileges": True,
        "interfaces": ["lo"],
        "writes": {"/": False, "/usr": False, "/tmp": True},
        "processes": 2,
        "python": ".".join(map(str, sys.version_info[:2])),
    }


def test_nothing_of_ours_can_be_imported_but_what_skylift_needs(bench: Bench) -> None:
    backend = bench.backend()
    found = {
        name: bench.run(backend, ours("finds", name=name)).output for name in ("msgspec", "rich", "pytest", "moto")
    }
    assert found == {"msgspec": True, "rich": True, "pytest": False, "moto": False}


def test_processes_are_limited(bench: Bench) -> None:
    outcome = bench.run(bench.backend(pids=20), ours("fork_many", count=60))
    assert isinstance(outcome, Succeeded) and 5 < outcome.output < 20


def test_a_child_that_runs_out_of_memory_is_out_of_memory(bench: Bench) -> None:
    backend = bench.backend()
    outcome = bench.run(backend, ours("child_uses", mib=400, requirements=Requirements(memory_mib=120)))
    assert isinstance(outcome, OutOfMemory) and outcome.limit_mib == 120, outcome
    fits = bench.run(backend, ours("child_uses", mib=40, requirements=Requirements(memory_mib=120)))
    assert isinstance(fits, Succeeded) and fits.usage is not None
    assert fits.usage.peak_memory_mib is not None and 40 < fits.usage.peak_memory_mib <= 120
    assert (fits.usage.service, fits.usage.memory_mib, fits.usage.vcpus) == ("container", 120, 1.0)


def test_what_was_too_small_runs_anew_with_more(bench: Bench) -> None:
    one = ours("child_uses", mib=150, requirements=Requirements(memory_mib=100))
    backend = bench.backend()
    assert isinstance(bench.run(backend, one), OutOfMemory)
    more = msgspec.structs.replace(one, delivery=2, requirements=Requirements(memory_mib=300))
    bench.outcomes.by_token.clear()
    assert isinstance(bench.run(bench.backend(), more), Succeeded)


def test_a_kill_from_outside_is_no_lack_of_memory(bench: Bench) -> None:
    backend = bench.backend()
    one = call("nap", ms=60_000, requirements=Requirements(memory_mib=120))
    backend.submit([one])
    until(lambda: backend.poll([one.token])[one.token] == "running", WAIT_S)
    podman(bench.variables, "kill", *containers(bench.variables))
    [outcome] = bench.outcomes.wait(one.token, timeout=WAIT_S)
    assert isinstance(outcome, Lost) and "killed from outside" in outcome.reason and not outcome.preempted


@pytest.mark.parametrize("mib", [2, 6])
def test_memory_that_its_start_alone_takes_is_memory_that_was_lacking(bench: Bench, mib: int) -> None:
    """The supervisor is the first to be killed, or there is none yet: nothing tells, and more memory would help."""
    outcome = bench.run(bench.backend(), call("add", a=1, b=1, requirements=Requirements(memory_mib=mib)))
    assert isinstance(outcome, OutOfMemory) and outcome.limit_mib == mib, outcome


def test_a_project_may_lie_in_a_folder_of_any_name(bench: Bench) -> None:
    bench.folder = bench.folder / 'é: "x", y' / "project"
    bench.folder.mkdir(parents=True)
    outcome = bench.run(bench.backend(), call("add", a=1, b=1))
    assert isinstance(outcome, Succeeded), outcome


def test_a_folder_of_the_settings_may_be_one_that_is_there_anyhow(bench: Bench) -> None:
    """The project's folder, for instance, which code is imported from: with `mounts` it can be written, too."""
    folder = bench.folder / "folder"
    folder.mkdir(exist_ok=True)
    one = call("append", path=str(folder / "file"), text="x")
    outcome = bench.run(bench.backend(paths=(TESTS, f"{folder}/")), one)
    assert isinstance(outcome, Succeeded) and (folder / "file").read_text() == "x", outcome


def test_a_container_whose_engine_died_while_it_was_made_is_not_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = bench.backend()
    assert isinstance(bench.run(backend, call("add", a=1, b=1)), Succeeded)
    until(lambda: containers(bench.variables) == [], WAIT_S)
    dying = bench.folder / "podman"
    dying.write_text(HALF_A_PODMAN.format(podman=backend._engine.command[0]))
    dying.chmod(0o755)
    monkeypatch.setattr(backend._engine, "command", (str(dying),))
    outcome = bench.run(backend, call("add", a=1, b=1))
    assert isinstance(outcome, Lost) and "could not start" in outcome.reason, outcome
    assert (bench.folder / "made").exists() and containers(bench.variables) == []


def test_a_warning_of_the_machine_makes_the_loss_a_preemption(bench: Bench) -> None:
    backend = bench.backend()
    code, ears = CodeRef(bundle=None, target="attempt_tasks:die_when_warned"), bench.folder / "folder" / "ears"
    backend.submit([msgspec.structs.replace(one := call("nap", ms=0), code=code, arguments={"mark": str(ears)})])
    until(ears.exists, WAIT_S)
    podman(bench.variables, "kill", "--signal", "TERM", *containers(bench.variables))
    [outcome] = bench.outcomes.wait(one.token, timeout=WAIT_S)
    assert isinstance(outcome, Lost) and outcome.preempted, outcome


def test_the_log_is_written_while_the_attempt_runs(bench: Bench) -> None:
    log = bench.folder / "logs" / "run" / "one.log"
    backend = bench.backend()
    backend.submit([with_log(ours("speak_slowly", texts=["first", "second"], ms=60_000), log)])
    until(lambda: log.exists() and "first" in log.read_text(), WAIT_S)
    assert "second" not in log.read_text()


def test_secrets_are_seen_by_the_attempt_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_SECRET_SOURCE", "h4rd-t0-gu3ss")
    backend = bench.backend(secrets={"CONTAINER_SECRET": "env:CONTAINER_SECRET_SOURCE"})
    log = bench.folder / "one.log"
    one = with_log(ours("use_secret", requirements=Requirements(secrets=("CONTAINER_SECRET",))), log)
    backend.submit([one])
    until(lambda: log.exists() and "the secret is" in log.read_text(), WAIT_S)
    [name] = containers(bench.variables)
    assert "h4rd" not in podman(bench.variables, "inspect", name)
    assert not any(b"h4rd" in path.read_bytes() for path in bench.folder.rglob("*") if path.is_file())
    [outcome] = bench.outcomes.wait(one.token, timeout=WAIT_S)
    assert isinstance(outcome, Succeeded) and outcome.output == len("h4rd-t0-gu3ss")
    assert "the secret is ***" in log.read_text()


# Engines that die -----------------------------------------------------------------------------------------------------


@pytest.fixture
def engine_process(bench: Bench) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(lease_ms: int, ms: int) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, f"{TESTS}/container_engine.py", str(bench.folder), str(lease_ms), str(ms)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **bench.variables})
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_what_a_killed_engine_has_started_is_adopted(bench: Bench, engine_process: Any) -> None:
    process, token = engine_process(60_000, 5_000)
    process.send_signal(signal.SIGKILL)
    process.wait()
    backend = bench.backend()
    assert backend.poll([token]) == {}
    backend.submit([msgspec.structs.replace(call("nap", ms=1), token=token)])
    assert backend.poll([token]) == {token: "running"}
    [outcome] = bench.outcomes.wait(token, timeout=WAIT_S)
    assert isinstance(outcome, Succeeded) and outcome.output == "x"
    assert (bench.folder / "folder" / "mark").read_text() == "x"


def test_with_nobody_alive_the_lease_ends_it(bench: Bench, engine_process: Any) -> None:
    process, token = engine_process(4_000, 600_000)
    assert containers(bench.variables)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not containers(bench.variables), WAIT_S)
    folder = AttemptFolders(bench.folder / "state" / "attempts", lease_ms=1).find(token)
    assert folder is not None
    outcome = folder.outcome()
    assert isinstance(outcome, Lost) and "lease" in outcome.reason


def test_what_nobody_heard_the_end_of_is_cleaned_away(bench: Bench) -> None:
    backend = bench.backend()
    folders = AttemptFolders(bench.folder / "state" / "attempts", lease_ms=1)
    order = SoloOrder(call=call("nap", ms=1), config=WorkerConfig(name="n"), asked_ms=0)
    killed, unborn = folders.create(order), folders.create(order)
    (killed.path / ALIVE).touch()  # its supervisor came up, and lives no more
    until(lambda: max(killed.until_ms, unborn.until_ms) < time.time() * 1000, WAIT_S)
    assert backend.leased() == []
    assert isinstance(killed.outcome(), Lost) and not unborn.path.exists()
    assert backend.leased() == [] and list(folders) == []


def test_another_process_sees_what_is_there_and_ends_it(bench: Bench, engine_process: Any) -> None:
    _, token = engine_process(60_000, 600_000)
    other = bench.backend()
    [leased] = other.leased()
    assert (leased.token, leased.run_id, leased.kind) == (token, "run", "container")
    assert time.time() * 1000 < leased.until_ms <= time.time() * 1000 + 60_000
    other.end([leased])
    assert other.leased() == [] and containers(bench.variables) == []


def test_an_attempt_cannot_give_itself_more_time(bench: Bench) -> None:
    backend = bench.backend(lease_ms=5_000)
    one = ours("makes_up", outcome=False)
    backend.submit([one])
    folder = _folder_of(bench, one)
    until(lambda: read_moment(str(folder.path), KEPT) is not None, WAIT_S)
    backend.close()  # from here on nobody renews it
    sweeper = bench.backend()
    [leased] = sweeper.leased()
    assert leased.until_ms <= time.time() * 1000 + 5_000 and not leased.note.endswith("kept after its failure")
    until(lambda: bool(sweep({"container": sweeper}, int(time.time() * 1000)).over), WAIT_S)
    assert containers(bench.variables) == []


def test_an_attempt_that_makes_up_its_end_is_ended(bench: Bench) -> None:
    backend = bench.backend()
    outcome = bench.run(backend, ours("makes_up", outcome=True))
    assert isinstance(outcome, Succeeded) and outcome.output == "made up"
    until(lambda: not containers(bench.variables), WAIT_S)


def _folder_of(bench: Bench, one: TaskCall) -> AttemptFolder:
    folders = AttemptFolders(bench.folder / "state" / "attempts", lease_ms=1)
    until(lambda: folders.find(one.token) is not None, WAIT_S)
    folder = folders.find(one.token)
    assert folder is not None
    return folder


# Images that are given ------------------------------------------------------------------------------------------------


def test_an_image_that_has_only_python_will_do(bench: Bench) -> None:
    backend = bench.backend()
    bench.run(backend, call("add", a=1, b=1))
    there = podman(bench.variables, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    built = next(name for name in there if name.startswith("localhost/skylift-python:"))
    path = f"ENV PATH={sys.base_prefix}/bin:/usr/bin:/bin"
    given = "localhost/given:1"
    podman(bench.variables, "build", "--tag", given, "-", data=f"FROM {built}\n{path}\nRUN touch /given\n".encode())
    needs = Requirements(image=given)
    there = bench.run(backend, ours("look", requirements=needs))
    assert isinstance(there, Succeeded), there
    assert there.output["writes"]["/usr"] and there.output["capabilities"] == 0


def test_an_image_without_python_is_refused_in_words(bench: Bench) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("nothing"))
    podman(bench.variables, "import", "-", "localhost/bare:1", data=out.getvalue())
    outcome = bench.run(bench.backend(), call("add", a=1, b=1, requirements=Requirements(image="localhost/bare:1")))
    assert isinstance(outcome, Failed) and outcome.error == "Skylift.Image"
    assert "localhost/bare:1 has no python3" in outcome.cause


def test_a_job_runs_the_program_of_an_image_without_python(bench: Bench) -> None:
    backend = bench.backend()
    bench.run(backend, call("add", a=1, b=1))
    there = podman(bench.variables, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    built = next(name for name in there if name.startswith("localhost/skylift-python:"))
    version = f"python{sys.version_info.major}"
    removed = f"{sys.base_prefix}/bin/{version}* {sys.base_prefix}/lib/{version}*"
    lines = [f"FROM {built}", f"RUN rm -rf {removed}", 'ENTRYPOINT ["/bin/sh", "-c"]', "WORKDIR /var"]
    podman(bench.variables, "build", "--tag", "localhost/plain:1", "-", data="\n".join(lines).encode())
    log = bench.folder / "job.log"
    command = "pwd; env | sort; test $N = 3"
    assert isinstance(bench.run(backend, with_log(_job("localhost/plain:1", command, N="3"), log)), Succeeded)
    said = log.read_text()
    assert "stdout /var" in said and "PYTHON" not in said
    failed = bench.run(backend, _job("localhost/plain:1", command, N="4"))
    assert isinstance(failed, Failed) and failed.error == "States.TaskFailed", failed


def _job(image: str, command: str, **variables: str) -> TaskCall:
    """A Batch job as the engine gives it to a backend."""
    environment = [{"Name": name, "Value": value} for name, value in variables.items()]
    event = {
        "service": "batch",
        "binding": {"image": image},
        "parameters": {"ContainerOverrides": {"Command": [command], "Environment": environment}},
        "id": "1",
        "name": "job",
        "arn": "arn:aws:batch:us-east-1:000000000000:job/1",
    }
    code = CodeRef(bundle=None, target="skylift.compute.jobs.batch:run_job")
    one = call("job", requirements=Requirements(image=image))
    return msgspec.structs.replace(one, code=code, arguments=event, convention="handler")


def test_an_image_that_is_nowhere_is_said_to_be(bench: Bench) -> None:
    needs = Requirements(image="localhost/nowhere:1")
    outcome = bench.run(bench.backend(), call("add", a=1, b=1, requirements=needs))
    assert isinstance(outcome, Failed) and "localhost/nowhere:1 is not on this machine" in outcome.cause, outcome


# Who waits ------------------------------------------------------------------------------------------------------------


def test_who_waits_is_told_for_what(bench: Bench) -> None:
    backend = bench.backend(cpus=1.0)
    first, second = call("nap", ms=60_000), call("nap", ms=1)
    backend.submit([first, second])
    assert backend.explain([second.token]) == {second.token: "needs 1 processors, and 0 of 1 are free"}
    until(lambda: backend.poll([first.token])[first.token] == "running", WAIT_S)
    assert backend.explain([first.token]) == {}
    backend.cancel([first.token])
    assert isinstance(bench.outcomes.wait(second.token, timeout=WAIT_S)[0], Succeeded)
