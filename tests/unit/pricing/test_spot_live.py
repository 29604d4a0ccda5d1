"""The spot policy as the engine asks it: when it applies, what it is shown, and what is answered meanwhile."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from skylift.ports.spot import SpotState
from skylift.pricing.spot import steps
from skylift.pricing.spot.live import LivePolicy, safety_net
from skylift.pricing.spot.model import Job, View
from skylift.pricing.spot.skylift_policy import Tables, skylift
from skylift.pricing.spot.steps import LaterTables, job_of_step

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def state(**facts: Any) -> SpotState:
    """An hour into a step of 10 h in 14 h, on a market that is down."""
    usual: dict[str, Any] = {
        "now_ms": 0,
        "elapsed_ms": HOUR_MS,
        "work_ms": 10 * HOUR_MS,
        "done_ms": 0,
        "deadline_ms": 14 * HOUR_MS,
        "changeover_ms": 4 * MINUTE_MS,
        "preemptions": 0,
        "market": None,
        "keeps": True,
        "ratio": 0.3,
        "seen": ((False, HOUR_MS),),
        "asked_again_ms": 30_000,
    }
    return SpotState(**{**usual, **facts})


def test_the_safety_net_comes_first_and_knows_milliseconds() -> None:
    policy = LivePolicy(waits=True)
    tight = state(elapsed_ms=4 * HOUR_MS - 2 * 4 * MINUTE_MS - 30_000 + 1)
    assert safety_net(tight) == "on-demand" and policy(tight) == "on-demand"
    for available in (True, False):
        assert policy(state(elapsed_ms=13 * HOUR_MS, seen=((available, 0),))) == "on-demand"


@pytest.mark.parametrize(
    "facts",
    [
        {"seen": ()},
        {"ratio": None},
        {"keeps": False},
        {"ratio": 1.0},
        {"ratio": 0.001},
        {"work_ms": HOUR_MS - 120_000, "deadline_ms": 5 * HOUR_MS},
    ],
)
def test_where_the_model_does_not_apply_spot_is_waited_for_and_on_demand_kept(facts: dict[str, Any]) -> None:
    assert job_of_step(state(**facts)) is None
    policy = LivePolicy(waits=True)
    assert policy(state(**facts)) == "spot"
    assert policy(state(**facts, market="on-demand")) == "on-demand"


def test_without_a_deadline_spot_is_waited_for() -> None:
    assert LivePolicy(waits=True)(state(deadline_ms=None)) == "spot"
    assert LivePolicy(waits=True)(state(work_ms=None)) == "spot"


def test_the_job_is_rounded_so_that_no_promise_grows() -> None:
    odd = state(work_ms=2 * HOUR_MS + 1, deadline_ms=5 * HOUR_MS - 1, changeover_ms=1, ratio=0.3349)
    assert job_of_step(odd) == Job(work=61, deadline=149, changeover=1, ratio=Fraction(33, 100))


def test_the_answer_is_that_of_the_policy_in_the_simulator() -> None:
    """Over states of one job: the same view, shown the same runs of the market."""
    live = LivePolicy(waits=True)
    asked = 0
    for elapsed in range(0, 240, 20):
        for available, age in ((True, 5), (False, 5), (False, 40), (True, 60)):
            if age > elapsed:
                continue
            real = state(
                elapsed_ms=elapsed * 120_000,
                done_ms=elapsed * 70_000,
                seen=((not available, (elapsed - age) * 120_000), (available, age * 120_000)),
            )
            job = job_of_step(real)
            assert job is not None
            policy = skylift(job)
            policy.observe(not available, elapsed - age)
            view = View(job)
            view.t, view.progress = elapsed, elapsed * 70_000 // 120_000
            view.available, view.since = available, elapsed - age
            wanted = policy.decide(view)
            assert live(real) == (None if wanted == "idle" else wanted), (elapsed, available, age)
            asked += 1
    assert asked > 30


def test_an_old_gap_is_left_for_on_demand_and_on_demand_for_spot_that_has_lasted() -> None:
    live = LivePolicy(waits=True)
    assert live(state(seen=((False, 2 * MINUTE_MS),), elapsed_ms=2 * MINUTE_MS)) is None
    assert live(state(seen=((False, 3 * HOUR_MS),), elapsed_ms=3 * HOUR_MS)) == "on-demand"
    back = ((False, 3 * HOUR_MS), (True, 2 * HOUR_MS))
    running = state(seen=back, elapsed_ms=5 * HOUR_MS, done_ms=3 * HOUR_MS, market="on-demand")
    assert live(running) == "spot"


def test_tables_come_later_and_the_safety_net_answers_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, made = threading.Event(), threading.Event()

    def slowly(job: Job) -> Tables:
        gate.wait(60)
        found = tables_now(job)
        made.set()
        return found

    tables_now = steps.tables_now
    monkeypatch.setattr(steps, "tables_now", slowly)
    policy = LivePolicy(waits=False)
    old_gap = state(seen=((False, 3 * HOUR_MS),), elapsed_ms=3 * HOUR_MS)
    assert policy(old_gap) == "spot"
    assert policy(msgspec.structs.replace(old_gap, market="on-demand")) == "on-demand"
    gate.set()
    assert made.wait(60)
    while policy(old_gap) != "on-demand":
        assert made.wait(0.01)


def test_tables_that_cannot_be_made_are_told_of_and_no_other_waits_for_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Job(work=40, deadline=60, changeover=1, ratio=Fraction(1, 4))
    good = Job(work=40, deadline=61, changeover=1, ratio=Fraction(1, 4))
    tables_now = steps.tables_now

    def some(job: Job) -> Tables:
        if job == bad:
            raise ZeroDivisionError("an example")
        return tables_now(job)

    monkeypatch.setattr(steps, "tables_now", some)
    later = LaterTables()
    assert later(bad) is None and later(good) is None
    waited = threading.Event()
    for _ in range(6_000):
        if later(good) is not None:
            break
        waited.wait(0.01)
    assert later(good) is tables_now(good)
    assert later(bad) is None and "keeps to the safety net" in caplog.text


def test_what_stands_at_the_same_place_is_decided_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand steps of a map ask twice a minute; the policy counts in steps of two."""
    decided: list[steps.Standpoint] = []
    decide = steps.decide

    def counted(known: Tables, at: steps.Standpoint) -> steps.Mode:
        decided.append(at)
        return decide(known, at)

    monkeypatch.setattr(steps, "decide", counted)
    live = LivePolicy(waits=True)
    for _ in range(1_000):
        for ms in (0, 30_000):
            assert live(state(seen=((False, 3 * HOUR_MS + ms),), elapsed_ms=4 * HOUR_MS - 59_000 + ms)) == "on-demand"
    assert len(decided) <= 4
