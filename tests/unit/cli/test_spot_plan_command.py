"""`skylift spot plan`: what to expect, in words and as JSON, and what it says to bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from skylift.cli.main import cli
from skylift.errors import SkyliftError

JOB = ["--work", "4h", "--deadline", "6h", "--markets", "20"]


def plan(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["spot", "plan", *words])
    return done.exit_code, done.stdout, done.stderr


def expected(*words: str) -> dict[str, float]:
    code, text, _ = plan(*JOB, *words, "--json")
    assert code == 0
    found: dict[str, float] = json.loads(text)["expected"]
    return found


def test_words_say_what_is_saved_and_where_that_is_from() -> None:
    code, text, _ = plan(*JOB, "--type", "p3.2xlarge", "--region", "us-west-2")
    first, *rest = text.splitlines()
    assert code == 0 and "cheaper, 1 preemption, " in first and "falling back to on-demand" in first
    assert "p3.2xlarge in us-west-2 at 3.06" in text and "20 markets drawn from" in rest[-1]


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    one, again, other = (expected("--spot-ratio", "0.3", "--seed", seed) for seed in ("1", "1", "2"))
    assert one == again != other


def test_dearer_spot_saves_less_and_nothing_is_late() -> None:
    cheap, dear = expected("--spot-ratio", "0.1"), expected("--spot-ratio", "0.9")
    assert cheap["saving"] > dear["saving"] >= -0.1
    assert cheap["late"] == dear["late"] == 0


def test_hours_add_up() -> None:
    found = expected("--spot-ratio", "0.3")
    assert found["spot_hours"] + found["on_demand_hours"] + found["idle_hours"] == pytest.approx(found["hours"])


def test_a_market_that_is_always_there_costs_the_ratio_and_one_that_never_is_ends_on_demand(tmp_path: Path) -> None:
    for name, value in (("always", 1), ("never", 0)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"metadata": {"gap_seconds": 600}, "data": [value] * 100}))
    always = expected("--spot-ratio", "0.3", "--traces", str(tmp_path / "always.json"))
    assert always["cost"] == pytest.approx(0.3) and always["preemptions"] == always["fallback_chance"] == 0
    never = expected("--spot-ratio", "0.3", "--traces", str(tmp_path / "never.json"))
    assert never["cost"] == pytest.approx(1.0) and never["on_demand_chance"] == 1


def test_more_markets_than_a_trace_has_starts(tmp_path: Path) -> None:
    (tmp_path / "short.json").write_text(json.dumps({"metadata": {"gap_seconds": 600}, "data": [1] * 40}))
    done = CliRunner().invoke(
        cli, ["spot", "plan", *JOB, "--markets", "21", "--spot-ratio", "0.3", "--traces", str(tmp_path)]
    )
    assert isinstance(done.exception, SkyliftError)
    assert "room for 20 different starts, not for 21" in done.exception.message
    assert "--markets of a plan" in (done.exception.hint or "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--type", "p3.2xlarg"], "did you mean p3.2xlarge"),
        ([], "neither --spot-ratio nor --type"),
        (["--spot-ratio", "0.3", "--type", "p3.2xlarge"], "give one"),
        (["--spot-ratio", "-1"], "above 0"),
        (["--spot-ratio", "0.3", "--match", "x"], "without --traces"),
        (["--spot-ratio", "0.3", "--deadline", "3h"], "cannot be met"),
        (["--spot-ratio", "0.3", "--work", "-3h"], "not negative"),
        (["--type", "p3.2xlarge", "--region", "mars"], "no prices of aws in region 'mars'"),
        (["--spot-ratio", "0.3", "--deadline", "99999999h"], "too far away"),
    ],
)
def test_bad_input_is_named_with_its_mend(words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli, ["spot", "plan", *JOB, *words])
    assert isinstance(done.exception, SkyliftError)
    assert said in f"{done.exception.message} {done.exception.hint}"
