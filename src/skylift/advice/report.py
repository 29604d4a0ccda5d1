"""The report: what is recommended and why, as plain data that every format shows."""

from __future__ import annotations

import msgspec

from skylift.advice.constraints import Constraints
from skylift.advice.figures import Figure
from skylift.advice.networks import Network
from skylift.advice.options import Option


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a set-up has its score: a rule, and the answers that it followed from."""

    rule: str
    text: str
    weight: int
    """0 where the rule rules it out."""
    excludes: bool
    answers: tuple[str, ...]
    source: str


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A set-up with its score."""

    option: Option
    score: int
    """The weights of its reasons, added up."""
    reasons: tuple[Reason, ...]
    unserved: tuple[str, ...] = ()
    """What of the purpose it cannot do."""

    @property
    def out(self) -> bool:
        """Whether a rule rules it out, or it serves nothing of the purpose."""
        return any(reason.excludes for reason in self.reasons)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person must answer."""

    text: str
    path: str | None = None
    """The question of the questionnaire, if it is one."""
    matters: bool
    """Whether the answer can change the recommendation, or lift what rules set-ups out."""
    why: str


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """A service of the recommended set-up: what binds to it, and the way out."""

    service: str
    title: str
    level: str
    binds: str
    way_out: str


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Lines over one axis, for a picture."""

    id: str
    title: str
    x: str
    y: str
    series: dict[str, tuple[tuple[float, float], ...]]
    marks: tuple[tuple[float, str], ...] = ()
    """Where something is to be seen, and what."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    project: str
    description: str | None
    verdict: str
    """The answer in a sentence."""
    recommended: str | None
    """Id of the set-up; None where every one is ruled out."""
    by_purpose: dict[str, str]
    """Purpose → the best set-up that serves it, where there are several purposes."""
    if_cleared: str | None
    """What would be recommended instead, if nothing were ruled out that a person can clear."""
    ranking: tuple[Ranked, ...]
    """The best first; those ruled out last."""
    figures: tuple[Figure, ...]
    curves: tuple[Curve, ...]
    constraints: Constraints
    networks: tuple[Network, ...]
    """Where machines may have no address on the internet: what has to be set for each service class."""
    lock_in: tuple[Binding, ...]
    questions: tuple[Asked, ...]
    assumptions: tuple[str, ...]
    answers: dict[str, str]
    """Path → what was answered."""
