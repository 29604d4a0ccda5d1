"""The report as Markdown. What people wrote in their answers stays text: no links, no tags, no tables of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping

from skylift.advice.blocks import Block, Bullets, Code, Picture, Section, Table, Text, sections
from skylift.advice.report import Report

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~!])")


def markdown(report: Report, pictures: Mapping[str, str] | None = None) -> str:
    """`pictures` are links to the files of curves by their ids; without them the tables must do."""
    parts = [f"# Advice: {plain(report.project)}"]
    if report.description:
        parts.append(plain(report.description))
    parts += [_section(one, pictures or {}) for one in sections(report)]
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text that means nothing in Markdown, in one line."""
    held = "".join(one if one.isprintable() else " " for one in text)
    return _SPECIAL.sub(r"\\\1", " ".join(held.split()))


def _section(section: Section, pictures: Mapping[str, str]) -> str:
    blocks = [text for one in section.blocks if (text := _block(one, pictures))]
    return "\n\n".join([f"## {section.title}", *blocks])


def _block(block: Block, pictures: Mapping[str, str]) -> str:
    if isinstance(block, Text):
        return f"**{plain(block.text)}**" if block.strong else plain(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {item if block.ours else plain(item)}" for item in block.items)
    if isinstance(block, Code):
        return f"```json\n{block.text.rstrip()}\n```"
    if isinstance(block, Picture):
        return f"![{plain(block.title)}]({pictures[block.id]})" if block.id in pictures else ""
    return _table(block)


def _table(table: Table) -> str:
    lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    text = "\n".join(
        f"| {' | '.join(cell if number == 1 else plain(cell) for cell in row)} |" for number, row in enumerate(lines)
    )
    return f"### {plain(table.title)}\n\n{text}" if table.title else text
