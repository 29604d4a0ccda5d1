"""Every rule, with answers that make it hold and one that turns it; every pair of answers that cannot both be true."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.advice import breakeven, transfer
from skylift.advice.advise import advise
from skylift.advice.book import Book
from skylift.advice.conditions import ConditionInvalid, evaluate, factors
from skylift.advice.facts import DERIVED, Facts, facts
from skylift.advice.options import options, services
from skylift.advice.places import laws, place_of
from skylift.advice.questions import put, question
from skylift.advice.reading import ProjectInvalid, to_project
from skylift.advice.rules import apply, contradictions, excluded, rules, weights
from skylift.pricing.catalogue import catalogue

SERVED = {
    "purpose": ["inference"],
    "requests.memory": "3 GiB",
    "requests.duration": "338 ms",
    "requests.instance": "c5a.large",
}
RENTED = {"hardware.machine": "p3.8xlarge", "hardware.hours_per_month": 100}
BOUGHT = {**RENTED, "hardware.price": "45000 USD", "hardware.running_per_month": "450 USD"}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cloud-forbidden": ({"organisation.cloud": "forbidden"}, {"organisation.cloud": "allowed"}),
    "cloud-undecided": ({"organisation.cloud": "undecided"}, {"organisation.cloud": "allowed"}),
    "cloud-encouraged": ({"organisation.cloud": "encouraged"}, {"organisation.cloud": "allowed"}),
    "no-cloud-skills": ({"organisation.skills": "none"}, {"organisation.skills": "some"}),
    "strong-cloud-skills": ({"organisation.skills": "strong"}, {"organisation.skills": "some"}),
    "nobody-for-machines": ({"organisation.operations": "nobody"}, {"organisation.operations": "shared"}),
    "team-for-machines": ({"organisation.operations": "team"}, {"organisation.operations": "shared"}),
    "hipaa-without-agreement": ({"data.sensitivity": ["hipaa"]}, {"security.compliance": ["hipaa-baa"]}),
    "hipaa-network": ({"data.sensitivity": ["hipaa"]}, {"data.sensitivity": ["personal"]}),
    "pci-without-certificate": ({"data.sensitivity": ["pci"]}, {"security.compliance": ["pci-dss"]}),
    "sensitive-not-cleared": ({"data.sensitivity": ["secret"]}, {"security.cleared": True}),
    "secret-network": ({"data.sensitivity": ["secret"]}, {"data.sensitivity": ["personal"]}),
    "export-controlled": ({"data.sensitivity": ["export-controlled"]}, {"data.sensitivity": ["secret"]}),
    "residency": ({"data.residency": ["uk"]}, {"data.residency": ["none"]}),
    "gdpr-without-agreement": (
        {"data.sensitivity": ["personal"], "data.residency": ["gdpr"]},
        {"security.compliance": ["gdpr-dpa"]},
    ),
    "gdpr-few-gpu-clouds": ({"data.residency": ["gdpr"]}, {"data.residency": ["us"]}),
    "could-be-anonymised": (
        {"data.sensitivity": ["personal"], "data.anonymised": "possible"},
        {"data.anonymised": "impossible"},
    ),
    "data-in-the-cloud": ({"data.location": "aws"}, {"data.location": "on-premises"}),
    "long-transfer": (
        {"data.size": "80 TB", "networking.speed": "1 Gbit/s", "data.location": "on-premises"},
        {"networking.speed": "10 Gbit/s"},
    ),
    "much-data-at-home": ({"data.size": "11 TB", "data.location": "on-premises"}, {"data.size": "10 TB"}),
    "more-than-one-machine-holds": ({"data.size": "2.1 TB"}, {"data.size": "2 TB"}),
    "much-data-for-functions": ({"data.size": "1001 GB"}, {"data.size": "1 TB"}),
    "large-requests": ({"requests.size": "7 MB"}, {"requests.size": "6 MB"}),
    "reached-from-outside": ({"data.access": "partners"}, {"data.access": "team"}),
    "dear-egress": (
        {"data.results_per_month": "10 TB", "budget.per_month": "800 USD", "region": "us-east-1"},
        {"budget.per_month": "900 USD"},
    ),
    "line-full-of-new-data": (
        {"data.changes_per_month": "200 TB", "networking.speed": "1 Gbit/s", "data.location": "on-premises"},
        {"data.changes_per_month": "100 TB"},
    ),
    "shared-keys": ({"security.identity": "shared-keys"}, {"security.identity": "accounts"}),
    "single-sign-on": ({"security.identity": "single-sign-on"}, {"security.identity": "accounts"}),
    "scans": ({"security.scans": True}, {"security.scans": False}),
    "private-network": ({"security.private_network": True}, {"security.private_network": False}),
    "rent-over-budget": ({**RENTED, "budget.per_month": "1000 USD"}, {"budget.per_month": "1300 USD"}),
    "too-dear-to-buy": (
        {"hardware.price": "45000 USD", "budget.upfront": "9000 USD"},
        {"hardware.owned": "enough"},
    ),
    "none-owned-nothing-to-spend": ({"hardware.owned": "none", "budget.upfront": 0}, {"budget.upfront": 10}),
    "short-project": ({"budget.lasts": "3 months", "hardware.owned": "none"}, {"budget.lasts": "1 year"}),
    "owned-enough": ({"hardware.owned": "enough"}, {"hardware.owned": "some"}),
    "owned-some": ({"hardware.owned": "some"}, {"hardware.owned": "none"}),
    "nothing-owned": ({"hardware.owned": "none"}, {"hardware.owned": "some"}),
    "no-gpu-at-home": ({"hardware.gpu": "V100", "hardware.owned": "none"}, {"hardware.owned": "some"}),
    "buying-wins": ({**BOUGHT, "hardware.hours_per_month": 400}, {"hardware.hours_per_month": 100}),
    "renting-wins": ({**BOUGHT, "hardware.hours_per_month": 100}, {"hardware.hours_per_month": 400}),
    "steady-use": ({"hardware.use": "steady"}, {"hardware.use": "bursts"}),
    "bursts": ({"hardware.use": "bursts"}, {"hardware.use": "steady"}),
    "few-hours": ({"hardware.hours_per_month": 149}, {"hardware.hours_per_month": 150}),
    "wide-bursts": ({"hardware.machines_at_once": 9}, {"hardware.machines_at_once": 8}),
    "delivered-too-late": (
        {"hardware.lead_time": "8 weeks", "hardware.needed_in": "2 weeks"},
        {"hardware.needed_in": "8 weeks"},
    ),
    "gpu-needed": ({"hardware.gpu": "V100"}, {"hardware.gpu": "none"}),
    "no-gpu-needed": ({"hardware.gpu": "none"}, {"hardware.gpu": "V100"}),
    "too-long-for-functions": ({"hardware.longest_step": "16 min"}, {"hardware.longest_step": "15 min"}),
    "can-go-on": ({"hardware.checkpoints": True, "purpose": ["training"]}, {"hardware.checkpoints": False}),
    "cannot-go-on": (
        {"hardware.checkpoints": False, "hardware.longest_step": "2 h"},
        {"hardware.longest_step": "1 h"},
    ),
    "fits-one-machine": (
        {"data.size": "3 GB", "hardware.hours_per_month": 6, "hardware.gpu": "none"},
        {"hardware.machines_at_once": 2},
    ),
    "direct-connection": ({"networking.direct_connection": True}, {"networking.direct_connection": False}),
    "public-service": ({"networking.exposure": "public"}, {"networking.exposure": "partners"}),
    "internal-service": ({"networking.exposure": "internal"}, {"networking.exposure": "partners"}),
    "services-save-time": ({"services.time_saved": "much"}, {"services.time_saved": "some"}),
    "services-save-nothing": ({"services.time_saved": "none"}, {"services.time_saved": "some"}),
    "lock-in-refused": ({"services.lock_in": "refused"}, {"services.lock_in": "accepted"}),
    "lock-in-with-way-out": ({"services.lock_in": "way-out"}, {"services.lock_in": "accepted"}),
    "must-not-stand-still": ({"reliability.importance": "high"}, {"reliability.importance": "medium"}),
    "quick-recovery": (
        {"reliability.importance": "high", "reliability.recovery_time": "15 min"},
        {"reliability.recovery_time": "16 min"},
    ),
    "nobody-at-night": (
        {"reliability.support": "nobody", "reliability.importance": "medium"},
        {"reliability.importance": "low"},
    ),
    "provider-at-night": ({"reliability.support": "provider"}, {"reliability.support": "team"}),
    "very-many-requests": (
        {"purpose": ["inference"], "requests.per_month": 10_000_001},
        {"requests.per_month": 10_000_000},
    ),
    "few-requests": (
        {"purpose": ["inference"], "requests.per_month": 1_000_000},
        {"requests.per_month": 1_000_001},
    ),
    "above-break-even": ({**SERVED, "requests.per_month": 3_300_000}, {"requests.per_month": 3_200_000}),
    "below-break-even": ({**SERVED, "requests.per_month": 3_200_000}, {"requests.per_month": 3_300_000}),
    "peaks": (
        {"purpose": ["inference"], "requests.per_month": 2_628_000, "requests.peak_per_second": 21},
        {"requests.peak_per_second": 20},
    ),
    "real-time": ({"requests.latency": "1 s"}, {"requests.latency": "1.1 s"}),
    "answers-can-wait": ({"requests.latency": "11 min"}, {"requests.latency": "10 min"}),
    "slower-than-answer": ({"requests.duration": "3 s", "requests.latency": "2 s"}, {"requests.latency": "3 s"}),
    "instance-slower-than-answer": (
        {"requests.instance": "c5a.large", "requests.instance_duration": "3 s", "requests.latency": "2 s"},
        {"requests.latency": "3 s"},
    ),
    "heavy-requests": ({"requests.duration": "61 s"}, {"requests.duration": "1 min"}),
    "large-for-functions": ({"requests.memory": "11 GiB"}, {"requests.memory": "10 GiB"}),
    "place-to-develop": ({"purpose": ["development"]}, {"purpose": ["training"]}),
    "training": ({"purpose": ["training"]}, {"purpose": ["development"]}),
}
CONTRADICTIONS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str]]] = {
    "none-and-sensitive": (
        {"data.sensitivity": ["none", "hipaa"]},
        {"data.sensitivity": ["hipaa"]},
        ("none", "hipaa"),
    ),
    "none-and-residency": ({"data.residency": ["none", "uk"]}, {"data.residency": ["uk"]}, ("none", "uk")),
    "none-and-compliance": (
        {"security.compliance": ["none", "soc2"]},
        {"security.compliance": ["soc2"]},
        ("none", "soc2"),
    ),
    "gpus-of-none": (
        {"hardware.gpu": "none", "hardware.gpus": 2},
        {"hardware.gpus": 0},
        ("hardware.gpu is none", "hardware.gpus is 2"),
    ),
    "gpu-of-which-there-are-none": (
        {"hardware.gpu": "V100", "hardware.gpus": 0},
        {"hardware.gpus": 1},
        ("hardware.gpu is V100", "hardware.gpus is 0"),
    ),
    "steady-but-idle": (
        {"hardware.use": "steady", "hardware.hours_per_month": 20},
        {"hardware.hours_per_month": 73},
        ("hardware.use is steady", "hardware.hours_per_month is 20"),
    ),
    "bursts-without-end": (
        {"hardware.use": "bursts", "hardware.hours_per_month": 730},
        {"hardware.hours_per_month": 700},
        ("hardware.use is bursts", "hardware.hours_per_month is 730"),
    ),
    "peak-below-average": (
        {"purpose": ["inference"], "requests.per_month": 26_280_000, "requests.peak_per_second": 9},
        {"requests.peak_per_second": 10},
        ("requests.peak_per_second is 9", "requests.per_month is 26,280,000, 10 a second"),
    ),
    "inference-of-nothing": (
        {"purpose": ["inference"], "requests.per_month": 0},
        {"requests.per_month": 1},
        ("purpose is inference", "requests.per_month is 0"),
    ),
    "requests-to-nothing": (
        {"purpose": ["training"], "requests.per_month": 5},
        {"purpose": ["training", "inference"]},
        ("purpose is training", "requests.per_month is 5"),
    ),
    "forbidden-and-there": (
        {"organisation.cloud": "forbidden", "data.location": "gcp"},
        {"data.location": "on-premises"},
        ("organisation.cloud is forbidden", "data.location is gcp"),
    ),
    "private-and-public": (
        {"security.private_network": True, "networking.exposure": "public"},
        {"networking.exposure": "internal"},
        ("security.private_network is yes", "networking.exposure is public"),
    ),
    "nowhere-to-run": (
        {"organisation.cloud": "forbidden", "hardware.owned": "none", "budget.upfront": 0},
        {"budget.upfront": 5000},
        ("organisation.cloud is forbidden", "hardware.owned is none"),
    ),
}


def answered(*given: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {"project": "a case"}
    for each in given:
        for path, value in each.items():
            put(answers, path, value)
    return answers


def known(*given: dict[str, Any]) -> Facts:
    project = to_project(answered(*given), {}, "case")
    book = Book(project, catalogue(), place_of(project, catalogue()))
    return facts(project, {one.id: one for one in (*breakeven.figures(book), *transfer.figures(book))})


def test_every_rule_has_a_case_and_no_other() -> None:
    assert list(CASES) == [rule.id for rule in rules()]
    assert set(CONTRADICTIONS) == {one.id for one in contradictions()}


@pytest.mark.parametrize("id", CASES)
def test_a_rule_holds_and_is_turned_by_an_answer(id: str) -> None:
    holding, turning = CASES[id]
    fired, _ = apply(known(holding))
    one = next((each for each in fired if each.rule.id == id), None)
    assert one is not None
    assert one.answers
    assert "{" not in one.reason
    assert "not answered" not in one.reason
    assert "{" not in (one.ask or "")
    turned, hanging = apply(known(holding, turning))
    assert id not in [each.rule.id for each in turned]
    assert id not in [each.rule.id for each in hanging]


@pytest.mark.parametrize("id", CASES)
def test_a_rule_does_to_set_ups_and_constraints_what_it_says(id: str) -> None:
    rule = next(one for one in rules() if one.id == id)
    found = advise(to_project(answered(CASES[id][0]), {}, "case"), catalogue())
    moved = {
        one.option.id: (reason.weight, reason.excludes)
        for one in found.ranking
        for reason in one.reasons
        if reason.rule == id
    }
    touched = {option for option, weight in weights(rule).items() if weight} | excluded(rule)
    assert moved == {option: (weights(rule).get(option, 0), option in excluded(rule)) for option in touched}
    assert touched or rule.constrain is not None or rule.ask is not None
    bound = found.constraints
    if rule.constrain is not None:
        assert bound.spot <= rule.constrain.spot
        assert bound.private_network >= rule.constrain.private_network
        assert bound.own_machines_only >= rule.constrain.own_machines_only
        assert (bound.regions is not None) >= (rule.constrain.regions is not None)
        assert set(bound.without) >= set(rule.constrain.without)
        assert bound.because
    if rule.ask is not None:
        assert any(one.path is None and one.matters == bool(rule.excludes) for one in found.questions)


@pytest.mark.parametrize("id", CONTRADICTIONS)
def test_answers_that_cannot_both_be_true_are_refused_with_both_named(id: str) -> None:
    holding, turning, named = CONTRADICTIONS[id]
    with pytest.raises(ProjectInvalid, match="contradict each other") as refused:
        advise(to_project(answered(holding), {}, "case"), catalogue())
    assert [one for one in named if one not in refused.value.message] == []
    advise(to_project(answered(holding, turning), {}, "case"), catalogue())


def test_all_contradictions_are_told_at_once() -> None:
    both = {**CONTRADICTIONS["gpus-of-none"][0], **CONTRADICTIONS["private-and-public"][0]}
    with pytest.raises(ProjectInvalid) as refused:
        advise(to_project(answered(both), {}, "case"), catalogue())
    assert "hardware.gpus is 2" in refused.value.message
    assert "networking.exposure is public" in refused.value.message


def test_territories_that_share_no_region_contradict_each_other() -> None:
    with pytest.raises(ProjectInvalid, match=r"the European Union \(GDPR\) and the United States") as refused:
        advise(to_project(answered({"data.residency": ["gdpr", "us"]}), {}, "case"), catalogue())
    assert refused.value.hint
    held = {"data.residency": ["gdpr"], "data.sensitivity": ["export-controlled"]}
    with pytest.raises(ProjectInvalid, match="no region is in both"):
        advise(to_project(answered(held), {}, "case"), catalogue())


def test_a_region_outside_the_territory_contradicts_it() -> None:
    held = {"data.residency": ["gdpr"], "region": "eu-west-2"}
    with pytest.raises(
        ProjectInvalid, match=r"region is eu-west-2, but the data must stay in the European Union"
    ) as one:
        advise(to_project(answered(held), {}, "case"), catalogue())
    assert (
        one.value.hint == "choose one of eu-central-1, eu-north-1, eu-south-1, eu-west-1, eu-west-3"
    )  # all are of aws
    found = advise(to_project(answered({**held, "region": "eu-west-3"}), {}, "case"), catalogue())
    assert "eu-west-3" in (found.constraints.regions or ())


def test_a_cloud_without_private_networks_contradicts_the_wish_for_one() -> None:
    held = {"security.private_network": True, "cloud": "lambda"}
    with pytest.raises(ProjectInvalid, match=r"cloud is lambda, but the work may have no address") as one:
        advise(to_project(answered(held), {}, "case"), catalogue())
    assert one.value.hint == "name another cloud: aws, gcp, azure"
    found = advise(to_project(answered({**held, "cloud": "azure"}), {}, "case"), catalogue())
    assert [one.service for one in found.networks if one.how] == ["batch", "managed-training"]
    alone = advise(to_project(answered({**held, "organisation.cloud": "forbidden"}), {}, "case"), catalogue())
    assert alone.networks == ()  # nothing is bought


def test_rules_name_factors_options_and_laws_that_there_are() -> None:
    for one in (*rules(), *contradictions()):
        for factor in factors(one.when):
            assert factor in DERIVED or question(factor) is not None, (one.id, factor)
    for rule in rules():
        assert weights(rule).keys() | excluded(rule) <= options().keys()
        assert rule.source
        if rule.constrain is not None and rule.constrain.regions != "data.residency":
            assert rule.constrain.regions is None or rule.constrain.regions in laws()
    assert {use for option in options().values() for use in option.uses} <= services().keys()


def test_every_question_but_names_moves_a_rule_or_a_figure() -> None:
    looked_at = {path for one in (*rules(), *contradictions()) for path in factors(one.when)}
    derived = {path for name in looked_at if name in DERIVED for path in DERIVED[name].of}
    for_figures = {
        "region", "cloud", "data.results_per_month", "data.changes_per_month", "hardware.machine", "hardware.gpus",
        "hardware.running_per_month", "hardware.lifetime", "networking.speed", "requests.instance",
    }  # fmt: skip
    from skylift.advice.questions import questions

    left = {one.path for one in questions()} - looked_at - derived - for_figures
    assert left == {"project", "description"}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"factor": "data.size", "above": "1 TB"}, True),
        ({"factor": "data.size", "above": "2 TB"}, False),
        ({"factor": "data.size", "at_least": "2 TB"}, True),
        ({"factor": "data.size", "below": "2 TB"}, False),
        ({"factor": "hardware.gpus", "above": 1}, None),
        ({"not": {"factor": "hardware.gpus", "above": 1}}, None),
        ({"surely": {"factor": "hardware.gpus", "above": 1}}, False),
        ({"not": {"surely": {"factor": "hardware.gpus", "above": 1}}}, True),
        ({"any": [{"factor": "hardware.gpus", "above": 1}, {"factor": "data.size", "above": "1 TB"}]}, True),
        ({"all": [{"factor": "hardware.gpus", "above": 1}, {"factor": "data.size", "above": "1 TB"}]}, None),
        ({"all": [{"factor": "hardware.gpus", "above": 1}, {"factor": "data.size", "above": "3 TB"}]}, False),
        ({"factor": "data.size", "above": {"factor": "data.changes_per_month"}}, True),
        ({"factor": "data.size", "above": {"factor": "data.results_per_month"}}, None),
        ({"factor": "data.location", "in": ["aws", "laptop"]}, True),
    ],
)
def test_conditions_have_three_values(condition: dict[str, Any], holds: bool | None) -> None:
    found = evaluate(
        condition, known({"data.size": "2 TB", "data.changes_per_month": "1 GB", "data.location": "laptop"})
    )
    assert found.holds is holds
    assert (holds is None) <= bool(found.needs)


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"factor": "data.size"},
        {"factor": "data.size", "above": "1 TB", "below": "2 TB"},
        {"factor": "data.size", "looks_like": "1 TB"},
        {"all": [], "any": []},
        {"not": {"factor": "data.size"}},
    ],
)
def test_what_is_no_condition_is_refused(condition: dict[str, Any]) -> None:
    with pytest.raises(ConditionInvalid):
        list(factors(condition))
