"""A pipeline's file is read as it is now."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from skylift.cli.target import UserCodeError, load_module


def test_a_file_that_was_changed_within_a_second_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same length, with the same time: what was compiled before looks as if it were of this one."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "changed_within_a_second.py"
    for number in (1, 2):
        path.write_text(f"answer = {number}\n", encoding="utf-8")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
        assert load_module(path).answer == number
    assert not (tmp_path / "__pycache__").exists()


def test_what_is_not_installed_is_told_with_two_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "imports_what_is_not_there.py"
    path.write_text("import not_there_at_all.inner\n", encoding="utf-8")
    with pytest.raises(UserCodeError, match="line 1: ModuleNotFoundError") as refused:
        load_module(path)
    assert refused.value.hint is not None
    assert refused.value.hint.startswith("install not_there_at_all, or import it inside the task")
