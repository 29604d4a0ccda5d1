"""The report as sections of text, lists, tables and pictures: what every format shows, in one order."""

from __future__ import annotations

import msgspec

from skylift.advice.constraints import write
from skylift.advice.figures import Figure, show
from skylift.advice.options import options
from skylift.advice.report import Ranked, Report

SHOWN = 3
"""Set-ups whose reasons are told one by one."""


class Text(msgspec.Struct, frozen=True):
    text: str
    strong: bool = False


class Bullets(msgspec.Struct, frozen=True):
    items: tuple[str, ...]
    ours: bool = False
    """Nothing in it is from an answer: what stands in backticks is code."""


class Table(msgspec.Struct, frozen=True):
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""


class Code(msgspec.Struct, frozen=True):
    text: str


class Picture(msgspec.Struct, frozen=True):
    """By the id of its curve."""

    id: str
    title: str


Block = Text | Bullets | Table | Code | Picture


class Section(msgspec.Struct, frozen=True):
    title: str
    blocks: tuple[Block, ...]


def sections(report: Report) -> tuple[Section, ...]:
    """Those that have something to say."""
    made = (
        Section("The answer", _answer(report)),
        Section("Set-ups compared", _compared(report)),
        Section("Why", _why(report)),
        Section("Figures", _figures(report)),
        Section("Constraints for `skylift plan`", _constraints(report)),
        Section("What binds, and the way out", _lock_in(report)),
        Section("Open questions", _questions(report)),
        Section("Assumptions", (Bullets(report.assumptions),) if report.assumptions else ()),
        Section("What was answered", (_answers(report),)),
    )
    return tuple(one for one in made if one.blocks)


def _answer(report: Report) -> tuple[Block, ...]:
    blocks: list[Block] = [Text(report.verdict, strong=True)]
    if report.recommended is not None:
        option = options()[report.recommended]
        said = (f"how: {option.how}", f"for it: {option.good}", f"against it: {option.bad}")
        blocks.append(Bullets(said, ours=True))
    if len(set(report.by_purpose.values())) > 1:
        best = ((purpose, options()[id].title) for purpose, id in report.by_purpose.items())
        blocks.append(Bullets(tuple(f"for {purpose} alone: {title}" for purpose, title in best)))
    if report.if_cleared is not None:
        blocks.append(Text(f"Once what is ruled out is cleared: {options()[report.if_cleared].title}."))
    return tuple(blocks)


def _compared(report: Report) -> tuple[Block, ...]:
    rows = tuple(
        (one.option.title, "ruled out" if one.out else str(one.score), _because(one)) for one in report.ranking
    )
    return (Table(("set-up", "score", "mostly because"), rows),)


def _because(one: Ranked) -> str:
    """What rules it out, else the two heaviest reasons."""
    out = [reason.text for reason in one.reasons if reason.excludes]
    return "; ".join(out or [f"{reason.weight:+d} {reason.text}" for reason in one.reasons[:2]])


def _why(report: Report) -> tuple[Block, ...]:
    told = [one for one in report.ranking if not one.out][:SHOWN] if report.recommended is not None else []
    return tuple(
        Table(
            ("weight", "reason", "answers", "rule", "source"),
            tuple(
                (f"{reason.weight:+d}", reason.text, ", ".join(reason.answers), reason.rule, reason.source)
                for reason in one.reasons
            ),
            title=f"{one.option.title}: {one.score}",
        )
        for one in told
        if one.reasons
    )


def _figures(report: Report) -> tuple[Block, ...]:
    blocks: list[Block] = []
    known = [one for one in report.figures if one.value is not None]
    pictures = {curve.id: curve.title for curve in report.curves}
    for topic in dict.fromkeys(one.topic for one in known):
        mine = [one for one in known if one.topic == topic]
        columns = ("figure", "value", "formula", "with its numbers", "note")
        rows = tuple((one.title, one.shown, one.formula, one.working, one.note) for one in mine)
        blocks += [Table(columns, rows, title=topic), _inputs(mine)]
        blocks += [Picture(id, title) for id, title in pictures.items() if id == _PICTURES.get(topic)]
    unknown = tuple(f"{one.title}: {one.note}" for one in report.figures if one.value is None)
    return (*blocks, Text("Not known:"), Bullets(unknown)) if unknown else tuple(blocks)


_PICTURES = {
    "function or instance": "function-or-instance",
    "buy or rent": "buy-or-rent",
    "persistent or ephemeral": "persistent-or-ephemeral",
    "the published break-even": "published",
}


def _inputs(figures: list[Figure]) -> Table:
    """Where each number of these figures is from; those worked out in them are left out."""
    rows = {
        (one.name.replace("_", " "), show(one.value, one.unit), one.source): None
        for each in figures
        for one in each.inputs
        if not one.source.startswith("worked out")
    }
    return Table(("input", "value", "source"), tuple(rows))


def _constraints(report: Report) -> tuple[Block, ...]:
    bound = report.constraints
    rows = (
        ("regions", "any" if bound.regions is None else ", ".join(bound.regions), _reasons(report, "regions")),
        ("spot machines", "yes" if bound.spot else "no", _reasons(report, "spot")),
        ("private network", "yes" if bound.private_network else "no", _reasons(report, "private_network")),
        ("own machines only", "yes" if bound.own_machines_only else "no", _reasons(report, "own_machines_only")),
        ("service classes not to be used", ", ".join(bound.without) or "none", _reasons(report, "without")),
    )
    return (Table(("constraint", "value", "because"), rows), *_networks(report), Code(write(bound)))


def _networks(report: Report) -> tuple[Block, ...]:
    """What `plan` keeps of a private network, and what it cannot."""
    if not report.networks:
        return ()
    rows = tuple(
        (f"{one.cloud} {one.service}", f"cannot be had: {one.none}" if one.none else one.how, one.source)
        for one in report.networks
    )
    said = "A plan leaves out what cannot run in a private network; it sets none up: whoever makes the account must."
    return (Text(said), Table(("where", "what has to be set", "source"), rows, title="The private network"))


def _reasons(report: Report, field: str) -> str:
    return "; ".join(report.constraints.because.get(field, ()))


def _lock_in(report: Report) -> tuple[Block, ...]:
    rows = tuple((one.title, one.level, one.binds, one.way_out) for one in report.lock_in)
    return (Table(("service", "lock-in", "what binds", "the way out"), rows),) if rows else ()


def _questions(report: Report) -> tuple[Block, ...]:
    rows = tuple(
        ("bears on the answer" if one.matters else "", one.text, one.path or "", one.why) for one in report.questions
    )
    return (Table(("", "question", "answer", "why"), rows),) if rows else ()


def _answers(report: Report) -> Table:
    return Table(("question", "answer"), tuple(report.answers.items()))
