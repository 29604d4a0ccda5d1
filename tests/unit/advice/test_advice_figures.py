"""Figures are what their formulas say: break-evens and transfers by hand, the published ones by the table."""

from __future__ import annotations

import ast
import csv
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from skylift.advice import breakeven, published, transfer
from skylift.advice.book import Book
from skylift.advice.figures import Figure, Input, Lack, figure, show
from skylift.advice.places import place_of
from skylift.advice.questions import put
from skylift.advice.reading import ProjectInvalid, to_project
from skylift.pricing.catalogue import catalogue

CHECKS = Path(__file__).parents[4] / "shared" / "data" / "seed_checks.csv"
SERVED = {
    "purpose": ["inference"],
    "region": "us-east-1",
    "requests.per_month": 3_097_207,
    "requests.memory": "3 GB",
    "requests.duration": "338 ms",
    "requests.instance": "c5a.large",
    "requests.instance_duration": "177 ms",
}
BOUGHT = {
    "region": "us-east-1",
    "hardware.machine": "p3.8xlarge",
    "hardware.hours_per_month": 90,
    "hardware.price": "45000 USD",
    "hardware.running_per_month": "450 USD",
    "hardware.lifetime": "4 years",
}


def figures(given: dict[str, Any]) -> dict[str, Figure]:
    answers: dict[str, Any] = {"project": "a case"}
    for path, value in given.items():
        put(answers, path, value)
    project = to_project(answers, {}, "case")
    book = Book(project, catalogue(), place_of(project, catalogue()))
    return {one.id: one for one in (*breakeven.figures(book), *transfer.figures(book))}


def value(found: dict[str, Figure], id: str) -> Fraction:
    one = found[id].value
    assert one is not None, found[id].note
    return one


def test_the_published_break_even_falls_out() -> None:
    found = {one.id: one for one in published.figures(catalogue())}
    stated = value(found, "published-break-even")
    assert stated == Fraction("55.44") / Fraction("0.0000179")
    assert found["published-break-even"].shown == "3,097,207 predictions"
    assert value(found, "published-request") == Fraction("0.00001710338")
    assert value(found, "published-break-even-derived") == Fraction("55.44") / Fraction("0.00001710338")
    assert found["published-break-even-derived"].shown == "3,241,465 predictions"
    assert "does not hold" in found["published-request"].note
    seconds = (Fraction("0.0000179") - Fraction("0.0000002")) / (3 * Fraction("0.00001667"))
    assert f"{float(seconds):.3f} s" in found["published-request"].note
    above = value(found, "published-break-even-derived") / Fraction(3_097_207) - 1
    assert f"{float(above) * 100:.1f} %" in found["published-break-even-derived"].note


def test_the_published_figures_are_those_of_the_table() -> None:
    if not CHECKS.exists():
        pytest.skip(f"the table of published claims is not here: {CHECKS}")
    with CHECKS.open(encoding="utf-8", newline="") as file:
        rows = {row["claim"]: row["value"] for row in csv.DictReader(file)}
    found = {one.id: one for one in published.figures(catalogue())}
    for claim, id in (
        ("Lambda break-even predictions/month", "published-break-even"),
        ("... with the derived 17.1e-6", "published-break-even-derived"),
        ("... with the request fee", "published-request"),
        ("one c5a.large can do, predictions/month", "published-capacity"),
    ):
        assert float(value(found, id)) == pytest.approx(float(rows[claim]), rel=2e-6)  # the table has six digits


def test_a_function_and_an_instance_cost_the_same_at_their_break_even() -> None:
    found = figures(SERVED)
    each = 3 * Fraction("0.338") * Fraction("0.0000166667") + Fraction("0.2") / 10**6
    assert value(found, "function-request") == each
    assert value(found, "instance-month") == Fraction("0.077") * 730
    even = value(found, "function-break-even")
    assert even * each == value(found, "instance-month")
    assert value(found, "instance-capacity") == Fraction(730 * 3600) / Fraction("0.177")
    assert value(found, "instances-needed") == 1
    assert value(found, "functions-month") == 3_097_207 * each
    peak = figures({**SERVED, "requests.peak_per_second": 90})
    assert value(peak, "instances-needed") == 16  # 90 x 0.177 = 15.93
    assert value(peak, "instances-month") == 16 * Fraction("0.077") * 730


def test_buying_and_renting_have_cost_the_same_when_it_has_paid_back() -> None:
    found = figures(BOUGHT)
    rent = Fraction("12.24") * 90
    assert value(found, "renting-month") == rent
    months = value(found, "buying-payback")
    assert 45_000 + months * 450 == months * rent
    assert value(found, "owning-month") == Fraction(45_000, 48) + 450
    assert value(found, "buying-hours") * Fraction("12.24") == value(found, "owning-month")
    assert value(found, "buying-share") == value(found, "owning-month") / rent


def test_reserved_machines_are_paid_whether_used_or_not() -> None:
    found = figures({**BOUGHT, "hardware.machine": "p2.xlarge"})["reserved-month"]
    price = catalogue().machine_price("batch", "p2.xlarge", "us-east-1", "reserved")
    assert price is not None
    assert found.value == Fraction(price.usd_per_hour) * 730
    assert price.term is not None
    assert price.term in found.inputs[0].source
    assert price.as_of in found.inputs[0].source


def test_a_function_is_billed_by_its_sizes_its_increments_and_its_processor() -> None:
    given = {**SERVED, "cloud": "gcp", "region": "us-central1", "requests.instance": "e2-medium"}
    found = figures(given)["function-request"]
    # 3 GB are sold as 4 with 4.8 GHz, 338 ms as 400
    assert found.value == 4 * Fraction("0.4") * Fraction("0.0000025") + Fraction("4.8") * Fraction("0.4") / 10**5 + (
        Fraction("0.4") / 10**6
    )
    sources = {one.name: one.source for one in found.inputs}
    assert "answer requests.memory, 3 GB, billed by the sizes" in sources["memory"]
    assert "billed by 100 ms begun" in sources["duration"]
    assert "processor that comes with the memory" in sources["clock"]


def test_what_never_pays_back_says_so() -> None:
    dear = figures({**BOUGHT, "hardware.running_per_month": "1101.60 USD"})["buying-payback"]
    dearer = figures({**BOUGHT, "hardware.running_per_month": "2000 USD"})["buying-payback"]
    for one in (dear, dearer):
        assert one.value is None
        assert one.note.startswith("never: ")


def test_a_machine_is_used_no_longer_than_the_work_goes_on() -> None:
    short = figures({**BOUGHT, "budget.lasts": "1 year"})
    assert value(short, "owning-month") == Fraction(45_000, 12) + 450
    unsaid = figures({path: given for path, given in BOUGHT.items() if path != "hardware.lifetime"})
    assert value(unsaid, "owning-month") == Fraction(45_000, 36) + 450
    assert any(one.source.startswith("assumption: three years") for one in unsaid["owning-month"].inputs)


def test_staying_and_coming_machines_cost_the_same_at_their_break_even() -> None:
    found = figures(BOUGHT)
    small, hour = Fraction("0.0416") * 730, Fraction("12.24")
    assert value(found, "persistent-month") == hour * 730
    assert value(found, "ephemeral-month") == hour * 90 * Fraction("1.1") + small
    hours = value(found, "ephemeral-hours")
    assert hour * hours * Fraction("1.1") + small == value(found, "persistent-month")
    assert value(found, "ephemeral-spot-month") == Fraction("3.672") * 90 * Fraction("1.1") + small


def test_machines_for_gpus_are_the_cheapest_that_have_them() -> None:
    found = figures({"region": "us-east-1", "hardware.gpu": "v100", "hardware.gpus": 4, "hardware.hours_per_month": 10})
    rent = found["renting-month"]
    named = {one.name: one for one in rent.inputs}
    each = {"p3.2xlarge": (4, "3.06"), "p3.8xlarge": (1, "12.24"), "p3.16xlarge": (1, "24.48")}
    assert rent.value == min(count * Fraction(usd) for count, usd in each.values()) * 10
    assert "the cheapest in us-east-1" in named["machines"].source
    assert rent.answers == ("hardware.gpu", "hardware.gpus", "hardware.hours_per_month")


def test_gpus_that_are_added_to_a_host_are_rented_with_one() -> None:
    given = {"cloud": "gcp", "region": "us-central1", "hardware.gpu": "V100", "hardware.gpus": 2}
    found = figures({**given, "hardware.hours_per_month": 10})
    hour = {one.name: one for one in found["renting-month"].inputs}["hour"]
    # n1-standard-1 at 0.0475 and a V100 at 2.48, twice; or one host with two of them, which is a little cheaper
    assert hour.value == Fraction("0.0475") + 2 * Fraction("2.48")
    assert "n1-standard-1+2xV100" in hour.source
    assert "discount for sustained use: 30 % less in a month" in found["persistent-month"].note


@pytest.mark.parametrize(
    ("given", "id", "says"),
    [
        ({"hardware.machine": "p3.8xlarg"}, "persistent-month", "did you mean p3.8xlarge?"),
        ({"hardware.gpu": "V1000", "hardware.gpus": 1}, "persistent-month", "did you mean V100?"),
        ({"hardware.machine": "p5.48xlarge", "region": "eu-west-3"}, "persistent-month", "no price of p5.48xlarge"),
        ({"data.size": "1 TB", "region": "eu-central-1"}, "storage-month", "the nearest there is: "),
        ({"data.size": "1 TB", "cloud": "lambda"}, "egress-all", "no price of transfer internet of lambda"),
        ({"cloud": "lambda"}, "ephemeral-month", "no small machine of lambda"),
        (
            {**SERVED, "requests.memory": "12 GiB"},
            "function-break-even",
            "no function of aws has 12 GiB: at most 10 GiB",
        ),
        ({**SERVED, "requests.duration": "20 min"}, "function-request", "runs for 1,200 s: at most 900 s"),
        ({"data.size": "60 TB", "region": "us-east-1"}, "storage-month", "beyond 51,200 GB a month in us-east-1"),
        ({"data.size": "200 TB", "region": "us-east-1"}, "egress-all", "no price of transfer internet beyond 153,600"),
        ({}, "transfer-time", "not answered: data.size, networking.speed"),
        ({**BOUGHT, "hardware.hours_per_month": 0}, "buying-share", "nothing to divide by"),
        ({"hardware.gpu": "a6000", "hardware.gpus": 1}, "persistent-month", "lambda has it"),
    ],
)
def test_what_is_lacking_is_said(given: dict[str, Any], id: str, says: str) -> None:
    one = figures(given)[id]
    assert one.value is None
    assert one.shown == "not known"
    assert says in one.note


def test_the_data_takes_its_time() -> None:
    found = figures({"data.size": "10 TB", "networking.speed": "1 Gbit/s", "region": "us-east-1"})
    assert value(found, "transfer-time") == Fraction(10_000 * 8 * 10**9) / (10**9 * Fraction("0.8") * 3600)
    assert value(found, "storage-month") == 10_000 * Fraction("0.023")
    binary = figures({"data.size": "10 TiB", "networking.speed": "125 MB/s"})
    assert value(binary, "transfer-time") == value(found, "transfer-time") * Fraction(2**40, 10**12)


@pytest.mark.parametrize(
    ("amount", "usd"),
    [
        ("0 GB", "0"),
        ("1 GB", "0.09"),
        ("10240 GB", "921.6"),
        ("10241 GB", "921.685"),
        ("60000 GB", str(10_240 * Decimal("0.09") + 40_960 * Decimal("0.085") + 8_800 * Decimal("0.07"))),
    ],
)
def test_egress_goes_by_tiers(amount: str, usd: str) -> None:
    found = figures({"data.results_per_month": amount, "region": "us-east-1"})
    assert value(found, "egress-month") == Fraction(usd)


def test_every_formula_gives_its_value_to_anyone_who_works_it_out() -> None:
    """The words that are printed, read as sums by another reader than ours."""
    found = [*figures({**SERVED, **BOUGHT, "data.size": "60 TB", "networking.speed": "1 Gbit/s"}).values()]
    checked = 0
    for one in (*found, *published.figures(catalogue())):
        if one.value is None:
            continue
        names = sorted((each.name for each in one.inputs), key=len, reverse=True)
        text = one.formula.replace(" x ", " * ")
        for name in names:
            text = text.replace(name.replace("_", " "), name)
        held = {each.name: float(each.value) for each in one.inputs}
        tree = ast.parse(text, mode="eval")
        assert {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {"max", "ceil"} <= set(held)
        from math import ceil

        worked = eval(compile(tree, "formula", "eval"), {"__builtins__": {}}, {**held, "max": max, "ceil": ceil})  # noqa: S307 - our own words
        assert worked == pytest.approx(float(one.value)), one.id
        checked += 1
    assert checked > 20


def test_formulas_keep_their_brackets() -> None:
    inputs = [Input(name=name, value=Fraction(at), unit="", source="") for at, name in enumerate("abcd", start=2)]
    one = figure("x", "x", "x", "", "a / (b * c) - (a - (b - d)) / c", *inputs)
    assert one.formula == "a / (b x c) - (a - (b - d)) / c"
    assert one.working == "2 / (3 x 4) - (2 - (3 - 5)) / 4"
    assert one.value == Fraction(1, 6) - 1


def test_a_lacking_input_names_every_answer_that_it_needs() -> None:
    one = figure("x", "x", "x", "", "a + b", Lack(needs=("p", "q")), Lack(needs=("q",), why="no price of it"))
    assert one.needs == ("p", "q")
    assert one.note == "not answered: p, q; no price of it"


@pytest.mark.parametrize(
    ("number", "unit", "shown"),
    [
        ("0.0000179", "USD", "$0.0000179"),
        ("55.44", "USD a month", "$55.44 a month"),
        ("393.896", "USD a month", "$393.90 a month"),
        ("1234567.891", "USD", "$1,234,567.89"),
        ("0.5", "USD/h", "$0.50/h"),
        ("1", "instances", "1 instance"),
        ("2", "instances", "2 instances"),
        ("21.9576", "USD/h", "$21.9576/h"),
        ("0", "USD", "$0"),
        ("-3", "USD", "-$3"),
        ("3097206.7039", "predictions", "3,097,207 predictions"),
        ("0.211", "share", "21.1 %"),
        ("0.15210812", "ratio", "0.152"),
        ("0.999999999", "h", "1 h"),
        ("-3.4", "h", "-3.4 h"),
        ("2000000000000", "bit/s", "2,000,000,000,000 bit/s"),
    ],
)
def test_numbers_are_shown_with_the_digits_that_count(number: str, unit: str, shown: str) -> None:
    assert show(Fraction(number), unit) == shown


def test_a_region_without_prices_is_refused() -> None:
    with pytest.raises(ProjectInvalid, match="region is 'moon-1'") as refused:
        figures({"region": "moon-1"})
    assert "us-* (6)" in str(refused.value.hint)
    with pytest.raises(ProjectInvalid) as refused:
        figures({"region": "US-EAST-1"})
    assert "did you mean us-east-1" in str(refused.value.hint)


def test_prices_are_looked_up_where_the_data_may_lie() -> None:
    project = to_project({"project": "x", "data": {"residency": ["gdpr"]}}, {}, "case")
    found = place_of(project, catalogue())
    assert found.region == "eu-central-1"
    assert found.assumed == (
        "prices are those of aws: no provider was named (cloud)",
        "prices are those of eu-central-1: no region was named (region)",
    )
