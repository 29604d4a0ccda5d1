"""Containers from the command line: a run on them, and a prompt in what failed there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from podman import containers, podman_variables  # noqa: F401  # a fixture

PIPELINE = """
from pathlib import Path

from skylift import File, pipeline, task


@task
def written(n: int) -> File:
    Path("out.bin").write_bytes(b"x" * n)
    return File("out.bin")


@task(memory="200 MiB")
def size(file: File) -> int:
    found = Path(file).stat().st_size
    if found == 5:
        raise ValueError("five is too many")
    return found


@pipeline
def flow(n: int = 3) -> int:
    return size(written(n))
"""


class Project:
    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder, self.variables = folder, variables
        (folder / "flow.py").write_text(PIPELINE)
        (folder / "skylift.toml").write_text('[backends.container]\nnetwork = "none"\n')

    def call(self, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "skylift.cli", *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.variables, capture_output=True, text=True, input=said, timeout=120
        )


@pytest.fixture
def project(tmp_path: Path, podman_variables: dict[str, str]) -> Project:  # noqa: F811
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SKYLIFT_")}
    return Project(tmp_path, {**kept, **podman_variables})


def test_a_run_on_containers_and_a_prompt_where_it_failed(project: Project) -> None:
    done = project.call("run", "flow.py", "--n", "300000", "--on", "container")
    assert (done.returncode, done.stdout) == (0, "300000\n"), done.stderr
    failed = project.call("run", "flow.py", "--n", "5", "--on", "container", "--keep-on-failure", "5m")
    assert failed.returncode == 1 and "five is too many" in failed.stderr, failed.stderr
    assert len(containers(project.variables)) == 1
    run = json.loads(project.call("sweep", "--list", "--json").stdout)["left"][0]["run"]
    here = project.call("shell", run, "size", said="echo it is $((6 * 7)); ls /skylift/attempt/outcome\n")
    assert here.stdout.splitlines() == ["it is 42", "/skylift/attempt/outcome"], here.stderr
    assert project.call("shell", run, "size", "--", "sh", "-c", "exit 7").returncode == 7
    gone = project.call("shell", run, "written")
    assert gone.returncode == 2 and "error[NO-SHELL]" in gone.stderr and "--keep-on-failure" in gone.stderr
    project.call("sweep")  # within its lease it stays
    assert len(containers(project.variables)) == 1


def test_a_step_in_a_worker_process_has_no_place_for_a_prompt(project: Project) -> None:
    assert project.call("run", "flow.py", "--n", "4").returncode == 0
    run = json.loads(project.call("runs", "--json").stdout)
    newest = (run["runs"] if isinstance(run, dict) else run)[0]["run_id"]
    said = project.call("shell", newest, "size")
    assert said.returncode == 2 and "(it ran on process)" in said.stderr
