"""`skylift spot evaluate --zones`: one job that may choose among the traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from skylift.cli.main import cli
from skylift.errors import SkyliftError

JOB = ["--work", "4h", "--deadline", "6h", "--restart", "6m", "--spot-ratio", "0.3", "--starts", "5"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "zones.json"
    zone = {"gap_seconds": 600, "runs": [60, 60, 60]}
    path.write_text(json.dumps({"traces": {"east": {**zone, "first": 1}, "west": {**zone, "first": 0}}}))
    return path


def zones(place: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["spot", "evaluate", "--traces", str(place), *JOB, "--zones", *words])


def test_the_choice_is_compared_with_each_zone_alone(place: Path) -> None:
    found = json.loads(zones(place, "--json", "--zone-ratio", "west=0.2").stdout)
    assert found["ratios"] == {"east": 0.3, "west": 0.2}
    assert found["zones"]["late"] == 0 and found["zones"]["cost"] <= min(found["zones"]["alone"].values())
    words = zones(place).stdout
    assert words.startswith("the choice\t0.") and "which was the best of them" in words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--zone-ratio", "north=0.3"], "no zone has 'north' in the name"),
        (["--zone-ratio", "st=0.3"], "2 zones have 'st' in the name"),
        (["--zone-ratio", "west=dear"], "no zone with a price"),
        (["--zone-ratio", "west"], "no zone with a price"),
        (["--zone-ratio", "west=1e99999999999"], "no zone with a price"),
        (["--zone-ratio", "=0.3"], "no zone has '' in the name"),
        (["--zone-ratio", "west=0.3", "--zone-ratio", "wes=0.4"], "--zone-ratio gives west two prices"),
        (["--match", "west"], "only west is chosen"),
    ],
)
def test_bad_input(place: Path, words: list[str], said: str) -> None:
    done = zones(place, *words)
    assert isinstance(done.exception, SkyliftError) and said in done.exception.message and done.exception.hint


def test_a_whole_name_is_meant_before_a_part_of_another(tmp_path: Path) -> None:
    zone = {"gap_seconds": 600, "runs": [60, 60, 60], "first": 1}
    (tmp_path / "zones.json").write_text(json.dumps({"traces": {"west-2": zone, "west-2b": zone}}))
    found = json.loads(zones(tmp_path / "zones.json", "--json", "--zone-ratio", "west-2=0.2").stdout)
    assert found["ratios"] == {"west-2": 0.2, "west-2b": 0.3} and found["notes"] == []


def test_options_that_contradict_each_other(place: Path) -> None:
    words = ["spot", "evaluate", "--traces", str(place), *JOB]
    assert "give --zones too" in CliRunner().invoke(cli, [*words, "--zone-ratio", "west=0.3"]).output
    assert "only Skylift's policy" in CliRunner().invoke(cli, [*words, "--zones", "--policy", "greedy"]).output
