"""The data job: made, served, cut, fetched and joined; small here, and as large as one likes elsewhere."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="the extra [data] is not installed")
EXAMPLE = Path(__file__).parents[2] / "examples/data"
ORDERS = 3_000


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.delitem(sys.modules, "sources", raising=False)
    return importlib.import_module("sources")


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SKYLIFT_")},
        "SKYLIFT_HOME": str(folder / "home"),
        "SKYLIFT_BLOCK_CACHE": str(folder / "cache"),
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_program_makes_everything_and_prints_the_ledger(tmp_path: Path) -> None:
    done = call(tmp_path, str(EXAMPLE / "shop.py"), str(ORDERS))
    assert done.returncode == 0, done.stderr
    assert "as it must be: True" in done.stdout
    lines = {line.split("  ")[0]: line.split() for line in done.stdout.splitlines()}
    for step in ("split", "read_orders", "count_visits", "join", "write"):
        assert "process" in lines[step], done.stdout
    assert (tmp_path / "data-out/days.parquet").stat().st_size > 0


@pytest.mark.parametrize("placed", [("--on", "join=batch"), ("--on", "simulated", "--speed", "max")], ids=str)
def test_the_same_on_other_backends(tmp_path: Path, sources: Any, placed: tuple[str, ...]) -> None:
    made = sources.make(tmp_path / "in", ORDERS)
    with sources.served(tmp_path / "in/web") as url:
        given = []
        for name, value in sources.arguments(url, tmp_path / "in").items():
            given += [f"--{name}", *(value if isinstance(value, list) else [value])]
        options = ("--block", "64 KiB", "--out", str(tmp_path / "out"), "--json")
        done = call(tmp_path, "-m", "skylift.cli", "run", str(EXAMPLE / "shop.py"), *placed, *options, *given)
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)["output"]
    assert output["revenue_cents"] == made.revenue_cents
    assert (output["orders"], output["returned"], output["visits"]) == (ORDERS, made.returned, made.visits)
    assert len(list((tmp_path / "cache").glob("??/*"))) > 5
