"""The report as one HTML page that needs nothing else: no scripts, no links to load, every text escaped."""

from __future__ import annotations

import html as escaping
import re
from collections.abc import Mapping

from skylift.advice.blocks import Block, Bullets, Code, Picture, Section, Table, Text, sections
from skylift.advice.report import Report

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8886; }
pre { overflow: auto; padding: .8rem; border: 1px solid #8886; }
figure { margin: 1rem 0; background: #fff; } figure svg { max-width: 100%; height: auto; }
.answer { font-size: 1.2rem; font-weight: 600; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def html(report: Report, pictures: Mapping[str, str] | None = None) -> str:
    """`pictures` are SVG documents by the ids of curves; a curve without one is shown as a table."""
    title = f"Advice: {report.project}"
    body = [f"<h1>{_text(title)}</h1>"]
    if report.description:
        body.append(f"<p>{_text(report.description)}</p>")
    body += [_section(one, report, pictures or {}) for one in sections(report)]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_text(_POLICY)}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    return escaping.escape("".join(one if one.isprintable() or one == "\n" else " " for one in text), quote=True)


def _section(section: Section, report: Report, pictures: Mapping[str, str]) -> str:
    blocks = "\n".join(_block(one, report, pictures) for one in section.blocks)
    return f"<section>\n<h2>{_coded(section.title)}</h2>\n{blocks}\n</section>"


def _block(block: Block, report: Report, pictures: Mapping[str, str]) -> str:
    if isinstance(block, Text):
        return f'<p class="answer">{_text(block.text)}</p>' if block.strong else f"<p>{_text(block.text)}</p>"
    if isinstance(block, Bullets):
        return (
            "<ul>"
            + "".join(f"<li>{_coded(item) if block.ours else _text(item)}</li>" for item in block.items)
            + "</ul>"
        )
    if isinstance(block, Code):
        return f"<pre><code>{_text(block.text)}</code></pre>"
    if isinstance(block, Table):
        return _table(block)
    return _picture(block, report, pictures)


def _table(table: Table) -> str:
    caption = f"<caption>{_text(table.title)}</caption>" if table.title else ""
    head = "".join(f'<th scope="col">{_text(one)}</th>' for one in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>\n" for row in table.rows)
    return f"<table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"


def _picture(block: Picture, report: Report, pictures: Mapping[str, str]) -> str:
    if block.id in pictures:
        return f'<figure role="img" aria-label="{_text(block.title)}">{_inline(pictures[block.id], block.id)}</figure>'
    curve = next(one for one in report.curves if one.id == block.id)
    some = range(0, max(len(points) for points in curve.series.values()), 20)
    rows = tuple(
        (
            f"{next(iter(curve.series.values()))[at][0]:,.4g}",
            *(f"{points[at][1]:,.2f}" for points in curve.series.values()),
        )
        for at in some
    )
    return _table(Table((curve.x, *(f"{name}: {curve.y}" for name in curve.series)), rows, title=block.title))


def _inline(svg: str, id: str) -> str:
    """The picture itself, without what stands before it in a file; its names are its own on the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{id}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{id}-\1)", svg)
    return re.sub(r'href="#([^"]+)"', rf'href="#{id}-\1"', svg)


def _coded(text: str) -> str:
    """Backticks of our own words as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(text))
