"""Ledger, budgets and waste from the command line: the bill again, months, engines that are killed, signals."""

from __future__ import annotations

import csv
import io
import json
import signal
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

from skylift.asl.events import BudgetReached, PauseRequested
from skylift.config import load_config
from skylift.engine.month import MonthAccount
from skylift.engine.spending import catalogue_price
from skylift.runtime import Runtime

PIPELINES = """
import time
from skylift import parallel, pipeline, task

@task(work="30m", cpus=4, memory="8 GiB", spot=True)
def train(part: int) -> int:
    return part

@task
def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds

@task
def fail_once(part: int) -> int:
    raise ValueError("no")

@pipeline
def inner(part: int) -> int:
    return train(part)

@pipeline
def outer(parts: list[int]) -> int:
    total = 0
    for part in parts:
        total = total + inner(part)
    return total + train(7)

@pipeline(budget="0.1 USD")
def wide(parts: int = 30) -> list[int]:
    return [inner(part) for part in range(parts)]

@pipeline(budget="0.03 USD")
def held() -> int:
    first = train(1)
    second = slow(0.01)
    return train(first + 1)

@pipeline(budget=0.06)
def killed() -> int:
    first = train(1)
    wait = slow(6)
    second = train(first + 1)
    return train(second + 1)

@task(work="2h", cpus=4, memory="8 GiB")
def long(part: int) -> int:
    return part

@task(work="30m", cpus=4, memory="8 GiB")
def breaks(part: int) -> int:
    raise ValueError("no")

@pipeline
def beside() -> int:
    one, other = parallel(long(1), breaks(2))
    return one

@pipeline
def failing() -> int:
    try:
        return fail_once(1)
    except ValueError:
        return 0
"""
SETTINGS = '[backends.simulated]\nservices = ["batch"]\nup = "1d"\ndown = "1m"\n'
VIRTUAL = ("--on", "simulated", "--speed", "max")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    made.write("p.py", PIPELINES)
    made.write("skylift.toml", SETTINGS)
    yield made


def run(project: Project, name: str, *arguments: str) -> Any:
    done = project.call("run", f"p.py:{name}", *VIRTUAL, *arguments, "--json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def ledger(project: Project, *arguments: str) -> Any:
    done = project.call("ledger", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def exact(line: Any) -> Fraction:
    return sum((Fraction(part) for part in line["parts_usd_micro_exact"].values()), Fraction(0))


def events(project: Project, run_id: str, kind: type[Any]) -> list[Any]:
    with Runtime(load_config(project.folder, environ={})) as runtime:
        return [entry.event for entry in runtime.journal.entries(run_id) if isinstance(entry.event, kind)]


def test_the_ledger_is_the_bill_and_months_are_their_runs(project: Project) -> None:
    first = run(project, "outer", "--parts", "1", "2")
    second = run(project, "failing")
    found = ledger(project, first["run_id"])
    bill = {step["step"]: step["cost_usd_micro"] for step in first["bill"]["steps"]}
    assert {line["name"]: line["cost_usd_micro"] for line in found["lines"]} == bill
    assert found["total"]["cost_usd_micro"] == first["bill"]["cost_usd_micro"] > 0
    whole = Fraction(found["total"]["cost_usd_micro_exact"])
    assert sum((exact(line) for line in found["lines"]), Fraction(0)) == exact(found["total"]) == whole
    failed = ledger(project, second["run_id"])["total"]
    assert failed["failed"] == 1 and failed["parts_usd_micro"]["failed"] >= 0 and failed["parts_usd_micro"]["idle"] > 0

    table = [line.split("\t") for line in project.call("ledger", first["run_id"]).stdout.splitlines()]
    for _, *_, cost, work, startup, idle, bad, lost, moved, memory, given_up, requests in table:  # as the docs say
        parts = [work, startup, idle, bad, lost, moved, memory, given_up, requests]
        assert abs(Fraction(cost[1:]) - sum(Fraction(part[1:]) for part in parts)) < Fraction(len(parts), 1_000_000)
    called = ledger(project, "--pipeline", "inner")  # theirs, whoever called them
    inner = sum((exact(line) for line in found["lines"] if line["name"].startswith("inner/")), Fraction(0))
    assert called["runs"] == 2 and exact(called["total"]) == inner > 0

    days = ledger(project, "--since", "1d", "--by", "day")
    runs = ledger(project, "--pipeline", "outer")
    assert [line["name"] for line in runs["lines"]] == [first["run_id"]]  # what it called is in it, not beside it
    assert runs["total"]["cost_usd_micro_exact"] == found["total"]["cost_usd_micro_exact"]
    assert Fraction(days["total"]["cost_usd_micro_exact"]) == whole + Fraction(failed["cost_usd_micro_exact"])
    month = time.strftime("%Y-%m", time.gmtime())
    whole_month = ledger(project, "--month", month, "--by", "pipeline")
    assert whole_month["runs"] == 2
    with Runtime(load_config(project.folder, environ={})) as runtime:  # what budgets go by is what the ledger says
        account = MonthAccount(runtime.journal, month, catalogue_price)
        account.look()
    assert account.spent == {"month": 0, "rehearsal": Fraction(whole_month["total"]["cost_usd_micro_exact"])}
    assert ledger(project, "--month", "1999-01")["total"]["cost_usd_micro"] == 0


def test_what_is_cancelled_beside_a_failure_is_paid(project: Project) -> None:
    answer = run(project, "beside")
    assert answer["status"] == "FAILED"
    found = ledger(project, answer["run_id"])
    lines = {line["name"]: line for line in found["lines"]}
    assert lines["long"]["given_up"] == 1 and lines["long"]["parts_usd_micro"]["given_up"] > 0
    assert lines["long"]["parts_usd_micro"]["work"] == 0 and 0 < lines["long"]["run_ms"] < 2 * 3_600_000
    assert lines["breaks"]["parts_usd_micro"]["failed"] > 0 and found["cancelled_attempts"] == 0
    assert found["total"]["cost_usd_micro"] == answer["bill"]["cost_usd_micro"]
    assert sum((exact(line) for line in found["lines"]), Fraction(0)) == exact(found["total"])


def test_csv_holds_no_formula_and_pictures_are_the_same_twice(project: Project) -> None:
    answer = run(project, "outer", "--parts", "1", "--name", "=cmd|calc")
    done = project.call("ledger", answer["run_id"], "--format", "csv")
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows[0][0] == "step" and [row[0] for row in rows[1:]] == ["train", "inner/train", "total"]
    cost = rows[0].index("cost_usd")
    assert float(rows[3][cost]) == pytest.approx(float(rows[1][cost]) + float(rows[2][cost]), abs=2e-6)
    pictures = []
    for name in ("a.svg", "b.svg"):
        assert project.call("ledger", answer["run_id"], "--plot", name).returncode == 0
        pictures.append((project.folder / name).read_bytes())
    assert pictures[0] == pictures[1] and b"inner/train" in pictures[0]


def test_a_month_says_its_alerts_and_what_was_only_rehearsed(project: Project) -> None:
    project.write("skylift.toml", f'{SETTINGS}[budget]\nmonth = "0.05 USD"\nalerts = [0.5]\n')
    answer = run(project, "outer", "--parts", "1")
    month = time.strftime("%Y-%m", time.gmtime())
    found = ledger(project, "--month", month)
    assert found["total"]["rehearsed_usd_micro"] == found["total"]["cost_usd_micro"] > 25_000
    [alert] = found["alerts"]
    assert (alert["scope"], alert["share"], alert["month"]) == ("rehearsal", "0.5", month)
    said = project.call("ledger", "--month", month).stderr
    assert f"budget of {month}, rehearsals: 50 % of $0.05 is spent" in said
    assert f"budget of {month}: $0.000000 of $0.05 is spent" in said
    assert "in rehearsals: nobody is sent a bill" in said
    assert ledger(project, answer["run_id"])["alerts"] == found["alerts"]
    assert ledger(project, "--month", "2020-01")["alerts"] == []


def test_prices_of_a_day_or_none(project: Project) -> None:
    answer = run(project, "failing")
    own = project.call("run", "p.py:beside", *VIRTUAL, "--json")
    run_id = json.loads(own.stdout)["run_id"]
    now, then = ledger(project, run_id), ledger(project, run_id, "--as-of", "2021-12-31")
    assert then["as_of"] == "2021-12-31" and now["as_of"] is None
    assert all(price["as_of"] <= "2021-12-31" for price in then["total"]["prices"])
    never = ledger(project, run_id, "--as-of", "2001")
    assert never["total"]["cost_usd_micro"] == 0 and never["total"]["unpriced"] == never["total"]["deliveries"]
    assert "prices as they were known on 2021-12" in project.call("ledger", run_id, "--as-of", "2021-12").stderr
    wrong = project.call("ledger", run_id, "--as-of", "yesterday")
    assert wrong.returncode == 2 and "--as-of 'yesterday' is no date" in wrong.stderr
    both = project.call("ledger", answer["run_id"], "--as-of", "2021", "--compare", "aws")
    assert both.returncode == 2 and "give one of them" in both.stderr


def test_a_quote_that_was_printed_before_is_compared(project: Project) -> None:
    quoted = project.call("quote", "p.py:outer", "--parts", "1", "--on", "simulated", "--json")
    assert quoted.returncode == 0, quoted.stderr
    project.write("quote.json", quoted.stdout)
    answer = run(project, "outer", "--parts", "1")
    found = ledger(project, answer["run_id"], "--quote", "quote.json")
    expected = json.loads(quoted.stdout)["cost_usd_micro"]["expected"]
    assert found["quoted_usd_micro"]["expected"] == expected > 0
    assert set(found["quoted_usd_micro"]["steps"]) == {"train", "inner/train"}
    said = project.call("ledger", answer["run_id"], "--quote", "quote.json").stderr
    assert "quoted before: $" in said and "inner/train: quoted $" in said
    wrong = project.call("ledger", answer["run_id"], "--quote", "p.py")
    assert wrong.returncode == 2 and "p.py is no quote" in wrong.stderr


def test_own_machines_are_free_and_what_they_would_have_cost_is_said_when_asked(project: Project) -> None:
    done = project.call("run", "p.py:failing", "--json")
    run_id = json.loads(done.stdout)["run_id"]
    found = ledger(project, run_id, "--own-as", "us-east-1", "--transitions")
    steps = {line["name"]: line for line in found["lines"]}
    assert steps["fail_once"]["free"] == 1 and steps["fail_once"]["cost_usd_micro"] == 0
    assert found["total"]["own_on_demand_usd_micro"] >= 0 and found["total"]["own_unknown"] == 0
    assert steps["(transitions)"]["cost_usd_micro"] == 25 * steps["(transitions)"]["requests"] > 0
    assert "own machine" in project.call("ledger", run_id).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "of what?"),
        (("--month", "2026-13"), "--month '2026-13' is no month"),
        (("--month", "2026-11", "--since", "1d"), "--month and --since both say when"),
        (("--since", "soon"), "neither a date nor a length of time"),
        (("some", "--month", "2026-11"), "drop one"),
        (("--pipeline", "outre"), "no run of a pipeline called 'outre'"),
        (("--since", "1d", "--own-as", "us-eas-1"), "did you mean us-east-1?"),
        (("--since", "1d", "--plot", "x.gif"), "name it x.png or x.svg"),
        (("--since", "1d", "--plot", "no/x.svg"), "there is no folder"),
        (("--since", "1d", "--plot", "."), "name it picture.png or picture.svg"),
        (("",), "RUN is empty"),
        (("--since", "1d", "--json", "--format", "csv"), "contradict each other"),
    ],
)
def test_a_ledger_that_cannot_be_made(project: Project, arguments: tuple[str, ...], said: str) -> None:
    done = project.call("ledger", *arguments)
    assert done.returncode == 2 and said in done.stderr, done.stderr


# Budgets -------------------------------------------------------------------------------------------------------------


def test_a_spent_budget_is_told_and_explained_and_can_be_raised(project: Project) -> None:
    done = project.call("run", "p.py:held", *VIRTUAL)
    assert done.returncode == 130 and done.stdout == ""
    assert "budget: 50 % of $0.03 is spent" in done.stderr and "its budget of $0.03 is spent" in done.stderr
    [record] = json.loads(project.call("runs", "--json").stdout)["runs"]
    run_id = record["run_id"]
    assert record["status"] == "PAUSED" and record["attributes"]["budget"] == "0.03"
    assert "it is paused, since its budget of $0.03 is spent" in project.call("show", run_id).stdout
    refused = project.call("resume", run_id)
    assert refused.returncode == 2 and f"skylift resume {run_id} --budget" in refused.stderr
    low = project.call("resume", run_id, "--budget", "0.01")
    assert low.returncode == 2 and "its budget of $0.01 is spent" in low.stderr
    wrong = project.call("resume", run_id, "--budget", "lots")
    assert wrong.returncode == 2 and "no amount of US dollars" in wrong.stderr
    assert project.call("resume", run_id, "--budget", "5 USD", "--json").returncode == 0


def test_a_wide_map_of_called_pipelines_stops_at_its_budget_and_what_runs_is_waited_for(project: Project) -> None:
    """Half an hour of a spot c5.xlarge each, $0.0332: four begin, and end before the command does."""
    done = project.call("run", "p.py:wide", *VIRTUAL, "--name", "wide")
    assert done.returncode == 130, done.stderr
    total = ledger(project, "wide")["total"]
    assert (total["attempts"], total["runs"]) == (4, 1) and total["cost_usd_micro"] < 200_000
    going_on = project.call("resume", "wide", "--budget", "5", "--json")
    assert json.loads(going_on.stdout)["output"] == list(range(30)), going_on.stderr
    total = ledger(project, "wide")["total"]
    assert (total["attempts"], total["deliveries"], total["parts_usd_micro"]["lost"]) == (30, 30, 0)


def test_a_command_is_told_of_alerts_and_pauses(project: Project) -> None:
    project.write("tell.py", "import sys\nopen('told.jsonl', 'a').write(sys.stdin.read() + chr(10))\n")
    notify = json.dumps([sys.executable, "tell.py", "; touch never"])
    project.write("skylift.toml", f"{SETTINGS}[budget]\nnotify = {notify}\n")
    run(project, "held")
    told = [json.loads(line) for line in (project.folder / "told.jsonl").read_text().splitlines()]
    assert sorted(one["what"] for one in told) == ["alert", "alert", "alert", "paused"]
    assert [one["alert"]["share"] for one in told if one["what"] == "alert"] == ["0.5", "0.8", "1"]
    assert not (project.folder / "never").exists()
    project.write("skylift.toml", f'{SETTINGS}[budget]\nnotify = ["no-such-command"]\n')
    assert run(project, "held")["status"] == "PAUSED"  # whoever cannot be told changes nothing
    project.write("skylift.toml", f'{SETTINGS}[budget]\nnotify = "notify-me"\n')
    wrong = project.call("runs")
    assert wrong.returncode == 2 and 'such as ["notify-me", "--budget"]' in wrong.stderr


def test_a_killed_engine_forgets_nothing_of_a_budget(project: Project) -> None:
    first = project.start("run", "p.py:killed", *VIRTUAL, "--on", "slow=process")
    assert first.stderr is not None
    for line in first.stderr:
        if "slow: started" in line:
            break
    first.kill()
    first.communicate()
    [record] = json.loads(project.call("runs", "--json").stdout)["runs"]
    before = events(project, record["run_id"], BudgetReached)
    stopped = project.call("resume", record["run_id"], timeout=180)
    assert stopped.returncode == 130, stopped.stderr
    told = [event.share for event in events(project, record["run_id"], BudgetReached)]
    assert told == ["0.5", "0.8", "1"] and told[: len(before)] == [event.share for event in before]
    assert len(events(project, record["run_id"], PauseRequested)) == 1
    spent = ledger(project, record["run_id"])["total"]["cost_usd_micro"]
    done = project.call("resume", record["run_id"], "--budget", "1", "--json")
    assert json.loads(done.stdout)["output"] == 3, done.stderr
    assert ledger(project, record["run_id"])["total"]["cost_usd_micro"] >= spent > 0


def test_a_months_budget_is_of_all_runs_and_their_processes(project: Project) -> None:
    run(project, "outer", "--parts", "1")
    spent = ledger(project, "--since", "1d")["total"]["cost_usd_micro"]
    project.write("skylift.toml", f'{SETTINGS}[budget]\nmonth = "{spent / 1e6:.6f} USD"\nalerts = [0.9]\n')
    held = run(project, "outer", "--parts", "1")
    assert held["status"] == "PAUSED" and "the project's budget for" in held["cause"]
    free = project.call("run", "p.py:failing", "--json")
    assert json.loads(free.stdout)["status"] == "SUCCEEDED", free.stderr
    program = "import p\ntry:\n    p.outer.run([1])\nexcept Exception as why:\n    print(type(why).__name__, why)\n"
    project.write("skylift.toml", f'{SETTINGS}[placement]\n"*" = "simulated"\n[budget]\nmonth = 0.000001\n')
    said = project.python("-c", program)
    assert said.stdout.startswith("BudgetSpent run "), (said.stdout, said.stderr)
    project.write("skylift.toml", f"{SETTINGS}[budget]\nmonth = 100\n")
    assert project.call("resume", held["run_id"], "--json").returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('month = "5 EUR"', "US dollars"),
        ('month = "5 EUR"', "budget: not of the form that is wanted - at `$.month`; the value is {'month': '5 EUR'}"),
        ("month = -1", "US dollars"),
        ("alerts = [0]", "shares"),
        ("monht = 1", "month?"),
    ],
)
def test_a_budget_that_is_none(project: Project, text: str, said: str) -> None:
    project.write("skylift.toml", f"[budget]\n{text}\n")
    done = project.call("runs")
    assert done.returncode == 2 and said in done.stderr


def test_a_pipelines_budget_that_is_none(project: Project) -> None:
    project.write("bad.py", 'from skylift import pipeline\n@pipeline(budget="-3 USD")\ndef p() -> int:\n    return 1\n')
    done = project.call("run", "bad.py")
    assert done.returncode == 2 and "budget='-3 USD' is no amount of US dollars" in done.stderr


# Waste ---------------------------------------------------------------------------------------------------------------


def test_the_recorder_stops_by_a_signal_and_its_log_can_be_reported(project: Project) -> None:
    recording = project.start("waste", "record", "--log", "use.jsonl", "--every", "50ms")
    log = project.folder / "use.jsonl"
    deadline = time.monotonic() + 120
    while not log.exists() or log.read_text().count("\n") < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    recording.send_signal(signal.SIGTERM)
    _, said = recording.communicate(timeout=120)
    assert recording.returncode == 0 and "lines written" in said
    done = project.call("waste", "use.jsonl", "--type", "p3.2xlarge", "--plot", "use.png", "--json")
    found = json.loads(done.stdout)
    assert found["samples"] >= 3 and found["bad_lines"] == 0 and (project.folder / "use.png").exists()
    assert found["idle_ms"] + found["busy_ms"] == found["covered_ms"]
    assert found["small"].startswith("t") and found["paid_usd_micro"] >= found["idle_usd_micro"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("use.csv",), "--type"),
        (("use.csv", "--type", "p3.2xlarg"), "did you mean p3.2xlarge"),
        (("use.csv", "--type", "p3.2xlarge", "--region", "mars"), "no price: p3.2xlarge on demand in mars"),
        (("use.csv", "--type", "p3.2xlarge", "--cpu", "200%"), "200%"),
        (("nothing.csv", "--type", "p3.2xlarge"), "nothing.csv"),
        (("empty.csv", "--type", "p3.2xlarge"), "has no line that can be used"),
        (("record", "--log", "no/use.jsonl", "--every", "1ms", "--count", "1"), "no/use.jsonl"),
        (("record", "--log", "x", "--rotate", "much"), "--rotate"),
    ],
)
def test_waste_that_cannot_be_told(project: Project, arguments: tuple[str, ...], said: str) -> None:
    project.write("use.csv", "time,cpu\n2026-11-16T09:00:00Z,1\n")
    project.write("empty.csv", "time,cpu\n")
    done = project.call("waste", *arguments)
    assert done.returncode == 2 and said in done.stderr, done.stderr
