"""From answers and prices to the report: figures, facts, rules, ranking, constraints, questions. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from skylift.advice import breakeven, constraints, published, transfer
from skylift.advice.book import Book
from skylift.advice.constraints import Constraints
from skylift.advice.curves import curves
from skylift.advice.facts import Facts, facts, shown
from skylift.advice.figures import Figure
from skylift.advice.names import check_names
from skylift.advice.networks import Network, networks
from skylift.advice.open_questions import questions
from skylift.advice.options import options, services
from skylift.advice.places import place_of
from skylift.advice.project import Project, answers
from skylift.advice.ranking import matters, ranking
from skylift.advice.reading import ProjectInvalid
from skylift.advice.report import Asked, Binding, Ranked, Report
from skylift.advice.rules import Fired, apply, contradicting
from skylift.pricing.catalogue import Catalogue

CLOSE = 3
"""A runner-up that is no further behind is said to be close."""


def advise(project: Project, catalogue: Catalogue) -> Report:
    """Raises ProjectInvalid for answers that contradict each other, naming both, and for a region, GPU or machine that
    is unknown."""
    place = place_of(project, catalogue)
    check_names(project, place, catalogue)
    book = Book(project, catalogue, place)
    figures = [*breakeven.figures(book), *transfer.figures(book)]
    known = facts(project, {one.id: one for one in figures})
    _check(known)
    fired, hanging = apply(known)
    bound = constraints.of(project, fired, catalogue.regions(place.cloud))
    ranked = ranking(project, fired)
    shown_figures = [*_relevant(project, figures), *_published(project, catalogue)]
    asked = questions(project, fired, hanging, ranked, shown_figures)
    return Report(
        project=project.project,
        description=project.description,
        verdict=_verdict(ranked, fired) + _unsure(asked, together=matters([one.rule for one in hanging], ranked)),
        recommended=_first(ranked, fired),
        by_purpose=_by_purpose(project, ranked),
        if_cleared=_if_cleared(project, fired),
        ranking=ranked,
        figures=tuple(shown_figures),
        curves=curves({one.id: one for one in shown_figures}),
        constraints=bound,
        networks=_networks(bound, place.cloud),
        lock_in=_lock_in(_first(ranked, fired)),
        questions=asked,
        assumptions=_assumptions(book, shown_figures),
        answers={path: shown(given) for path, given in answers(project).items()},
    )


def _check(known: Facts) -> None:
    found = contradicting(known)
    if found:
        raise ProjectInvalid(
            f"answers contradict each other: {'; '.join(found)}", hint="correct one of the two, or leave it out"
        )


def _first(ranked: Sequence[Ranked], fired: Sequence[Fired]) -> str | None:
    """The recommended one; None where all are ruled out, or nothing that was answered says anything."""
    best = ranked[0]
    return None if best.out or not any(one.rule.effects or one.rule.excludes for one in fired) else best.option.id


def _verdict(ranked: Sequence[Ranked], fired: Sequence[Fired]) -> str:
    first = _first(ranked, fired)
    if first is None and ranked[0].out:
        return "Every set-up is ruled out by what was answered: the open questions say what would lift that."
    if first is None:
        return "Too little is answered to recommend anything: see the open questions."
    best, second = ranked[0], ranked[1]
    answer = {True: "Yes, the cloud is right for it", False: "No, not the cloud"}[best.option.cloud]
    if best.option.id == "hybrid":
        answer = "In part"
    elif not best.option.cloud and any(_liftable(one) for one in fired):
        answer = "Not the public cloud, until it is cleared"
    if second.out:
        return f"{answer}: {best.option.title}. Every other set-up is ruled out."
    behind = best.score - second.score
    how = "Close to it" if behind <= CLOSE else "Runner-up"
    return f"{answer}: {best.option.title}. {how}, {behind} behind: {second.option.title}."


def _unsure(asked: Sequence[Asked], *, together: bool) -> str:
    """How many questions can turn the answer, or lift what rules set-ups out, by themselves; else whether all can."""
    alone = sum(one.matters for one in asked)
    if alone:
        return f" {alone} open question{' bears' if alone == 1 else 's bear'} on that."
    return " No open question bears on that alone, several together do." if together else ""


def _liftable(one: Fired) -> bool:
    """Rules set-ups out until a person clears it."""
    return bool(one.rule.excludes) and one.rule.ask is not None


def _if_cleared(project: Project, fired: Sequence[Fired]) -> str | None:
    if not any(_liftable(one) for one in fired):
        return None
    now = _first(ranking(project, fired), fired)
    best = ranking(project, [one for one in fired if not _liftable(one)])[0]
    return None if best.out or best.option.id == now else best.option.id


def _by_purpose(project: Project, ranked: Sequence[Ranked]) -> dict[str, str]:
    """For work of several kinds: one set-up need not do all of them."""
    found: dict[str, str] = {}
    for purpose in project.purpose or ():
        serving = [one for one in ranked if not one.out and purpose in one.option.serves]
        if serving:
            best = max(serving, key=lambda one: one.score + _own(one))
            found[purpose] = best.option.id
    return found if len(project.purpose or ()) > 1 else {}


def _own(one: Ranked) -> int:
    """What it lost for other purposes, given back."""
    return -sum(reason.weight for reason in one.reasons if reason.rule == "serves")


def _relevant(project: Project, figures: Sequence[Figure]) -> list[Figure]:
    """Without those of requests where nothing is served."""
    serves = project.purpose is None or "inference" in project.purpose
    return [one for one in figures if serves or one.topic != breakeven.REQUESTS]


def _published(project: Project, catalogue: Catalogue) -> list[Figure]:
    return published.figures(catalogue) if "inference" in (project.purpose or ()) else []


def _networks(bound: Constraints, cloud: str) -> tuple[Network, ...]:
    """None where nothing is bought. Raises ProjectInvalid for a cloud in which nothing can be private."""
    if not bound.private_network or bound.own_machines_only:
        return ()
    there = tuple(one for one in networks() if one.cloud == cloud and one.service not in bound.without)
    if there and all(one.none for one in there):
        raise ProjectInvalid(
            f"cloud is {cloud}, but {bound.because['private_network'][0]}: {there[0].none} ({there[0].source})",
            hint=f"name another cloud: {', '.join(dict.fromkeys(one.cloud for one in networks() if one.how))}",
        )
    return there


def _lock_in(recommended: str | None) -> tuple[Binding, ...]:
    if recommended is None:
        return ()
    used = [(name, services()[name]) for name in options()[recommended].uses]
    return tuple(
        Binding(service=name, title=one.title, level=one.level, binds=one.binds, way_out=one.way_out)
        for name, one in used
    )


def _assumptions(book: Book, figures: Sequence[Figure]) -> tuple[str, ...]:
    found = list(book.place.assumed)
    for one in figures:
        for given in one.inputs:
            if given.source.startswith("assumption: "):
                found.append(f"{given.name.replace('_', ' ')}: {given.source.removeprefix('assumption: ')}")
    return tuple(dict.fromkeys(found))
