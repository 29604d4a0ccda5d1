"""How `skylift triggers list` counts what a trigger has started."""

from __future__ import annotations

import pytest

from skylift.cli.triggers import _show


@pytest.mark.parametrize(("runs", "said"), [(1, "  1 run, the last "), (2, "  2 runs, the last ")])
def test_one_run_is_one(runs: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    trigger = {
        "name": "daily",
        "enabled": True,
        "source": {"kind": "schedule", "expression": "rate(1 day)"},
        "start": "report",
        "runs": runs,
        "last_run_ms": 0,
        "last_run": "daily-1",
    }
    _show([trigger], as_json=False)
    assert capsys.readouterr().out.splitlines()[1].startswith(said)
