"""The report as plain text. Nothing in an answer can move a cursor or colour a terminal."""

from __future__ import annotations

import textwrap

from skylift.advice.blocks import Block, Bullets, Code, Picture, Table, Text, sections
from skylift.advice.report import Report

WIDTH = 110


def terminal(report: Report) -> str:
    """The whole, for a file: tables are lines with tabs."""
    parts = [plain(f"Advice: {report.project}")]
    if report.description:
        parts.append(plain(report.description))
    for section in sections(report):
        title = section.title.replace("`", "")
        parts.append(f"\n{title}\n{'-' * len(title)}")
        parts += [plain_block(one) for one in section.blocks if not isinstance(one, Picture)]
    return "\n".join(parts) + "\n"


def plain(text: str) -> str:
    """One line of what can be printed."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def plain_block(block: Block) -> str:
    """Text, wrapped; lists with dashes."""
    if isinstance(block, Text):
        return _wrapped(plain(block.text))
    if isinstance(block, Bullets):
        return "\n".join(_wrapped(f"- {plain(item)}", "  ") for item in block.items)
    if isinstance(block, Code):
        return block.text.rstrip()
    if isinstance(block, Table):
        lines = [block.columns, *block.rows]
        text = "\n".join("\t".join(plain(cell) or "-" for cell in row) for row in lines)
        return f"\n{plain(block.title)}\n{text}" if block.title else text
    return ""


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
