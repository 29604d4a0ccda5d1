"""What the project promises about itself: light, quick to import, no private hosts in what is committed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_base_install_is_light() -> None:
    names = {re.split(r"[<>=~!;\[ ]", line)[0] for line in PROJECT["dependencies"]}
    assert names == {"msgspec", "jsonatapy", "fsspec", "cloudpickle", "psutil", "cronsim", "click", "rich"}


def test_constraints_hold_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []


def test_constraints_pin_every_dependency() -> None:
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    wanted = [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    assert {re.split(r"[<>=~!;\[ ]", line)[0] for line in wanted} <= pinned


def test_committed_files_name_no_private_host() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    private = re.compile(rb"(--|\b)(extra-)?index-url\b[ =]|find-links[ =]|://[\w.-]+\.(internal|corp|lan)\b")
    here = Path(__file__).relative_to(ROOT)
    found = [
        name.decode()
        for name in files
        if name and Path(name.decode()) != here and private.search((ROOT / name.decode()).read_bytes())
    ]
    assert found == []


def test_import_is_quick_and_light() -> None:
    code = (
        "import sys; before = set(sys.modules); import skylift; "
        "print(*sorted(name for name in set(sys.modules) - before if '.' not in name))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"rich", "fsspec", "numpy", "asyncio", "multiprocessing", "jsonatapy", "click", "cloudpickle", "sqlite3"}
    assert {*heavy, *HEAVY} & set(loaded) == set()


HEAVY = [
    "starlette", "uvicorn", "httptools", "uvloop", "boto3", "botocore", "psycopg", "cryptography", "prometheus_client",
    "opentelemetry",
]  # fmt: skip
"""What only a server needs, or a place elsewhere."""
DOCUMENT = '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": 7, "End": true}}}'


@pytest.mark.parametrize(
    ("arguments", "shows"),
    [
        (["--help"], "Commands:"),
        (["run", "doc.json"], "7"),
        (["runs"], "doc"),
        (["server", "--help"], "--allow-code"),
        (["triggers", "--help"], "create"),
    ],
    ids=["help", "run", "runs", "server", "triggers"],
)
def test_the_command_line_imports_nothing_of_the_server(tmp_path: Path, arguments: list[str], shows: str) -> None:
    (tmp_path / "doc.json").write_text(DOCUMENT)
    code = (
        "import sys; from skylift.cli.main import main\n"
        "try: main(sys.argv[2:])\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        "print('loaded:', *set(sys.argv[1].split(',')) & set(sys.modules))"
    )
    if arguments == ["runs"]:
        subprocess.run([sys.executable, "-m", "skylift.cli", "run", "doc.json"], cwd=tmp_path, check=True)
    done = subprocess.run(
        [sys.executable, "-c", code, ",".join(HEAVY), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert shows in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded:"


@pytest.mark.slow
def test_import_time_budget() -> None:
    code = "import time; start = time.process_time(); import skylift; print(time.process_time() - start)"
    times = sorted(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(7)
    )
    assert times[0] < 0.04  # of the processor: others use it too


@pytest.mark.parametrize(
    ("python", "says"),
    [
        (None, "Python 3.11 or newer is missing (found: none)"),
        (
            'case "$*" in *-V*) echo Python 3.9.2;; *) exit 1;; esac',
            "Python 3.11 or newer is missing (found: Python 3.9.2)",
        ),
        (
            f'case "$*" in *"import venv"*) exit 1;; *) exec {sys.executable} "$@";; esac',
            "the venv module of python3 is",
        ),
    ],
    ids=["no python", "old python", "no venv"],
)
def test_setup_says_in_one_line_what_is_missing(tmp_path: Path, python: str | None, says: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "cat", "dirname"):
        (programs / name).symlink_to(str(shutil.which(name)))
    if python is not None:
        (programs / "python3").write_text(f"#!/bin/sh\n{python}\n", encoding="utf-8")
        (programs / "python3").chmod(0o755)
    project = tmp_path / "project"
    (project / "tools").mkdir(parents=True)
    for name in ("tools/setup.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, project / name)
    done = subprocess.run(
        [str(project / "tools/setup.sh"), "demo"],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_make_commands_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"^make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE)}
    assert {"demo", "test"} <= named <= targets


def test_examples_share_one_vision_module() -> None:
    one, other = (ROOT / "examples" / name / "vision.py" for name in ("faces", "faces_torch"))
    assert one.read_text(encoding="utf-8") == other.read_text(encoding="utf-8")


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-[^)]*)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(page.name for page in folder.glob("[0-9]*.md"))
