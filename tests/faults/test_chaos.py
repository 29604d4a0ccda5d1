"""Engines, workers, containers and nodes are killed at random: each step is recorded once, nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_campaign import Campaign, kill_worker


@pytest.mark.slow
def test_processes_under_fire(tmp_path: Path) -> None:
    found = Campaign("process", 500, 1, project=tmp_path, kill=kill_worker, seconds=0.03).run()
    assert found.fine, found
    assert found.recorded == 501
    assert found.engines > 1 and found.killed.get("worker", 0) > 0, found
