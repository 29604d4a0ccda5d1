"""Set-ups with their scores: the rules that hold, added up, and what open questions could still change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skylift.advice.options import Option, options
from skylift.advice.project import Project
from skylift.advice.report import Ranked, Reason
from skylift.advice.rules import Fired, Open, Rule, excluded, weights

UNSERVED = -4
"""For each purpose of several that a set-up does not serve."""


def ranking(project: Project, fired: Sequence[Fired]) -> tuple[Ranked, ...]:
    """The best first; of equal ones the simpler; those ruled out last."""
    places = {id: place for place, id in enumerate(options())}
    found = [_ranked(option, project, fired) for option in options().values()]
    return tuple(sorted(found, key=lambda one: (one.out, -one.score, places[one.option.id])))


def _ranked(option: Option, project: Project, fired: Sequence[Fired]) -> Ranked:
    reasons = [reason for one in fired if (reason := _reason(option, one)) is not None]
    unserved = tuple(one for one in project.purpose or () if one not in option.serves)
    if unserved:
        reasons.append(_unserved(unserved, all_of_it=len(unserved) == len(project.purpose or ())))
    return Ranked(
        option=option,
        score=sum(reason.weight for reason in reasons),
        reasons=tuple(sorted(reasons, key=lambda one: (not one.excludes, -abs(one.weight)))),
        unserved=unserved,
    )


def _reason(option: Option, one: Fired) -> Reason | None:
    weight, out = weights(one.rule).get(option.id, 0), option.id in excluded(one.rule)
    if not weight and not out:
        return None
    return Reason(
        rule=one.rule.id,
        text=one.reason,
        weight=weight,
        excludes=out,
        answers=one.answers,
        source=one.rule.source,
    )


def _unserved(unserved: tuple[str, ...], *, all_of_it: bool) -> Reason:
    return Reason(
        rule="serves",
        text=f"it does not serve {', '.join(unserved)}",
        weight=0 if all_of_it else UNSERVED * len(unserved),
        excludes=all_of_it,
        answers=("purpose",),
        source="options.toml: what each set-up serves",
    )


def matters(rules: Iterable[Rule], ranked: Sequence[Ranked]) -> bool:
    """Whether these rules, if they held, could put another set-up first."""
    left = [one for one in ranked if not one.out]
    if not left:
        return True
    best, gain, loss = left[0], dict.fromkeys(options(), 0), False
    for rule in rules:
        loss = loss or best.option.id in excluded(rule)
        for id, weight in weights(rule).items():
            gain[id] += max(weight - weights(rule).get(best.option.id, 0), 0)
        for id in options():
            if id not in weights(rule):
                gain[id] += max(-weights(rule).get(best.option.id, 0), 0)
    return loss or any(one.score + gain[one.option.id] >= best.score for one in left[1:])


def needing(path: str, hanging: Sequence[Open]) -> list[Rule]:
    """The rules that hang on a question."""
    return [one.rule for one in hanging if path in one.needs]
