"""What a person must still answer: clearances that rules ask for, and questions that were left open, with what hangs on
each."""

from __future__ import annotations

from collections.abc import Sequence

from skylift.advice.figures import Figure
from skylift.advice.project import Project, answers
from skylift.advice.questions import concerns, question
from skylift.advice.ranking import matters, needing
from skylift.advice.report import Asked, Ranked
from skylift.advice.rules import Fired, Open


def questions(
    project: Project,
    fired: Sequence[Fired],
    hanging: Sequence[Open],
    ranked: Sequence[Ranked],
    figures: Sequence[Figure],
) -> tuple[Asked, ...]:
    """What can change the answer first."""
    found = [*_from_rules(fired), *_left_open(project, fired, hanging, ranked, figures)]
    return tuple(sorted(found, key=lambda one: not one.matters))


def _from_rules(fired: Sequence[Fired]) -> list[Asked]:
    return [
        Asked(text=one.ask, matters=bool(one.rule.excludes), why=one.reason) for one in fired if one.ask is not None
    ]


def _left_open(
    project: Project,
    fired: Sequence[Fired],
    hanging: Sequence[Open],
    ranked: Sequence[Ranked],
    figures: Sequence[Figure],
) -> list[Asked]:
    given = answers(project)
    holders = [*(one.needs for one in fired), *(one.needs for one in hanging), *(one.needs for one in figures)]
    found = []
    for path in dict.fromkeys(path for needs in holders for path in needs):
        asked = question(path)
        if asked is None or path in given or not concerns(path, given):
            continue
        lifting = [one.rule.id for one in fired if path in one.needs]
        rules = needing(path, hanging)
        found.append(
            Asked(
                text=asked.text,
                path=path,
                matters=bool(lifting) or matters(rules, ranked),
                why=_why(lifting, [rule.id for rule in rules], [one.topic for one in figures if path in one.needs]),
            )
        )
    return found


def _why(lifting: Sequence[str], rules: Sequence[str], figures: Sequence[str]) -> str:
    parts = [f"may lift {', '.join(lifting)}"] if lifting else []
    parts += [f"decides {', '.join(rules)}"] if rules else []
    parts += [f"needed for: {', '.join(dict.fromkeys(figures))}"] if figures else []
    return "; ".join(parts)
