"""Tasks that behave badly, run as a user runs them."""

from __future__ import annotations

import json
from typing import Any

import pytest

PIPELINES = r"""
import os
from skylift import pipeline, task


@task
def raiser(kind: str) -> int:
    if kind == "half a pair":
        raise ValueError("ünï\ud800")
    if kind == "huge":
        raise ValueError("x" * 1_000_000)
    if kind == "fork":
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return 1 if child else 2
    if kind == "fork and raise":
        child = os.fork()
        if child == 0:
            raise ValueError("in the child")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 0


@pipeline
def plainly(kind: str) -> int:
    return raiser(kind)


@pipeline
def caught(kind: str) -> str:
    try:
        raiser(kind)
    except ValueError as problem:
        return f"caught {problem}"
    return "nothing"
"""


@pytest.fixture
def hard(folder: Any) -> Any:
    folder.write("hard.py", PIPELINES)
    return folder


def test_a_message_that_is_not_unicode_can_be_caught(hard: Any) -> None:
    """Its half of a surrogate pair once came back out of the cause's JSON, could not be written, and the run hung."""
    done = hard.call("run", "hard.py:caught", "--kind", "half a pair")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == "caught ünï\\ud800"
    assert "ünï\\ud800" in hard.call("run", "hard.py:plainly", "--kind", "half a pair").stderr


def test_a_forked_child_does_not_answer_for_the_task(hard: Any) -> None:
    assert hard.call("run", "hard.py:plainly", "--kind", "fork").stdout == "1\n"
    assert hard.call("run", "hard.py:plainly", "--kind", "fork and raise").stdout == "1\n"


def test_a_huge_message_fits_on_a_screen(hard: Any) -> None:
    done = hard.call("run", "hard.py:plainly", "--kind", "huge")
    assert done.returncode == 1
    assert "more characters" in done.stderr
    assert len(done.stderr) < 3_000


def test_the_stack_in_a_cause_begins_with_the_task(hard: Any) -> None:
    done = hard.call("run", "hard.py:plainly", "--kind", "huge", "--json")
    assert "in raiser" in json.loads(json.loads(done.stdout)["cause"])["stackTrace"][0]


SECRETIVE = """
from dataclasses import dataclass
import os
from skylift import pipeline, task


@task(secrets=["TOKEN"])
def use(kind: str):
    token = os.environ["TOKEN"]
    if kind == "artifact":
        return [token] * 50_000
    if kind == "bytes":
        return token.encode()
    if kind == "class":
        raise type(f"No_{token}", (Exception,), {})("no")
    return None


@pipeline
def secretive(kind: str):
    return use(kind)
"""


def test_a_secret_reaches_neither_artifacts_nor_names(folder: Any) -> None:
    folder.write("secretive.py", SECRETIVE)
    value = "s3cret-value-4711"
    for kind in ("artifact", "bytes", "class"):
        done = folder.call("run", "secretive.py:secretive", "--kind", kind, env={"TOKEN": value})
        assert done.returncode == 1
        assert value not in done.stderr
    kept = [path for path in (folder.folder / ".skylift").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if value.encode() in path.read_bytes()]
