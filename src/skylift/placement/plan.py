"""What the optimizer answers: a plan and why it is as it is, or that there is none and what comes near. Plain data."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from skylift.placement.model import Limits, Objective, Priced, Site

VERSION = 1
"""Of the plan file."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Of a whole plan, exact sums of its rows."""

    cost: Fraction
    cost_high: Fraction
    time_s: float
    """Of the critical path."""
    time_high_s: float


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Where one step runs, and when by the plan (at the asked-for confidence), counted from the run's start."""

    step: str
    priced: Priced
    starts_s: float
    ends_s: float
    slack_s: float
    """How much longer it could take without the run ending later."""
    width: int = 1


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What an edge costs where the plan puts its two ends."""

    source: str
    target: str
    from_site: Site
    to_site: Site
    cost: Fraction
    time_s: float
    formula: str = ""


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """A step that cannot begin before another has ended, for a quota has no room for both."""

    step: str
    waits_for: str
    quota: str


class RunnerUp(msgspec.Struct, frozen=True, kw_only=True):
    """The next best for one step, all the others staying as they are, and why it was not taken."""

    step: str
    priced: Priced
    cost_more: Fraction
    """What the plan would cost more with it, moves included; negative if it would be cheaper."""
    time_more_s: float
    """How much later the plan would end with it."""
    why_not: str


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """What one limit costs: the best plan without it."""

    limit: str
    """`deadline`, `budget`, `regions`, …"""
    value: str
    without: Totals
    costs: Fraction
    """How much dearer the plan is for it."""
    takes_s: float
    """How much longer it takes for it."""
    says: str


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One plan of the front: nothing is both cheaper and quicker."""

    totals: Totals
    ways: tuple[str, ...]
    """Of each step, in words."""
    gap: float = 0.0


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """Plans from the cheapest to the quickest, each the cheapest that ends in its time."""

    points: tuple[Point, ...]
    whole: bool
    """All there are; else the deadlines between two neighbours were not all tried."""
    says: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    runners_up: tuple[RunnerUp, ...]
    shadows: tuple[Shadow, ...]
    front: Front | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One offer for each step. Encoded as JSON it is the plan file."""

    objective: Objective
    limits: Limits
    choices: tuple[Choice, ...]
    """In the order of the steps."""
    moves: tuple[Moved, ...]
    totals: Totals
    bound: float
    """No plan is better than that: micro-dollars or seconds, as the objective is."""
    gap: float
    """(objective - bound) / objective; 0 if it is proven best."""
    method: str
    """What found and proved it."""
    rule: str
    """How times and costs at the asked-for confidence were added up."""
    waits: tuple[Wait, ...] = ()
    """Steps that are planned one after the other for the sake of quotas."""
    explanation: Explanation | None = None
    version: int = VERSION

    def choice(self, step: str) -> Choice | None:
        return next((choice for choice in self.choices if choice.step == step), None)


class Nearest(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that does not keep all limits."""

    what: str
    """`cheapest`, `quickest`, `least budget for this deadline`, `least deadline for this budget`."""
    totals: Totals
    ways: tuple[str, ...]
    says: str


class Impossible(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """No plan keeps the limits."""

    objective: Objective
    limits: Limits
    reason: str
    nearest: tuple[Nearest, ...]
    version: int = VERSION
