"""The rules: data that is shipped beside this file, and the small engine that applies them to the facts of a project.

A rule has a condition over factors; where it holds it moves the scores of set-ups, rules some out, hands constraints to
`plan`, or asks a person something, each with its reason. Where it hangs on an open question, that question counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

import msgspec

from skylift.advice.conditions import Verdict, evaluate
from skylift.advice.facts import Facts
from skylift.advice.options import Option, options

MOST = 10
"""Weights lie between -10 and 10: 10 decides a case that has nothing against it, 1 breaks a tie."""
Weight = Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)]
GROUPS = {"@cloud": True, "@own": False}
"""Names of several options in a rule: those for which data leaves the house, and the others."""


class Constrain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a rule hands to `plan`."""

    regions: str | None = None
    """A law of regions.toml, or `data.residency` for those that were answered."""
    spot: bool = True
    private_network: bool = False
    own_machines_only: bool = False
    without: tuple[str, ...] = ()
    """Service classes that may not be used."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule of thumb, or of law."""

    id: str
    when: dict[str, Any]
    reason: str
    """With `{factor}` where its value is said."""
    source: str
    effects: dict[str, Weight] = {}
    """Option, `@cloud` or `@own` → weight."""
    excludes: tuple[str, ...] = ()
    constrain: Constrain | None = None
    ask: str | None = None
    """What a person must answer before the work begins."""


class Contradiction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two answers that cannot both be true."""

    id: str
    when: dict[str, Any]
    says: str


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that holds for a project."""

    rule: Rule
    reason: str
    answers: tuple[str, ...]
    """What was answered, behind it."""
    ask: str | None = None
    """What a person must answer, with the values seen."""
    needs: tuple[str, ...] = ()
    """What was not answered and could turn it."""


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that hangs on open questions."""

    rule: Rule
    needs: tuple[str, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rule: tuple[Rule, ...]
    contradiction: tuple[Contradiction, ...]


@cache
def _file() -> _File:
    return msgspec.toml.decode(files("skylift.advice").joinpath("data/rules.toml").read_bytes(), type=_File)


def rules() -> tuple[Rule, ...]:
    return _file().rule


def contradictions() -> tuple[Contradiction, ...]:
    return _file().contradiction


def apply(facts: Facts, among: Sequence[Rule] | None = None) -> tuple[list[Fired], list[Open]]:
    """Those that hold, and those that hang on something open, in the order in which they are written."""
    fired, hanging = [], []
    for rule in rules() if among is None else among:
        verdict = evaluate(rule.when, facts)
        if verdict.holds:
            text = said(rule.reason, facts)
            ask = None if rule.ask is None else said(rule.ask, facts)
            answers = _answers(verdict, facts)
            fired.append(Fired(rule=rule, reason=text, answers=answers, ask=ask, needs=verdict.needs))
        elif verdict.holds is None and verdict.needs:
            hanging.append(Open(rule=rule, needs=verdict.needs))
    return fired, hanging


def contradicting(facts: Facts) -> list[str]:
    """Every pair of answers that cannot both be true, in words."""
    return [said(one.says, facts) for one in contradictions() if evaluate(one.when, facts).holds]


def weights(rule: Rule) -> dict[str, int]:
    """Option → weight, groups spelt out; an option's own weight counts before its group's."""
    found: dict[str, int] = {}
    for name, weight in rule.effects.items():
        for option in named(name):
            if name not in GROUPS or option.id not in rule.effects:
                found[option.id] = weight
    return found


def excluded(rule: Rule) -> set[str]:
    return {option.id for name in rule.excludes for option in named(name)}


def named(name: str) -> Iterable[Option]:
    """The options that a name in a rule stands for."""
    if name in GROUPS:
        return [option for option in options().values() if option.cloud is GROUPS[name]]
    return [options()[name]]


def said(text: str, facts: Mapping[str, Any]) -> str:
    """With the values of its factors."""
    return re.sub(r"\{([\w.]+)\}", lambda found: facts[found[1]].shown if found[1] in facts else "not answered", text)


def _answers(verdict: Verdict, facts: Facts) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for name in verdict.used for path in facts[name].of))
