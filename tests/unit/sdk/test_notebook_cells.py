"""A notebook's cells, as IPython runs them: code without a file, sources in linecache. Redefined tasks and pipelines count."""

from __future__ import annotations

import linecache
import sys
from itertools import count
from types import ModuleType
from typing import Any

import pytest

from skylift.errors import AuthorError
from skylift.testing.parity import durable

_cells = count(1)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    names = vars(main)
    run_cell(names, "from skylift import pipeline, task")
    return names


def run_cell(names: dict[str, Any], source: str, *, with_source: bool = True) -> None:
    file = f"<ipython-input-{next(_cells)}-0a1b2c>"
    if with_source:
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec", dont_inherit=True), names)  # noqa: S102


TASK = "@task\ndef work(x: int) -> int:\n    return x + {}\n"
FLOW = "@pipeline\ndef flow(x: int) -> int:\n    return work(x) * {}\n"


def test_a_redefined_task_is_used(notebook: dict[str, Any]) -> None:
    run_cell(notebook, TASK.format(1))
    run_cell(notebook, FLOW.format(2))
    assert durable(notebook["flow"], x=1).value == 4
    before = notebook["flow"].compile().tasks["work"].fingerprint
    run_cell(notebook, TASK.format(10))
    assert durable(notebook["flow"], x=1).value == 22
    assert notebook["flow"].compile().tasks["work"].fingerprint != before


def test_a_redefined_pipeline_is_used(notebook: dict[str, Any]) -> None:
    run_cell(notebook, TASK.format(1))
    run_cell(notebook, FLOW.format(2))
    assert durable(notebook["flow"], x=1).value == 4
    run_cell(notebook, FLOW.format(3))
    assert durable(notebook["flow"], x=1).value == 6


def test_without_source_the_error_says_what_to_do(notebook: dict[str, Any]) -> None:
    run_cell(notebook, TASK.format(1))
    run_cell(notebook, FLOW.format(2), with_source=False)
    with pytest.raises(AuthorError) as caught:
        notebook["flow"].compile()
    assert "flow" in caught.value.message
    assert "file or a notebook cell" in str(caught.value.hint)
