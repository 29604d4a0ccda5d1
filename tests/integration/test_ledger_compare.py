"""`skylift ledger RUN --compare`: the end of the demo, on a small run of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIPELINE = """\
from skylift import pipeline, task

@task
def square(number: int) -> int:
    return number * number

@pipeline
def faces(numbers: list[int] = [1, 2]) -> list[int]:
    return [square(number) for number in numbers]
"""


def skylift(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SKYLIFT_")}
    return subprocess.run(
        [sys.executable, "-m", "skylift.cli", *words],
        cwd=folder,
        env={**kept, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    (folder / "flow.py").write_text(PIPELINE, encoding="utf-8")
    done = skylift(folder, "run", "flow.py")
    assert done.returncode == 0, done.stderr
    return folder


def newest(project: Path) -> str:
    return skylift(project, "runs", "--pipeline", "faces", "--limit", "1").stdout.split("\t")[0]


def test_the_demo_ends_with_the_ledger_of_its_run_and_three_clouds(project: Path) -> None:
    """The last command of `make demo`, as it stands in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    last = recipe[1].strip().splitlines()[-1].strip().replace("$$", "$")
    (project / ".venv/bin").mkdir(parents=True, exist_ok=True)
    (project / ".venv/bin/skylift").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m skylift.cli "$@"\n')
    (project / ".venv/bin/skylift").chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SKYLIFT_")}
    done = subprocess.run(["sh", "-c", last], cwd=project, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0][:2] == ["square", "2"] and "own machine" in lines[0]
    total = lines[-1]
    assert total[0] == "total" and all(re.fullmatch(r"\$0\.0000\d{4}", cell) for cell in total[1:])
    assert len(total[1:]) == 3
    assert "note: gcp: no price of cloud-run in us-central1: not compared" in done.stderr


def test_json_has_the_clouds_beside_the_ledger(project: Path) -> None:
    done = skylift(project, "ledger", newest(project), "--compare", "azure,aws:eu-west-1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["elsewhere"]
    assert {cloud: one["region"] for cloud, one in found["clouds"].items()} == {"azure": "eastus", "aws": "eu-west-1"}
    assert [(step["step"], step["attempts"]) for step in found["steps"]] == [("square", 2)]
    one = found["steps"][0]["clouds"]["azure"]
    assert one["place"]["instance_type"] == "azure-functions" and one["usd"] == found["clouds"]["azure"]["total_usd"]
    assert {price["as_of"][:2] for price in found["prices"]} == {"20"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--compare", "aws,gpc"),
            "error[COMPARE]: --compare 'gpc': there is no such cloud\n  help: did you mean gcp?",
        ),
        (("--compare", "aws,aws"), "error[COMPARE]: --compare names aws twice"),
        (("--compare", "aws:us-east-12"), "error[COMPARE]: --compare 'aws:us-east-12': aws has no prices there"),
        (("--compare", ""), "error[COMPARE]: --compare '': there is no such cloud"),
        (("--compare", "aws", "--format", "csv"), "error[COMPARE]: --compare has no CSV"),
    ],
)
def test_what_cannot_be_compared_is_refused(project: Path, words: tuple[str, ...], said: str) -> None:
    done = skylift(project, "ledger", newest(project), *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_comparison_is_of_one_run(project: Path) -> None:
    done = skylift(project, "ledger", "--since", "1d", "--compare", "aws")
    assert done.returncode == 2 and "error[COMPARE]: --compare is of one run" in done.stderr
