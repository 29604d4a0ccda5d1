"""What advice must keep to whatever is answered: more requests never help functions, more sensitivity never loosens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skylift.advice.advise import advise
from skylift.advice.constraints import tighter
from skylift.advice.questions import put, questions
from skylift.advice.reading import ProjectInvalid, to_project
from skylift.advice.report import Ranked, Report
from skylift.pricing.catalogue import catalogue

AMOUNTS = {
    "data.size": ["5 GB", "300 GB", "3 TB", "80 TB"],
    "data.changes_per_month": ["1 GB", "40 TB"],
    "data.results_per_month": ["1 GB", "20 TB"],
    "budget.per_month": ["0", "200 USD", "5000 USD"],
    "budget.upfront": ["0", "5000 USD", "200000 USD"],
    "budget.lasts": ["3 months", "4 years"],
    "hardware.longest_step": ["1 min", "30 min", "20 h"],
    "hardware.price": ["3000 USD", "150000 USD"],
    "hardware.running_per_month": ["20 USD", "2000 USD"],
    "hardware.lifetime": ["2 years", "5 years"],
    "hardware.lead_time": ["1 week", "3 months"],
    "hardware.needed_in": ["1 day", "6 months"],
    "networking.speed": ["20 Mbit/s", "10 Gbit/s"],
    "reliability.recovery_time": ["5 min", "2 days"],
    "requests.latency": ["100 ms", "30 s", "2 h"],
    "requests.size": ["10 KB", "20 MB"],
    "requests.duration": ["50 ms", "2 s", "3 min"],
    "requests.memory": ["512 MiB", "3 GiB", "12 GiB"],
    "requests.instance_duration": ["20 ms", "1 s"],
}
OTHERS: dict[str, list[Any]] = {
    "region": ["us-east-1", "eu-west-1"],
    "hardware.gpu": ["none", "V100", "A100"],
    "hardware.gpus": [0, 1, 8],
    "hardware.machine": ["c5.xlarge", "p3.8xlarge"],
    "hardware.hours_per_month": [5, 120, 500, 720],
    "hardware.machines_at_once": [1, 20],
    "requests.peak_per_second": [1, 5000],
    "requests.per_month": [1000, 2_000_000, 40_000_000],
    "requests.instance": ["c5a.large"],
}
SENSITIVITIES = ["personal", "hipaa", "pci", "secret", "export-controlled"]


def values(path: str, kind: str, choices: tuple[str, ...]) -> st.SearchStrategy[Any]:
    if kind == "choices":
        return st.lists(st.sampled_from([one for one in choices if one != "none"]), max_size=2, unique=True)
    if kind == "choice":
        return st.sampled_from(["aws"] if path == "cloud" else choices)
    if kind == "yes or no":
        return st.booleans()
    return st.sampled_from(AMOUNTS.get(path) or OTHERS[path])


@st.composite
def projects(draw: st.DrawFn) -> dict[str, Any]:
    """Some answers, the others left open."""
    answers: dict[str, Any] = {"project": "any"}
    for one in questions():
        if one.path in ("project", "description") or not draw(st.booleans()):
            continue
        section, _, field = one.path.partition(".")
        value = draw(values(one.path, one.kind, one.choices))
        if field:
            answers.setdefault(section, {})[field] = value
        else:
            answers[section] = value
    return answers


def report(answers: dict[str, Any]) -> Report | None:
    """None for answers that contradict each other."""
    try:
        return advise(to_project(answers, {}, "answers"), catalogue())
    except ProjectInvalid:
        return None


def place(found: Report, id: str) -> int:
    return next(number for number, one in enumerate(found.ranking) if one.option.id == id)


def ranked(found: Report, id: str) -> Ranked:
    return next(one for one in found.ranking if one.option.id == id)


@settings(max_examples=100, deadline=None)
@given(projects(), st.integers(1, 10**8), st.integers(0, 10**9))
def test_more_requests_never_help_functions(answers: dict[str, Any], few: int, more: int) -> None:
    requests = {name: value for name, value in answers.get("requests", {}).items() if name != "peak_per_second"}
    answers["purpose"] = sorted({*answers.get("purpose", ()), "inference"})
    before = report({**answers, "requests": {**requests, "per_month": few}})
    after = report({**answers, "requests": {**requests, "per_month": few + more}})
    assume(before is not None and after is not None)
    assert before is not None
    assert after is not None
    assert place(after, "functions") >= place(before, "functions")
    assert ranked(after, "functions").score <= ranked(before, "functions").score


@settings(max_examples=100, deadline=None)
@given(
    projects(),
    st.one_of(
        st.tuples(st.just("requests.per_month"), st.integers(10_000_001, 10**10)),
        st.sampled_from(
            [
                ("requests.latency", "200 ms"),
                ("requests.duration", "2 min"),
                ("data.size", "3 TB"),
                ("hardware.gpu", "V100"),
            ]
        ),
    ),
)
def test_for_many_quick_large_or_heavy_requests_functions_are_not_the_answer(
    answers: dict[str, Any], one: tuple[str, Any]
) -> None:
    answers["purpose"] = sorted({*answers.get("purpose", ()), "inference"})
    put(answers, *one)
    found = report(answers)
    assume(found is not None)
    assert found is not None
    assert found.recommended != "functions"


@settings(max_examples=100, deadline=None)
@given(projects(), st.sets(st.sampled_from(SENSITIVITIES), min_size=1), st.sets(st.sampled_from(SENSITIVITIES)))
def test_more_sensitivity_never_loosens_constraints(answers: dict[str, Any], some: set[str], more: set[str]) -> None:
    data = answers.pop("data", {})
    for held in ([], sorted(some)):
        before = report({**answers, "data": {**data, "sensitivity": held}})
        after = report({**answers, "data": {**data, "sensitivity": sorted({*held, *some, *more})}})
        assume(before is not None and after is not None)
        assert before is not None
        assert after is not None
        assert tighter(after.constraints, before.constraints)
        out = {one.option.id for one in before.ranking if one.out}
        assert out <= {one.option.id for one in after.ranking if one.out}


@settings(max_examples=60, deadline=None)
@given(projects())
def test_a_score_is_the_sum_of_its_reasons_and_every_reason_has_answers(answers: dict[str, Any]) -> None:
    found = report(answers)
    assume(found is not None)
    assert found is not None
    for one in found.ranking:
        assert one.score == sum(reason.weight for reason in one.reasons)
        assert all(set(reason.answers) <= set(found.answers) and reason.answers for reason in one.reasons)
    assert not set(found.answers) & {one.path for one in found.questions}


@settings(max_examples=60, deadline=None)
@given(projects())
def test_a_question_that_cannot_matter_does_not(answers: dict[str, Any]) -> None:
    """Whatever is answered to what is not marked leaves the recommendation as it is."""
    found = report(answers)
    assume(found is not None)
    assert found is not None
    quiet = [one.path for one in found.questions if one.path is not None and not one.matters]
    for asked in questions():
        if asked.path not in quiet or asked.kind not in ("choice", "yes or no") or asked.path == "cloud":
            continue
        section, _, field = asked.path.partition(".")
        for value in (*asked.choices, *((True, False) if asked.kind == "yes or no" else ())):
            other = report({**answers, section: {**answers.get(section, {}), field: value}})
            if other is not None and found.recommended is not None:
                assert other.recommended == found.recommended, (asked.path, value)


@pytest.mark.parametrize("answers", [{"project": "x"}, {"project": "x", "data": {"size": "1 GB"}}])
def test_of_nearly_nothing_nothing_is_recommended(answers: dict[str, Any]) -> None:
    found = report(answers)
    assert found is not None
    assert found.recommended is None
    assert "Too little" in found.verdict
