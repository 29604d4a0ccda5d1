"""`skylift quote`, `skylift plan` and `skylift run --plan` as a user meets them: what is quoted is what is billed."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import pytest
from conftest import Project

TRAINING = """
from skylift import pipeline, task


@task(memory="1 GiB", work="5m")
def load(n: int) -> list[int]:
    return list(range(n))


@task(work="2h", spot=True, gpu="V100", memory="8 GiB")
def train(x: int, rate: float) -> float:
    return x * rate


@task(work="20m", cpus=4, memory="4 GiB")
def test(xs: list[float]) -> float:
    return max(xs)


@pipeline
def trials(rates: list[float]) -> float:
    data = load(4)
    return test([train(4, rate) for rate in rates])
"""

STEADY = TRAINING.replace("spot=True, ", "")

MEASURED = """
from skylift import pipeline, task


@task
def spin(n: int) -> int:
    assert sum(i * i for i in range(400_000))
    return n


@pipeline
def spins(ns: list[int]) -> list[int]:
    return [spin(n) for n in ns]


@pipeline
def until(limit: int) -> int:
    total = 0
    while total < limit:
        total = total + spin(3)
    return total
"""

BESIDE = """
from skylift import parallel, pipeline, task


@task(cpus=8, memory="8 GiB", work="1h")
def one(x: int) -> int:
    return x


@task(cpus=8, memory="8 GiB", work="1h")
def two(x: int) -> int:
    return x


@task(cpus=8, memory="8 GiB", work="1h")
def three(x: int) -> int:
    return x


@pipeline
def beside(x: int) -> list[int]:
    return list(parallel(one(x), two(x), three(x)))
"""

SHAPES = """
from skylift import pipeline, task


@task(work="10m", memory="1 GiB")
def prep(n: int) -> int:
    return n


@task(work="5m", memory="1 GiB")
def items(n: int) -> list[int]:
    return list(range(n))


@task(work="1h", memory="2 GiB")
def heavy(n: int) -> int:
    return n


@pipeline
def wide(n: int) -> list[int]:
    return [heavy(x) for x in items(n)]


@pipeline
def loop(n: int) -> int:
    total = 0
    while total < 5:
        total = prep(total)
    return total


@pipeline
def choose(n: int) -> int:
    x = prep(n)
    if x > 3:
        x = heavy(x)
    else:
        x = prep(x)
    return x


@pipeline
def nothing(n: int) -> int:
    return n
"""

RATES = ("--rates", "0.1", "0.2", "0.3")


@pytest.fixture
def project(folder: Project) -> Project:
    folder.write("training.py", TRAINING)
    folder.write("steady.py", STEADY)
    folder.write("measured.py", MEASURED)
    return folder


def asked(project: Project, *arguments: str, status: int = 0) -> Any:
    done = project.call(*arguments, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def billed(project: Project, *arguments: str) -> int:
    """Micro-dollars of a run in virtual time."""
    answer = asked(project, "run", *arguments, "--speed", "max")
    assert answer["status"] == "SUCCEEDED"
    return int(answer["bill"]["cost_usd_micro"])


# What is quoted is what is billed ------------------------------------------------------------------------------------


def test_a_plan_is_billed_within_its_quote(project: Project) -> None:
    plan = asked(project, "plan", "steady.py", *RATES, "--deadline", "6h", "--budget", "50", "--out", "plan.json")
    quote = asked(project, "quote", "steady.py", *RATES, "--plan", "plan.json")
    assert quote["cost_usd_micro"] == plan["quote"]["cost_usd_micro"]
    assert not quote["at_least"] and not quote["not_known"]
    bill = billed(project, "steady.py", *RATES, "--plan", "plan.json")
    spread = quote["cost_usd_micro"]
    assert spread["p10"] * 0.999 <= bill <= spread["p90"] * 1.001
    assert bill <= plan["totals"]["cost_high_usd_micro"]
    assert bill == pytest.approx(plan["totals"]["cost_usd_micro"], rel=0.05), "start-ups are all that is by chance"


def test_a_plan_runs_in_the_time_of_the_settings(project: Project) -> None:
    """Which jumps unless they say otherwise, as it does without a plan."""
    asked(project, "plan", "steady.py", *RATES, "--out", "plan.json")
    done = asked(project, "run", "steady.py", *RATES, "--plan", "plan.json", "--name", "unhurried")
    steps = asked(project, "show", "unhurried")["steps"]
    assert done["bill"]["cost_usd_micro"] > 0
    assert max(step["last_ms"] for step in steps) - min(step["first_ms"] for step in steps) > 2 * 3_600_000


def test_bought_on_spot_it_is_billed_within_its_quote(project: Project) -> None:
    project.write("skylift.toml", '[backends.simulated]\ncheckpoint = "10m"\n')
    plan = asked(project, "plan", "training.py", *RATES, "--markets", "on-demand,spot", "--out", "plan.json")
    train = next(step for step in plan["steps"] if step["step"] == "train")
    assert train["offer"]["market"] == "spot"
    assert {"compute", "start-up", "rework"} <= {part["what"] for part in train["parts"]}
    assert train["time_high_s"] > train["time_s"]
    spread = plan["quote"]["cost_usd_micro"]
    bill = billed(project, "training.py", *RATES, "--plan", "plan.json")
    assert spread["p10"] * 0.9 <= bill <= max(spread["p90"], plan["totals"]["cost_high_usd_micro"]) * 1.1


def test_every_step_runs_on_exactly_what_was_chosen(project: Project) -> None:
    plan = asked(project, "plan", "steady.py", *RATES, "--regions", "eu-*,us-west-2", "--out", "plan.json")
    chosen = {step["step"]: step["offer"] for step in plan["steps"]}
    assert all(offer["region"].startswith(("eu-", "us-west-2")) for offer in chosen.values())
    asked(project, "run", "steady.py", *RATES, "--plan", "plan.json", "--speed", "max", "--name", "planned")
    ledger = asked(project, "ledger", "planned")
    for step, offer in chosen.items():
        line = next(line for line in ledger["lines"] if line["name"] == step)
        assert line["places"] == [f"{offer['service']} {offer['instance_type']} {offer['market']}"], step
        assert all(price["what"].endswith(f"in {offer['region']}") for price in line["prices"]), step


def test_a_quote_of_the_current_placement_is_what_it_costs(project: Project) -> None:
    quote = asked(project, "quote", "steady.py", *RATES, "--on", "simulated")
    bill = billed(project, "steady.py", *RATES, "--on", "simulated")
    assert quote["cost_usd_micro"]["p10"] * 0.999 <= bill <= quote["cost_usd_micro"]["p90"] * 1.001
    assert [step["attempts"]["expected"] for step in quote["steps"]] == [1, 3, 1]
    parts = [part["usd_micro"] for step in quote["steps"] for part in step["parts"]]
    assert sum(parts) == pytest.approx(quote["cost_usd_micro"]["expected"], abs=1)
    assert all(part["formula"] for step in quote["steps"] for part in step["parts"])
    assert all(step["prices"] for step in quote["steps"])


# The history ---------------------------------------------------------------------------------------------------------


def test_durations_come_from_earlier_runs(project: Project) -> None:
    before = asked(project, "quote", "measured.py:spins", "--ns", "1", "2")
    assert before["at_least"] and any('--work "spin=10m"' in ask for ask in before["not_known"])
    assert project.call("run", "measured.py:spins", "--ns", "1", "2", "3", "4").returncode == 0
    after = asked(project, "quote", "measured.py:spins", "--ns", "1", "2")
    assert not after["at_least"] and after["not_known"] == []
    (spin,) = after["steps"]
    assert spin["durations_from"] == "4 attempts before"
    assert spin["run_ms"]["p10"] < spin["run_ms"]["expected"] < spin["run_ms"]["p90"]
    assert after["cost_usd_micro"]["expected"] == 0, "machines of one's own send no bill"
    cloud = asked(project, "plan", "measured.py:spins", "--ns", "1", "2")
    assert cloud["steps"][0]["cost_usd_micro"] > 0


def test_loops_are_known_from_earlier_runs(project: Project) -> None:
    first = asked(project, "quote", "measured.py:until", "--limit", "1", "--work", "spin=1s")
    (ask,) = first["not_known"]
    assert ask.startswith("how often it goes round is not known: --rounds ")
    loop = ask.partition('"')[2].rpartition("=")[0]
    said = asked(project, "quote", "measured.py:until", "--limit", "1", "--work", "spin=1s", "--rounds", f"{loop}=3")
    assert said["steps"][0]["attempts"] == {"low": 3, "expected": 3, "high": 3}
    assert project.call("run", "measured.py:until", "--limit", "1").returncode == 0
    after = asked(project, "quote", "measured.py:until", "--limit", "1")
    assert after["steps"][0]["attempts"] == {"low": 1, "expected": 1, "high": 1}


def test_a_plan_asks_for_all_that_it_must_know(project: Project) -> None:
    done = project.call("plan", "measured.py:until", "--limit", "1")
    assert done.returncode == 2
    assert "a plan of until needs to know:" in done.stderr
    assert '--rounds "' in done.stderr and '--work "spin=10m"' in done.stderr


def test_what_is_never_done_costs_and_takes_nothing(project: Project) -> None:
    project.write("shapes.py", SHAPES)
    none = asked(project, "plan", "shapes.py:wide", "--n", "1", "--width", "heavy for x=0")
    first, heavy = none["steps"]
    assert (heavy["time_s"], heavy["time_high_s"], heavy["cost_high_usd_micro"]) == (0, 0, 0)
    assert none["totals"]["time_s"] == first["time_s"]


def test_counts_beyond_any_run_are_refused_and_large_ones_answered(project: Project) -> None:
    project.write("shapes.py", SHAPES)
    done = project.call("plan", "shapes.py:wide", "--n", "1", "--width", "heavy for x=99999999999999999999999")
    assert done.returncode == 2 and "is beyond any run" in done.stderr
    (ask,) = asked(project, "quote", "shapes.py:loop", "--n", "1")["not_known"]
    loop = ask.partition('"')[2].rpartition("=")[0]
    many = asked(project, "quote", "shapes.py:loop", "--n", "1", "--on", "simulated", "--rounds", f"{loop}=100000001")
    assert many["time_ms"]["expected"] == pytest.approx(1e8 * 600_000, rel=0.01), "all rounds, and quickly"


def test_a_range_begins_with_the_less(project: Project) -> None:
    """Of two ways of which nobody knows which, the cheaper run has less of the one step and more of the other."""
    project.write("shapes.py", SHAPES)
    quote = asked(project, "quote", "shapes.py:choose", "--n", "1", "--on", "simulated")
    assert all(step["cost_usd_micro"]["p10"] <= step["cost_usd_micro"]["p90"] for step in quote["steps"])
    assert [step["cost_usd_micro"]["p10"] for step in quote["steps"]][1:] == [0, 0]


def test_a_run_without_steps_is_not_planned(project: Project) -> None:
    project.write("shapes.py", SHAPES)
    done = project.call("plan", "shapes.py:nothing", "--n", "1")
    assert done.returncode == 2 and "comes to no step with this input" in done.stderr


def test_a_deadline_that_is_missed_by_little_is_told_apart(project: Project) -> None:
    project.write("shapes.py", SHAPES)
    quick = asked(project, "plan", "shapes.py:wide", "--n", "1", "--width", "heavy for x=1", "--objective", "time")
    late = f"{int(quick['totals']['time_high_s'])}s"
    given = ("--width", "heavy for x=1", "--deadline", late)
    reason = asked(project, "plan", "shapes.py:wide", "--n", "1", *given, status=1)["reason"]
    takes, _, deadline = reason.removeprefix("the quickest plan takes ").partition(": the deadline is ")
    assert takes != deadline and deadline == f"{int(quick['totals']['time_high_s'])} s"


# Limits --------------------------------------------------------------------------------------------------------------


def test_a_deadline_makes_it_dearer_and_says_by_how_much(project: Project) -> None:
    free = asked(project, "plan", "training.py", *RATES)
    tight = asked(project, "plan", "training.py", *RATES, "--deadline", "3h")
    assert tight["totals"]["time_high_s"] <= 3 * 3600 < free["totals"]["time_high_s"]
    assert tight["totals"]["cost_usd_micro"] > free["totals"]["cost_usd_micro"]
    cost = next(limit for limit in tight["limits_cost"] if limit["limit"] == "deadline")
    more = tight["totals"]["cost_usd_micro"] - free["totals"]["cost_usd_micro"]
    assert cost["costs_usd_micro"] == pytest.approx(more, abs=1)
    assert tight["gap"] == 0
    assert [point["time_s"] for point in tight["front"]] == sorted(
        (point["time_s"] for point in tight["front"]), reverse=True
    )
    assert {one["step"] for one in tight["runners_up"]} == {"load", "train", "test"}
    assert all(one["why_not"] for one in tight["runners_up"])


def test_options_may_stand_before_the_file(project: Project) -> None:
    """Parameters of the pipeline after it are options then, too."""
    asked(project, "plan", "--out", "plan.json", "--objective", "cost", "steady.py", *RATES)
    asked(project, "quote", "--plan", "plan.json", "steady.py", *RATES)
    done = asked(project, "run", "--plan", "plan.json", "--speed=max", "--json", "steady.py", *RATES)
    assert done["status"] == "SUCCEEDED"


def test_a_plan_takes_the_place_of_no_device(project: Project) -> None:
    os.mkfifo(project.folder / "pipe.json")
    done = project.call("plan", "steady.py", *RATES, "--out", "pipe.json")
    assert done.returncode == 2 and "pipe.json is there, and is no plain file" in done.stderr
    assert (project.folder / "pipe.json").is_fifo()


def test_a_step_that_keeps_no_work_is_not_said_to_keep_its_deadline(project: Project) -> None:
    project.write("late.py", TRAINING.replace("spot=True", 'spot=True, deadline="3h"'))
    found = asked(project, "quote", "late.py", *RATES, "--on", "simulated")
    (told,) = [said for said in found["assumptions"] if "deadline=" in said]
    assert told.startswith("train: nothing keeps its work") and "may miss its deadline=" in told
    project.write("skylift.toml", '[backends.simulated]\ncheckpoint = "10m"\n')
    found = asked(project, "quote", "late.py", *RATES, "--on", "simulated")
    assert "train: is moved between spot and on-demand so that it keeps its deadline=" in found["assumptions"]


def test_a_plan_expects_what_its_quote_expects(project: Project) -> None:
    """Of 300 machines that come after one to four minutes, the last one does after nearly four."""
    project.write("shapes.py", SHAPES)
    plan = asked(project, "plan", "shapes.py:wide", "--n", "1", "--width", "heavy for x=300", "--markets", "on-demand")
    spread = plan["quote"]["time_ms"]
    assert spread["p10"] <= plan["totals"]["time_s"] * 1000 <= spread["p90"]


def test_the_quickest_within_a_budget(project: Project) -> None:
    cheap = asked(project, "plan", "training.py", *RATES)
    quick = asked(project, "plan", "training.py", *RATES, "--objective", "time", "--budget", "40")
    assert quick["totals"]["time_s"] < cheap["totals"]["time_s"]
    assert quick["totals"]["cost_high_usd_micro"] <= 40_000_000


def test_what_cannot_be_is_said_with_what_could(project: Project) -> None:
    answer = asked(project, "plan", "training.py", *RATES, "--deadline", "1h", status=1)
    assert answer["possible"] is False and "the quickest plan takes" in answer["reason"]
    assert {near["what"] for near in answer["nearest"]} >= {"cheapest", "quickest"}
    shown = project.call("plan", "training.py", *RATES, "--budget", "1")
    assert shown.returncode == 1 and shown.stderr.startswith("impossible: the cheapest plan costs")
    nothing = asked(project, "plan", "training.py", *RATES, "--on", "process", status=1)
    assert "gpu='V100'" in nothing["without"]["train"]


def test_long_steps_are_kept_out_of_functions(project: Project) -> None:
    answer = asked(project, "plan", "training.py", *RATES, "--services", "function", status=1)
    assert "no offer of train, test is allowed" in answer["reason"]


def test_ones_own_machine_may_compete(project: Project) -> None:
    plan = asked(
        project, "plan", "training.py", *RATES, "--on", "process", "--on", "simulated", "--regions", "us-*",
        "--services", "batch", "--out", "plan.json",
    )  # fmt: skip
    load = plan["steps"][0]
    assert (load["offer"]["backend"], load["cost_usd_micro"]) == ("process", 0)
    assert plan["steps"][1]["offer"]["backend"] == "simulated"
    assert billed(project, "training.py", *RATES, "--plan", "plan.json") > 0


def test_steps_side_by_side_share_quotas(project: Project) -> None:
    """A machine and a container of 8 processors at once, no more: the third step waits for one of them."""
    pytest.importorskip("highspy")
    project.write("beside.py", BESIDE)
    project.write("skylift.toml", "[backends.simulated]\nmachine_vcpus = 12\ncontainer_vcpus = 8\n")
    plan = asked(project, "plan", "beside.py", "--x", "1", "--deadline", "3h", "--objective", "time", "--out", "p.json")
    assert 2 * 3600 <= plan["totals"]["time_s"] <= plan["totals"]["time_high_s"] < 2.2 * 3600
    (wait,) = plan["waits"]
    assert wait["quota"].startswith("processors of")
    assert plan["gap"] == 0
    assert any(limit["limit"] == "quotas" and "sooner" in limit["says"] for limit in plan["limits_cost"])
    done = asked(project, "run", "beside.py", "--x", "1", "--plan", "p.json", "--speed", "max", "--name", "beside")
    steps = asked(project, "show", "beside")["steps"]
    took = max(step["last_ms"] for step in steps) - min(step["first_ms"] for step in steps)
    assert done["status"] == "SUCCEEDED" and took <= plan["totals"]["time_high_s"] * 1000
    late = asked(project, "plan", "beside.py", "--x", "1", "--deadline", "100m", status=1)
    assert "within the quotas no plan keeps the deadline" in late["reason"] and "of 12 processors" in late["reason"]
    assert {near["what"] for near in late["nearest"]} == {
        "quickest found within the quotas",
        "cheapest within the quotas",
    }


def test_data_is_moved_at_a_price(project: Project) -> None:
    """A steady 500 GB out of us-east-1 at $0.02 a GB: what reads them stays there or pays."""
    near = asked(project, "plan", "steady.py", *RATES, "--data", "load=500G", "--data-at", "aws:us-east-1")
    assert near["steps"][0]["offer"]["region"] == "us-east-1"
    far = asked(
        project, "plan", "steady.py", *RATES, "--data", "load=500G", "--data-at", "aws:us-east-1", "--regions", "eu-*"
    )
    (moved,) = [part for part in far["steps"][0]["parts"] if part["what"] == "transfer"]
    assert moved["usd_micro"] == pytest.approx(500 * 2**30 / 1e9 * 0.02 * 1e6, rel=1e-6)


def test_moving_data_takes_time_too(project: Project) -> None:
    """500 GiB at 5 Gbit/s between regions are 859 s; over a line of 1 Gbit/s of one's own five times that."""
    size = 500 * 2**30
    given = ("--data", "load=500G", "--regions", "eu-*")
    near = asked(project, "plan", "steady.py", *RATES, *given)
    assert any("(--uplink)" in text for text in near["assumptions"])
    for options, seconds in (
        (("--data-at", "aws:us-east-1"), size * 8 / 5e9),
        (("--uplink", "1 Gbit/s"), size * 8 / 1e9),
    ):
        far = asked(project, "plan", "steady.py", *RATES, *given, *options, "--out", "plan.json")
        assert far["totals"]["time_s"] - near["totals"]["time_s"] == pytest.approx(seconds, abs=1)
        assert far["totals"]["time_high_s"] - near["totals"]["time_high_s"] == pytest.approx(seconds, abs=1)
        late = far["quote"]["time_ms"]["p10"] - near["quote"]["time_ms"]["p10"]
        assert late == pytest.approx(seconds * 1000, rel=0.1)
        again = asked(project, "quote", "steady.py", *RATES, "--data", "load=500G", "--plan", "plan.json")
        assert again["cost_usd_micro"] == far["quote"]["cost_usd_micro"]
        assert again["time_ms"] == far["quote"]["time_ms"]


def test_the_front_is_compared_by_the_time_at_the_confidence(project: Project) -> None:
    """Expected times of its plans need not be in order: what is shown first is what limits are held against."""
    given = ("plan", "training.py", *RATES, "--confidence", "0.995")
    plan = asked(project, *given)
    points = [(point["time_high_s"], point["cost_usd_micro"]) for point in plan["front"]]
    assert points == sorted(points, key=lambda point: (-point[0], point[1]))
    assert all(slow[0] > quick[0] and slow[1] < quick[1] for slow, quick in itertools.pairwise(points))
    shown = project.call(*given).stdout
    assert "compared by the time that is kept with 99.5%, the second column):" in shown
    assert "with 99.5%: each step" in shown, "not 100%"
    rows = shown.partition("the second column):\n")[2].partition("\n\n")[0].splitlines()
    assert len(rows) == len(points) and all(len(row.split("\t")) == 3 for row in rows)


def test_the_picture_of_the_front(project: Project) -> None:
    pytest.importorskip("matplotlib")
    done = project.call("plan", "steady.py", *RATES, "--plot", "front.svg")
    assert done.returncode == 0, done.stderr
    assert (project.folder / "front.svg").read_text().startswith("<?xml")
    drawn = (project.folder / "front.svg").read_text()
    assert "trials" in drawn and "time kept with 90%" in drawn and "expected times" in drawn


# The plan file -------------------------------------------------------------------------------------------------------


def test_a_plan_for_another_version_is_refused(project: Project) -> None:
    asked(project, "plan", "training.py", *RATES, "--out", "plan.json")
    project.write("training.py", TRAINING.replace('gpu="V100"', 'gpu="A100"'))
    done = project.call("run", "training.py", *RATES, "--plan", "plan.json", "--speed", "max")
    assert done.returncode == 2
    assert "plan.json was made for another version of trials: task train asks for something else now" in done.stderr
    project.write("training.py", TRAINING.replace("load(4)", "load(5)"))
    again = project.call("run", "training.py", *RATES, "--plan", "plan.json", "--speed", "max")
    assert again.returncode == 2 and "its graph has changed" in again.stderr


def test_a_plan_that_can_no_longer_be_bought_is_refused_before_anything_is_paid_for(project: Project) -> None:
    asked(project, "plan", "training.py", *RATES, "--out", "plan.json")
    project.write("skylift.toml", "[backends.simulated]\nmachine_vcpus = 4\n")
    for command in (("run", "--speed", "max"), ("quote",)):
        done = project.call(command[0], "training.py", *RATES, "--plan", "plan.json", *command[1:])
        assert done.returncode == 2
        assert "plan.json has batch p3.2xlarge" in done.stderr and "does not offer that now" in done.stderr
    assert asked(project, "runs")["runs"] == []


def test_an_edited_plan_is_refused(project: Project) -> None:
    asked(project, "plan", "training.py", *RATES, "--out", "plan.json")
    path = project.folder / "plan.json"
    path.write_text(path.read_text().replace("p3.2xlarge", "p3.8xlarge"))
    done = project.call("run", "training.py", *RATES, "--plan", "plan.json", "--speed", "max")
    assert done.returncode == 2 and "plan.json is not as it was written" in done.stderr


def test_machines_that_are_named_and_do_not_do_are_named(project: Project) -> None:
    answer = asked(project, "plan", "training.py", *RATES, "--types", "g4dn.*", status=1)
    assert "gpu='V100'" in answer["without"]["train"] and "--types g4dn.*" in answer["without"]["train"]


def test_another_input_is_told_of(project: Project) -> None:
    asked(project, "plan", "steady.py", *RATES, "--out", "plan.json")
    done = project.call("run", "steady.py", "--rates", "0.5", "--plan", "plan.json", "--speed", "max")
    assert done.returncode == 0 and "warning[PLAN]: plan.json was made for another input" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("plan", "training.py", *RATES, "--out", ""), "the name is empty"),
        (("quote", "training.py", *RATES, "--plan", ""), "the name is empty"),
        (("run", "training.py", *RATES, "--plan", ""), "the name is empty"),
        (("plan", "training.py", *RATES, "--deadline", "soon"), "--deadline='soon' is not a time"),
        (("plan", "training.py", *RATES, "--deadline=-2h"), "--deadline='-2h' is not a time"),
        (("plan", "training.py", *RATES, "--budget", "much"), "--budget='much' is no amount"),
        (("plan", "training.py", *RATES, "--budget=-5"), "--budget='-5' is no amount"),
        (("plan", "training.py", *RATES, "--regions", "us-eest-1"), "did you mean us-east-1?"),
        (("plan", "training.py", *RATES, "--types", "p3.2xlrge"), "did you mean p3.2xlarge?"),
        (("plan", "training.py", *RATES, "--markets", "spot"), "may not be taken away: load, test"),
        (("plan", "training.py", *RATES, "--work", "trian=1h"), "did you mean 'train'?"),
        (("plan", "training.py", *RATES, "--uplink", "quick"), "--uplink 'quick' is no speed of a line"),
        (("plan", "training.py", *RATES, "--uplink", "0 Mbit/s"), "--uplink '0 Mbit/s'"),
        (("plan", "training.py", *RATES, "--regions", ""), "--regions '': an empty name says nothing"),
        (("plan", "training.py", *RATES, "--clouds", "aws,"), "--clouds 'aws,': an empty name says nothing"),
        (("plan", "training.py", *RATES, "--confidence", "0.9999"), "is not a probability from 0.5 to 0.999"),
        (("plan", "training.py", *RATES, "--out", "no/plan.json"), "--out no/plan.json: there is no folder"),
        (("plan", "training.py", *RATES, "--work", "train@p3.2xlage=1h"), "did you mean p3.2xlarge?"),
        (("quote", "training.py", *RATES, "--work", "train@elephant=1h"), "there is no machine of that name"),
        (("plan", "training.py"), "rates is missing"),
        (("quote", "training.py", *RATES, "--on", "simulatd"), "did you mean simulated?"),
        (("quote", "training.py", *RATES, "--plan", "none.json"), "none.json cannot be read"),
        (("quote", "training.py", *RATES, "--width", "x=2"), "--width 'x'"),
        (("run", "training.py", *RATES, "--plan", "training.py"), "training.py is no plan"),
        (("run", "training.py", *RATES, "--plan", "p.json", "--on", "simulated"), "both say where steps go"),
    ],
)
def test_bad_input_has_a_clear_answer(project: Project, arguments: tuple[str, ...], says: str) -> None:
    done = project.call(*arguments)
    assert done.returncode == 2 and says in done.stderr, done.stderr


def test_a_server_is_not_quoted(project: Project) -> None:
    done = project.call("quote", "training.py", *RATES, env={"SKYLIFT_URL": "http://127.0.0.1:9"})
    assert done.returncode == 2 and "runs where it is told to" in done.stderr


def test_functions_of_a_document_are_quoted_and_bound(project: Project) -> None:
    project.write("handlers.py", "def greet(event, context):\n    return event\n")
    project.write("skylift.toml", '[functions.greet]\nhandler = "handlers:greet"\nmemory = "256 MiB"\n')
    arn = "arn:aws:lambda:us-east-1:123456789012:function:greet"
    invoke = {"FunctionName": "greet", "Payload": {"n": 1}}
    states = {
        "A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": invoke, "Next": "B"},
        "B": {"Type": "Task", "Resource": arn, "Next": "C"},
        "C": {"Type": "Wait", "Seconds": 5, "End": True},
    }
    project.write("doc.json", json.dumps({"StartAt": "A", "QueryLanguage": "JSONata", "States": states}))
    said = ("--work", "A=2s", "--work", "B=1s")
    quote = asked(project, "quote", "doc.json", "--on", "simulated", *said)
    assert [step["task"] for step in quote["steps"]] == ["greet", arn]
    assert quote["time_ms"]["expected"] == pytest.approx(8_230, abs=60)
    asked(project, "plan", "doc.json", *said, "--services", "container", "--out", "plan.json")
    asked(project, "run", "doc.json", "--plan", "plan.json", "--speed", "max", "--name", "planned")
    ledger = asked(project, "ledger", "planned")
    assert [line["places"] for line in ledger["lines"]] == [["container fargate on-demand"]] * 2
