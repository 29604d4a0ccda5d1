"""Projects as they lie on disk: packages, clashing names, files that are no pipelines, unusable journals."""

from __future__ import annotations

import json
import sqlite3
from types import SimpleNamespace
from typing import Any

import pytest

from skylift.cli.progress import _Trouble
from skylift.errors import JournalUnavailable

TASK = "from skylift import pipeline, task\n\n\n@task\ndef one(n: int) -> int:\n    return n\n\n\n"
PIPELINE = "@pipeline\ndef flow(n: int = 1) -> int:\n    return one(n)\n"


def test_a_file_of_a_package_runs_as_part_of_it(folder: Any) -> None:
    folder.write("pkg/__init__.py", "")
    folder.write("pkg/deep/__init__.py", "")
    folder.write("pkg/deep/more.py", "Z = 7\n")
    folder.write("pkg/util.py", "from .deep.more import Z\n\n\ndef add(n: int) -> int:\n    return n + Z\n")
    folder.write("pkg/flow.py", "from .util import add\n" + TASK.replace("return n", "return add(n)") + PIPELINE)
    assert folder.call("run", "pkg/flow.py", "--n", "1").stdout == "8\n"


def test_a_package_folder_may_be_used_as_a_plain_one(folder: Any) -> None:
    folder.write("pkg/__init__.py", "")
    folder.write("pkg/neighbour.py", "Z = 7\n")
    folder.write("pkg/flow.py", "import neighbour\n" + TASK.replace("return n", "return n + neighbour.Z") + PIPELINE)
    assert folder.call("run", "pkg/flow.py", "--n", "1").stdout == "8\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("leaves.py", b"import sys\nsys.exit(5)\n", "SystemExit: 5"),
        ("click.py", (TASK + PIPELINE).encode(), "has the name of a module that Skylift uses"),
        # up to Python 3.11.3 that is a ValueError, and no SyntaxError: what stands before these words differs
        ("binary.py", b"\xff\xfe\x00", "source code string cannot contain null bytes"),
    ],
)
def test_a_file_that_cannot_be_imported(folder: Any, name: str, content: bytes, said: str) -> None:
    (folder.folder / name).write_bytes(content)
    script = "import sys; sys.path.pop(0); from skylift.cli.main import main; main()"
    done = folder.python("-c", script, "run", name)
    assert done.returncode == 2
    assert said in done.stderr
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_is_not_written_under_a_wrong_name(folder: Any) -> None:
    folder.write("flow.py", TASK + PIPELINE)
    done = folder.call("graph", "flow.py", "-o", "flow.png")
    assert done.returncode == 2
    assert ".svg, .mmd or .md" in done.stderr
    assert not (folder.folder / "flow.png").exists()


def test_a_damaged_page_is_reported_as_such(folder: Any) -> None:
    """The engine's thread met it and called it a bug."""
    folder.write("flow.py", TASK + PIPELINE)
    assert folder.call("run", "flow.py").returncode == 0
    journal = folder.folder / ".skylift" / "journal.db"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
    done = folder.call("run", "flow.py")
    assert done.returncode == 2
    assert "JOURNAL-DAMAGED" in done.stderr


@pytest.mark.slow
def test_a_journal_that_stays_locked_is_reported(folder: Any) -> None:
    """It also stayed locked when the engine gave up its runs on leaving, and that hung for ever."""
    folder.write("flow.py", TASK + PIPELINE)
    assert folder.call("run", "flow.py").returncode == 0
    other = sqlite3.connect(folder.folder / ".skylift" / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        done = folder.call("run", "flow.py", timeout=120)
    finally:
        other.close()
    assert done.returncode == 2
    assert "is locked by another process" in done.stderr
    assert json.loads(folder.call("run", "flow.py").stdout) == 1


def test_trouble_with_the_journal_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    runtime: Any = SimpleNamespace(trouble=None)
    trouble = _Trouble(runtime)
    trouble.tell()
    runtime.trouble = JournalUnavailable("the journal cannot grow", hint="free some space")
    trouble.tell()
    trouble.tell()
    runtime.trouble = None
    trouble.tell()
    trouble.tell()
    assert capsys.readouterr().err.splitlines() == [
        "warning[JOURNAL-UNAVAILABLE]: the journal cannot grow; trying again until it works",
        "  help: free some space",
        "the journal works again",
    ]


def test_a_file_is_given_by_its_path(folder: Any) -> None:
    folder.write("given.txt", "hello")
    folder.write(
        "flow.py",
        "from skylift import File, pipeline, task\n\n\n"
        "@task\ndef read(file: File) -> str:\n    return file.read_text()\n\n\n"
        "@pipeline\ndef flow(file: File) -> str:\n    return read(file)\n",
    )
    assert json.loads(folder.call("run", "flow.py", "--file", "given.txt").stdout) == "hello"
    assert "no such file" in folder.call("run", "flow.py", "--file", "other.txt").stderr


def test_the_input_of_a_document_may_be_null(folder: Any) -> None:
    folder.write("d.asl.json", '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}')
    done = folder.call("run", "d.asl.json", "--input", "null", "--json")
    assert json.loads(done.stdout)["output"] is None
    assert json.loads(folder.call("run", "d.asl.json").stdout) == {}
