"""`skylift prices estimate`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skylift.cli.main import run_cli
from skylift.pricing.estimate.amounts import TIMES


def estimate(*words: str) -> int:
    return run_cli(["prices", "estimate", *words])


def test_json_gives_the_total_and_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    status = estimate("--service", "lambda", "--memory", "3GiB", "--duration", "1h", "--requests", "0", "--json")
    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert (found["total_usd"], found["total_usd_exact"]) == (0.18000036, "0.18000036")
    assert [line["formula"].replace(TIMES, "*") for line in found["lines"]] == [
        "3 GiB * 3,600 s * $0.0000166667 per GB-second"
    ]
    assert found["lines"][0]["as_of"] == "2024-07-01" and found["lines"][0]["region"] == "us-east-1"


@pytest.mark.parametrize(
    ("words", "total"),
    [
        ("--service fargate --vcpus 2 --memory 4GiB --duration 1h", 0.09874),
        ("--type n1-standard-1 --region us-central1 --hours 730", 24.2725),
        ("--type inf1.xlarge --hours 1 --as-of 2020-12", 0.368),
        ("--type p2.xlarge --hours 10 --spot", 2.7),
        ("--service lambda --memory 1GiB --each 1s --requests 400k --free-tier", 0),
    ],
)
def test_totals(capsys: pytest.CaptureFixture[str], words: str, total: float) -> None:
    assert estimate(*words.split(), "--json") == 0
    assert json.loads(capsys.readouterr().out)["total_usd"] == total


def test_a_person_gets_lines_a_total_and_what_was_taken_for_granted(capsys: pytest.CaptureFixture[str]) -> None:
    assert estimate("--service", "fargate", "--vcpus", "2", "--memory", "4GiB", "--duration", "1h") == 0
    said = capsys.readouterr()
    assert said.out.replace(TIMES, "*").splitlines() == [
        "fargate\tprocessors\t2 vCPU * 1 h * $0.04048 per vCPU-hour\t$0.08096",
        "fargate\tmemory\t4 GiB * 1 h * $0.004445 per GB-hour\t$0.01778",
        "total\t\t\t$0.09874",
    ]
    assert "note: prices of us-east-1, since no region is given for aws" in said.err
    assert "(2021-04-22)" in said.err


def test_a_mixed_bill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bill = tmp_path / "bill.yaml"
    bill.write_text("as_of: 2020\nuses:\n  - {type: inf1.xlarge, hours: 10}\n  - {type: p2.xlarge, hours: 1}\n")
    assert estimate("--file", str(bill), "--json") == 0
    assert json.loads(capsys.readouterr().out)["total_usd"] == 4.58
    assert estimate("--file", str(bill), "--as-of", "2021") == 2
    assert "bill.yaml says as_of 2020-12-31" in capsys.readouterr().err
    assert estimate("--file", str(bill), "--hours", "3") == 2
    assert "error[ESTIMATE]: --file and --hours" in capsys.readouterr().err


def test_what_is_given_empty_is_not_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert estimate("--file", "") == 2
    assert "--file is empty" in capsys.readouterr().err
    assert estimate("--type", "m5.large", "--hours", "1", "--region", "") == 2
    assert "--region is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "error[ESTIMATE]: neither --service nor --type"),
        ("--type inf1.large --hours 1", "did you mean inf1.xlarge?"),
        ("--type p2.xlarge --hours -1", "error[ESTIMATE]: --hours '-1' is negative"),
        ("--type p2.xlarge --hours 1 --region us-east-9", "there is no price of aws there"),
        ("--service fargate --vcpus 2 --memory 4GiB --duration 1h --spot", "error[NO-PRICE]: fargate: processors"),
        ("--type p2.xlarge --hours 1 --as-of soon", "error[DATE]: --as-of 'soon' is no date"),
        ("--file no-such.yaml", "error[OS]: No such file or directory: no-such.yaml"),
    ],
)
def test_bad_input_is_answered_in_words(capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    assert estimate(*words.split()) == 2
    assert said in capsys.readouterr().err
