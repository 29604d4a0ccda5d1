"""`skylift prices`: find as a table and as JSON, update, and what bad input is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from skylift.cli.main import cli, run_cli


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SKYLIFT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["prices", *words], catch_exceptions=False, prog_name="skylift")


def rows(*words: str) -> list[dict[str, Any]]:
    done = run("find", *words, "--json")
    assert done.exit_code == 0
    found: list[dict[str, Any]] = json.loads(done.stdout)["prices"]
    return found


def test_the_command_of_the_documentation() -> None:
    found = rows("--gpu", "V100", "--memory", "16GiB", "--region", "us-*", "--spot")
    assert len(found) > 50
    first = found[0]
    assert (first["cloud"], first["instance_type"], first["region"]) == ("aws", "p3.2xlarge", "us-east-1")
    assert (first["price_on_demand"], first["price_spot"]) == (3.06, 0.918)
    assert (first["as_of"], first["spot_as_of"]) == ("2026-07-20", "2021-04-06")
    assert "karpenter" in first["source"] and "spotinfo" in first["spot_source"]
    assert all(row["region"].startswith("us-") and row["gpu"].startswith("V100") for row in found)
    assert all(row["memory_gib"] >= 16 and row["gpu_count"] >= 1 for row in found)
    assert all(isinstance(row["price_spot"], float) for row in found)
    assert [row["price_spot"] for row in found] == sorted(row["price_spot"] for row in found)
    assert {row["cloud"] for row in found} == {"aws", "gcp"}


def test_one_type() -> None:
    found = {row["region"]: row for row in rows("--type", "p2.xlarge")}
    assert found["us-east-1"]["price_on_demand"] == 0.9 and found["us-east-1"]["price_spot"] == 0.27
    west = found["us-west-2"]
    assert west["price_spot"] is None and west["price_spot_estimate"] == 0.324
    assert west["interruption_per_month"] == ">20%" and "Spot Advisor" in west["spot_estimate_source"]


def test_reserved_terms_stand_beside() -> None:
    [found] = rows("--type", "p2.xlarge", "--region", "us-east-1")
    terms = {row["term"]: (row["price"], row["as_of"]) for row in found["reserved"]}
    assert len(terms) == 6 and terms["3yr-partial-upfront"] == (0.425, "2017-11-12")
    [before] = rows("--type", "p2.xlarge", "--region", "us-east-1", "--as-of", "2017-11-12")
    assert before["reserved"] == found["reserved"]
    assert rows("--cloud", "lambda", "--limit", "1")[0]["reserved"] == []


def test_managed_machines_are_found_by_name() -> None:
    [found] = rows("--type", "ml.p3.2xlarge")
    assert (found["service"], found["price_on_demand"], found["gpu"]) == ("managed-training", 3.825, "V100")


def test_old_prices() -> None:
    [found] = rows("--type", "inf1.xlarge", "--region", "us-east-1", "--as-of", "2020-12-01")
    assert (found["price_on_demand"], found["as_of"], found["price_spot"]) == (0.368, "2020-08-30", None)
    [found] = rows("--type", "p2.xlarge", "--region", "us-east-1", "--as-of", "2017")
    assert (found["price_on_demand"], found["as_of"]) == (0.9, "2017-11-12")


def test_limits_and_order() -> None:
    assert len(rows("--cloud", "lambda", "--limit", "7")) == 7
    assert len(rows("--cloud", "lambda")) == 425
    largest = rows("--cloud", "lambda", "--sort", "memory")[-1]
    assert largest["memory_gib"] == max(row["memory_gib"] for row in rows("--cloud", "lambda"))


def test_the_table_names_its_sources_and_what_it_leaves_out() -> None:
    done = run("find", "--type", "p3.2xlarge", "--region", "us-*", "--spot")
    lines = done.stdout.splitlines()
    assert [line.split("\t")[2] for line in lines] == ["us-east-1", "us-east-2"]
    assert lines[0].endswith("\t3.06\t0.918\ta, b") and lines[1].endswith("\t3.06\t0.918\tc, b")
    legend = dict(line.strip().split(": ", 1) for line in done.stderr.splitlines() if line.startswith("  "))
    assert "karpenter" in legend["a"] and legend["a"].endswith("(2026-07-20)")
    assert legend["b"].endswith("(2021-04-06)") and legend["c"].endswith("(2021-11-26)")
    assert "1 more row with an estimate of the spot price: add --estimates" in done.stderr
    more = run("find", "--type", "p3.2xlarge", "--region", "us-*", "--spot", "--estimates")
    assert "3.06\t~0.8874 >20%\ta, ab" in more.stdout  # on-demand, and the savings that are taken off it
    assert "~: an estimate" in more.stderr
    assert "350 more rows: see them with --limit 400" not in run("find", "--cloud", "lambda").stderr
    assert "375 more rows: see them with --limit 425" in run("find", "--cloud", "lambda").stderr


def test_how_a_host_and_its_gpus_add_up() -> None:
    done = run("find", "--gpu", "T4", "--cloud", "gcp", "--region", "us-central1", "--limit", "2")
    assert "n1-standard-1+1xT4\tus-central1\t1\t3.75\t1 x T4\t0.3975" in done.stdout
    assert "the price is the sum of both" in done.stderr
    assert "Cyclenerd" in done.stderr and "anycloud-sh" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--type", "inf1.large"], "error[UNKNOWN-MACHINE]: there is no machine type 'inf1.large'"),
        (["--type", "inf1.large"], "did you mean inf1.xlarge"),
        (["--vcpus", "-1"], "error[QUERY]"),
        (["--memory", "-1GiB"], "error[AMOUNT]"),
        (["--memory", "a lot"], "error[AMOUNT]"),
        (["--type", "p3.2xlarge", "--region", "eu-north-1"], "error[NO-PRICE]"),
        (["--type", "p2.xlarge", "--as-of", "2010-01-01", "--json"], "error[NO-PRICE]"),
        (["--spot", "--cloud", "lambda"], "error[QUERY]"),
        (["--estimates"], "error[QUERY]"),
        (["--as-of", "soon"], "error[DATE]"),
        (["--region", "moon-1"], "error[UNKNOWN-REGION]"),
        (["--gpu", "TPU9"], "error[UNKNOWN-GPU]"),
        (["--cloud", "oracle"], "Invalid value for '--cloud'"),
        (["--limit", "0"], "Invalid value for '--limit'"),
        (["--sort", "luck"], "Invalid value for '--sort'"),
    ],
)
def test_bad_input_gets_a_clear_error(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["prices", "find", *words]) == 2
    seen = capsys.readouterr()
    assert said in seen.err and seen.out == ""
    assert "Traceback" not in seen.err


def azure_file(folder: Path) -> Path:
    item = {
        "retailPrice": 0.25,
        "armRegionName": "westeurope",
        "skuName": "D4s v3",
        "meterName": "D4s v3",
        "productName": "Virtual Machines Dsv3 Series",
        "serviceName": "Virtual Machines",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "currencyCode": "USD",
    }
    page = {
        "Items": [item | {"armSkuName": name} for name in ("Standard_D4s_v3", "Standard_New")],
        "NextPageLink": None,
    }
    file = folder / "azure.json"
    file.write_text(json.dumps(page))
    return file


def test_update_puts_newer_prices_into_the_home(tmp_path: Path, home: Path) -> None:
    asked = ("--type", "Standard_D4s_v3", "--region", "westeurope")
    [before] = rows(*asked)
    done = run("update", "--from", str(azure_file(tmp_path)))
    assert done.exit_code == 0 and "1 price of 1 machine of azure" in done.stdout
    assert "left out" in done.stderr and "Standard_New" in done.stderr
    [file] = (home / "prices" / "azure").iterdir()
    [now] = rows(*asked)
    assert (before["price_on_demand"], now["price_on_demand"]) == (0.24, 0.25)
    assert now["as_of"] > before["as_of"] and str(tmp_path) in now["source"]
    [then] = rows(*asked, "--as-of", "2026-06-01")
    assert then == before
    file.unlink()


def test_update_into_a_folder_of_ones_own(tmp_path: Path, home: Path) -> None:
    done = run("update", "--from", str(azure_file(tmp_path)), "--into", str(tmp_path / "own"), "--json")
    made = json.loads(done.stdout)
    assert (made["cloud"], made["prices"], made["unknown"]) == ("azure", 1, ["Standard_New"])
    assert Path(made["path"]).is_file() and not home.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which cloud's prices?"),
        (["--from", "/nowhere/at/all.json"], "cannot be read"),
        (["--cloud", "gcp"], "wants a key"),
        (["--cloud", "aws", "--region", "../x"], "no name of a region"),
        (["--cloud", "lambda"], "Invalid value for '--cloud'"),
    ],
)
def test_update_says_what_it_lacks(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SKYLIFT_GCP_API_KEY", raising=False)
    assert run_cli(["prices", "update", *words]) == 2
    assert said in capsys.readouterr().err


def test_help_names_the_commands() -> None:
    said = run("--help").stdout
    assert all(f"\n  {name} " in said for name in ("find", "estimate", "update"))
