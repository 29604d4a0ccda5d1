"""The deadline of a step on spot is kept whatever the market does, as long as the safety net can: markets by chance, in
virtual time, with slack that is hardly enough. And the same run twice is the same journal, however wide its map."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest
from spot_rehearsal import rehearse

from skylift.ports.journal import Entry

MINUTE_MS = 60_000


def story(folder: Path, seed: int, *, work: int, deadline: int, checkpoint: str, width: int = 1) -> list[Entry]:
    """One run on a market that comes and goes within minutes, the one of that seed. Times in minutes."""
    draw = random.Random(f"spot-deadlines-{seed}")
    first, runs = draw.random() < 0.6, [max(1, round(draw.lognormvariate(2.3, 1.2))) for _ in range(40)]
    trace = {"first": int(first), "runs": runs, "gap_seconds": 60}
    return rehearse(
        folder, trace, work=f"{work}m", deadline=f"{deadline}m", checkpoint=checkpoint, seed=seed, width=width
    )


@pytest.mark.parametrize("market", range(24))
def test_the_deadline_is_kept(tmp_path: Path, market: int) -> None:
    """Places come after one to four minutes, and some steps seldom save their work."""
    draw = random.Random(market)
    work, slack = draw.choice([30, 45, 50]), draw.choice([10, 12, 15, 20, 30])
    checkpoint = draw.choice(["30s", "2m", "20m"])
    entries = story(tmp_path / "p", market, work=work, deadline=work + slack, checkpoint=checkpoint)
    assert entries[-1].at_ms - entries[0].at_ms <= (work + slack) * MINUTE_MS


def test_the_same_map_on_the_same_market_is_the_same_journal(tmp_path: Path) -> None:
    one, other = (story(tmp_path / name, 5, work=120, deadline=180, checkpoint="2m", width=24) for name in "ab")
    assert [entry.at_ms - one[0].at_ms for entry in one] == [entry.at_ms - other[0].at_ms for entry in other]
    assert [told(entry, one) for entry in one[1:]] == [told(entry, other) for entry in other[1:]]


def told(entry: Entry, entries: list[Entry]) -> str:
    """Without what says when the run began, and which processor it ran on."""
    kept = msgspec.to_builtins(entry.event)
    usage = kept.get("usage") or {}
    if usage.get("started_ms"):
        usage["started_ms"] -= entries[0].at_ms
    return json.dumps(kept, sort_keys=True)
