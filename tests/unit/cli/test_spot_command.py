"""`skylift spot evaluate`: both formats, JSON and table, and what it says to bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from skylift.cli.main import cli
from skylift.errors import SkyliftError

JOB = ("--work", "4h", "--deadline", "6h", "--restart", "6m", "--spot-ratio", "0.3")
RUNS = [30, 12, 45, 6, 3, 9, 60, 30] * 3
DATA = [int(number % 2 == 0) for number, run in enumerate(RUNS) for _ in range(run)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "west").mkdir()
    for name in ("west/a", "west/b", "east"):
        text = json.dumps({"metadata": {"gap_seconds": 240}, "data": DATA if name != "west/b" else DATA[::-1]})
        (tmp_path / f"{name}.json").write_text(text)
    return tmp_path


def evaluate(*words: object) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["spot", "evaluate", *map(str, words), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def refused(*words: object) -> str:
    with pytest.raises(SkyliftError) as caught:
        CliRunner().invoke(cli, ["spot", "evaluate", *map(str, words)], catch_exceptions=False, standalone_mode=False)
    return f"{caught.value.code}: {caught.value.message}; {caught.value.hint}"


def test_json_names_policies_traces_and_configuration(place: Path) -> None:
    answer = evaluate("--traces", place, *JOB, "--starts", 5)
    assert answer["traces"] == ["east", "west/a", "west/b"] and answer["starts"] == 5
    assert answer["configuration"] == {
        "work_hours": 4.0,
        "deadline_hours": 6.0,
        "restart_hours": 0.1,
        "spot_ratio": 0.3,
        "quantum_seconds": 120,
    }
    policies = answer["policies"]
    assert {"greedy", "time_sliced", "uniform_progress", "uniform_progress_from_0.7", "on_demand", "omniscient"} <= set(
        policies
    )
    assert policies["on_demand"]["cost"] == 1 and policies["omniscient"]["vs_omniscient"] == 1
    for result in policies.values():
        assert result["late"] == 0 and result["cost"] >= policies["omniscient"]["cost"]
        assert result["vs_omniscient"] == pytest.approx(result["cost"] / policies["omniscient"]["cost"])
        assert result["cost_ci95"]["low"] <= result["cost"] <= result["cost_ci95"]["high"]
    assert policies["time_sliced"]["slices"] in (2, 4, 6, 8, 12, 16, 24)


def test_both_formats_give_the_same(place: Path, tmp_path: Path) -> None:
    encoded = {"traces": {"east": {"kind": "availability", "first": 1, "runs": RUNS, "gap_seconds": 240}}}
    (tmp_path / "encoded.json").write_text(json.dumps(encoded))
    one = evaluate("--traces", tmp_path / "encoded.json", *JOB)
    other = evaluate("--traces", place / "east.json", *JOB)
    assert one["policies"] == other["policies"] and one["traces"] == other["traces"]


def test_one_policy_and_some_traces(place: Path) -> None:
    answer = evaluate("--traces", place, *JOB, "--match", "west/", "--policy", "uniform-progress")
    assert answer["traces"] == ["west/a", "west/b"]
    assert list(answer["policies"]) == ["uniform_progress", "omniscient"]


def test_of_two_kinds_availability_is_meant(tmp_path: Path) -> None:
    both = {
        "traces": {
            f"{kind}/zone": {"kind": kind, "first": 1, "runs": RUNS, "gap_seconds": 240}
            for kind in ("availability", "preemption")
        }
    }
    (tmp_path / "both.json").write_text(json.dumps(both))
    answer = evaluate("--traces", tmp_path / "both.json", *JOB)
    assert (answer["traces"], answer["left_out"]) == (["availability/zone"], ["preemption/zone"])
    assert "1 trace is left out, of kind preemption" in answer["notes"][0]
    held = evaluate("--traces", tmp_path / "both.json", *JOB, "--match", "preemption")
    assert held["traces"] == ["preemption/zone"] and "while the recorded machine ran" in held["notes"][0]


def test_people_read_a_table_and_what_was_rounded(place: Path) -> None:
    words = ["--traces", str(place), "--work", "4h", "--deadline", "6h", "--restart", "5m", "--spot-ratio", "0.3"]
    done = CliRunner().invoke(cli, ["spot", "evaluate", *words], catch_exceptions=False)
    assert any(line.startswith("greedy\t0.") for line in done.stdout.splitlines())
    assert "4 h of work in 6 h, 0.1 h a launch, spot at 0.3 of on-demand" in done.stdout
    assert "means over 3 traces, 40 starts each" in done.stdout
    assert "note: restart 5m is rounded up to 0.1 h: time passes in steps of 120 s" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--work", "-4h"), "SPOT-JOB: work is -4h: a length of time is not negative"),
        (("--deadline", "3h"), "SPOT-JOB: a deadline of 3 h cannot be met"),
        (("--deadline", "90h"), "TRACE: the trace east is 39 h long: a job of 90 h does not fit in"),
        (("--spot-ratio", "3"), "SPOT-JOB: spot-ratio is 3: it must be above 0 and at most 1"),
        (("--policy", "unifrom_progress"), "Did you mean uniform_progress?"),
        (("--match", "north"), "has 'north' in its name; there are: east, west/a, west/b"),
        (("--work", "soon"), "AMOUNT: work='soon' is not a time"),
        (("--traces", "nowhere.json"), "TRACE: there are no spot traces at nowhere.json"),
    ],
)
def test_bad_input(place: Path, words: tuple[str, str], said: str) -> None:
    assert said in refused("--traces", place, *JOB, *words)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[0, 1]", "holds no spot traces; known:"),
        ("{", "cannot be read: Expecting property name"),
        pytest.param("[" * 200_000, "its JSON is nested too deeply", id="deep"),
        pytest.param("[" + " " * 64 * 1024**2, "has more than 64 MiB", id="large"),
        ('{"metadata": {"gap_seconds": 120}, "data": [0, 2]}', "data must be a list of 0 and 1"),
        ('{"metadata": {"gap_seconds": NaN}, "data": [0]}', "gap_seconds is nan, not a number of seconds"),
        ('{"metadata": {"gap_seconds": 600000}, "data": [0]}', "more than a day between two looks at the market"),
        pytest.param('{"data": [' + "9" * 5_000 + "]}", "holds a number of thousands of digits", id="digits"),
        ('{"traces": {"n": {"first": 1, "rle": [3, 5], "gap_seconds": 9}}}', "n: runs must be whole numbers"),
        ('{"traces": {"n": {"kind": "price", "first": 1, "runs": [3], "gap_seconds": 9}}}', "kind is 'price', not one"),
    ],
)
def test_files_that_are_no_traces(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    assert said in refused("--traces", path, *JOB) and str(path) in refused("--traces", path, *JOB)


def test_a_folder_may_hold_other_files(place: Path) -> None:
    (place / "readme.json").write_text('{"about": "spot"}')
    (place / "notes.txt").write_text("no JSON")
    (place / "gone.json").symlink_to(place / "nowhere")
    (place / "folder.json").mkdir()
    answer = evaluate("--traces", place, *JOB, "--starts", 2, "--policy", "greedy")
    assert answer["traces"] == ["east", "west/a", "west/b"]
    (note,) = answer["notes"]
    assert "1 file holds no spot traces" in note and "readme.json" in note


def test_two_traces_of_one_name_are_not_taken_for_one(tmp_path: Path) -> None:
    for name, first in (("one", 1), ("other", 0)):
        trace = {"first": first, "runs": RUNS, "gap_seconds": 240}
        (tmp_path / f"{name}.json").write_text(json.dumps({"traces": {"zone": trace}}))
    said = refused("--traces", tmp_path, *JOB)
    assert "two traces are named zone" in said and "one.json" in said and "other.json" in said
