"""Machines, clouds, regions, times and files as people write them: found however spelt, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from skylift.cli.main import cli
from skylift.errors import SkyliftError

LOG = """time,cpu
2026-11-16T09:00:00Z,1
2026-11-16T09:01:00Z,80
2026-11-16T09:02:00Z,1
"""
JOB = ("--work", "2h", "--deadline", "4h", "--markets", "3", "--json")


def call(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, words)
    if isinstance(done.exception, SkyliftError):  # as `main` says it
        return 2, done.stdout, f"{done.exception}\n{done.exception.hint}"
    return done.exit_code, done.stdout, done.stderr


def answer(*words: str) -> Any:
    code, text, trouble = call(*words)
    assert code == 0, trouble
    return json.loads(text)


@pytest.fixture
def log(tmp_path: Path) -> str:
    (tmp_path / "use.csv").write_text(LOG)
    return str(tmp_path / "use.csv")


@pytest.mark.parametrize(
    ("given", "type", "cloud", "region"),
    [
        (("--type", "P3.2XLARGE"), "p3.2xlarge", "aws", "us-east-1"),
        (("--type", "p3.2xlarge", "--region", "US-EAST-2"), "p3.2xlarge", "aws", "us-east-2"),
        (("--type", "n1-standard-8"), "n1-standard-8", "gcp", "us-central1"),
        (("--type", "n1-standard-8", "--cloud", "GCP", "--region", "us-east1"), "n1-standard-8", "gcp", "us-east1"),
    ],
)
def test_a_machine_is_found_however_it_is_spelt(
    given: tuple[str, ...], type: str, cloud: str, region: str, log: str
) -> None:
    for found in (answer("waste", log, *given, "--json"), answer("spot", "plan", *JOB, *given)["price"]):
        assert (found["type"], found["cloud"], found["region"]) == (type, cloud, region)
    small = answer("waste", log, *given, "--small", type.upper(), "--json")
    assert small["small"] == type


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--type", "inf1.large"), "inf1.xlarge"),
        (("--type", "m5.large", "--cloud", "nope"), "'nope' is not one of"),
        (("--type", "n1-standard-8", "--cloud", "aws"), "'n1-standard-8'"),
    ],
)
def test_a_machine_that_there_is_not(given: tuple[str, ...], said: str, log: str) -> None:
    for words in (("waste", log, *given), ("spot", "plan", *JOB, *given)):
        code, text, trouble = call(*words)
        assert (code, text) == (2, "") and said in trouble


def test_several_regions_are_searched_and_each_must_be_one() -> None:
    found = answer("prices", "find", "--type", "p2.xlarge", "--region", "us-east-1, us-west-*", "--json")["prices"]
    assert {row["region"] for row in found} == {"us-east-1", "us-west-2"}
    code, _, trouble = call("prices", "find", "--type", "p2.xlarge", "--region", "us-east-1,us-west-9")
    assert code == 2 and "in region 'us-west-9'" in trouble and "us-west-2" in trouble
    code, _, trouble = call("prices", "find", "--region", "us-east-1,")
    assert code == 2 and "has an empty name in it" in trouble


@pytest.mark.parametrize("hour", ["1h", "60m", "60 minutes", "1 hour", "0.5 hours 1800s", "30min30min"])
def test_an_hour_is_an_hour(hour: str) -> None:
    assert (
        answer(
            *(
                "prices",
                "estimate",
                "--service",
                "lambda",
                "--memory",
                "3 GB",
                "--duration",
                hour,
                "--requests",
                "0",
                "--json",
            )
        )["total_usd_exact"]
        == "0.18000036"
    )
    assert answer("spot", "plan", *JOB, "--work", hour, "--spot-ratio", "0.3")["job"]["work_hours"] == 1


def test_a_time_that_is_none_is_told_with_its_option(log: str) -> None:
    for time in ("0s", "-1m", "nan"):
        code, _, trouble = call("waste", log, "--type", "m5.large", "--join", time)
        assert code == 2 and f"--join={time!r}" in trouble


def test_the_nearest_price_is_of_a_region_that_is_near() -> None:
    code, _, trouble = call("prices", "estimate", "--type", "p2.xlarge", "--region", "us-west-1", "--hours", "1")
    assert code == 2 and "the nearest there is: $0.9 an hour, us-west-2" in trouble


@pytest.mark.parametrize(
    "words",
    [
        ("advise", ""),
        ("advise", "--save", ""),
        ("advise", "--out", " "),
        ("waste", "", "--type", "m5.large"),
        ("waste", "record", "--log", ""),
        (
            "spot",
            "evaluate",
            "--traces",
            "",
            "--work",
            "1h",
            "--deadline",
            "2h",
            "--restart",
            "6m",
            "--spot-ratio",
            "1",
        ),
        ("spot", "plan", *JOB, "--spot-ratio", "1", "--traces", ""),
        ("ledger", "--since", "1d", "--plot", ""),
    ],
)
def test_an_empty_name_is_not_this_folder(words: tuple[str, ...]) -> None:
    code, text, trouble = call(*words)
    assert (code, text) == (2, "") and "the name is empty: name a file" in trouble


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"metadata": {"gap_seconds": 600}, "data": [1, 0, 2]}, "data[2] is 2"),
        ({"metadata": {"gap_seconds": 600}, "data": []}, "data is empty"),
        ({"metadata": {"gap_seconds": 600}, "data": "101"}, "data is str"),
        (
            {"traces": {"a": {"gap_seconds": 600, "first": 1, "runs": [3, -1]}}},
            "a: runs must be whole numbers above 0: runs[1] is -1",
        ),
        ({"traces": {"a": {"gap_seconds": 600, "first": 1}}}, "runs is missing"),
    ],
)
def test_a_wrong_value_in_a_trace_is_named_with_its_place(content: Any, said: str, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_text(json.dumps(content))
    code, _, trouble = call("spot", "plan", *JOB, "--spot-ratio", "0.3", "--traces", str(file))
    assert code == 2 and said in trouble and str(file) in trouble


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_log_is_read_as_other_shells_write_it(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "use.csv").write_text(LOG, encoding=encoding)
    found = answer("waste", str(tmp_path / "use.csv"), "--type", "m5.large", "--json")
    assert (found["samples"], found["bad_lines"]) == (3, 0)


def test_a_bill_that_is_no_utf_8_says_so(tmp_path: Path) -> None:
    (tmp_path / "bill.yaml").write_bytes("uses: [{name: Bär, type: m5.large, hours: 1}]".encode("latin-1"))
    code, _, trouble = call("prices", "estimate", "--file", str(tmp_path / "bill.yaml"))
    assert code == 2 and "bill.yaml" in trouble and "save it as UTF-8" in trouble
