"""Draws a document as an SVG that stands alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from html import escape as escape_xml

import msgspec

from skylift.asl.diagram.graph import detail, edges_of, inner_flows, is_end, shorten
from skylift.asl.diagram.layout import Layout, Line, lay_out
from skylift.asl.diagram.style import STATUS_COLOURS, STYLE
from skylift.asl.document import Choice, Document, Flow, State

NAME_LENGTH = 34
DETAIL_LENGTH = 42
LABEL_LENGTH = 40
BOX_HEIGHT = 46.0
HEADER = 44.0
PAD = 18.0
MARGIN = 20.0
DOT = 14.0
_START, _END = "\x00start", "\x00end"


class _Drawn(msgspec.Struct):
    """A piece of the picture, drawn at the origin."""

    width: float
    height: float
    parts: list[str]


def svg(document: Document, *, highlight: Mapping[str, str] | None = None) -> str:
    """A self-contained SVG of a document.

    `highlight` marks states by name: the value is a status (RUNNING, SUCCEEDED, FAILED, CAUGHT, WAITING, CANCELLED; in
    any case) or a CSS colour. Names that the document does not have are ignored, so that a run's states can be given
    as they are. Raises ValueError on any other value.
    """
    colours = {name: _colour(value) for name, value in (highlight or {}).items()}
    drawn = _flow(document.flow, colours, outermost=True)
    width, height = drawn.width + 2 * MARGIN, drawn.height + 2 * MARGIN
    title = escape_xml(document.flow.comment or f"State machine that starts at {document.flow.start_at}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="skylift-graph" width="{_n(width)}" height="{_n(height)}" '
            f'viewBox="0 0 {_n(width)} {_n(height)}" role="img" font-family="{_FONT}">',
            f"<title>{_printable(title)}</title>",
            f"<style>{STYLE}</style>",
            _ARROWS,
            f'<rect class="paper" x="0.5" y="0.5" width="{_n(width - 1)}" height="{_n(height - 1)}" rx="12"/>',
            f'<g transform="translate({_n(MARGIN)},{_n(MARGIN)})">',
            *drawn.parts,
            "</g>",
            "</svg>",
            "",
        ]
    )


_FONT = "Inter,'Segoe UI',Roboto,Helvetica,Arial,'DejaVu Sans',sans-serif"
_ARROWS = (
    "<defs>"
    + "".join(
        f'<marker id="skylift-{kind}" class="{kind}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto" markerUnits="userSpaceOnUse"><path d="M0,0.5L8,4L0,7.5L2,4z"/></marker>'
        for kind in ("next", "catch")
    )
    + "</defs>"
)


def _colour(value: str) -> str:
    known = STATUS_COLOURS.get(value.upper())
    if known is not None:
        return known
    if re.fullmatch(r"#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,20}", value) and not value.isupper():
        return value
    raise ValueError(f"highlight {value!r} is neither one of {', '.join(STATUS_COLOURS)} nor a CSS colour like #2563eb")


def _flow(flow: Flow, colours: Mapping[str, str], *, outermost: bool) -> _Drawn:
    states = {name: _state(state, colours) for name, state in flow.states.items()}
    sizes = {name: (drawn.width, drawn.height) for name, drawn in states.items()}
    edges = edges_of(flow)
    labels = [shorten(edge.label, LABEL_LENGTH) for edge in edges]
    lines = [
        Line(edge.source, edge.target, _text_width(label, 11) + 12 if label else 0.0, edge.kind)
        for edge, label in zip(edges, labels, strict=True)
    ]
    first = flow.start_at
    kinds = ["catch" if edge.kind == "catch" else "next" for edge in edges]
    if outermost:
        first = _START
        sizes = {_START: (DOT, DOT), **sizes, _END: (DOT, DOT)}
        ends = [name for name, state in flow.states.items() if is_end(state)]
        lines += [Line(_START, flow.start_at), *(Line(name, _END, group="end") for name in ends)]
        if not ends:
            del sizes[_END]
    kinds += ["next"] * (len(lines) - len(kinds))
    labels += [""] * (len(lines) - len(labels))
    layout = lay_out(sizes, first, lines)
    return _Drawn(layout.width, layout.height, _parts(layout, states, kinds, labels))


def _parts(layout: Layout, states: Mapping[str, _Drawn], kinds: list[str], labels: list[str]) -> list[str]:
    """Lines first, boxes over them, labels on top."""
    parts = [
        f'<path class="edge {kind}" d="{route.path}"{"" if route.joins else _arrow(kind)}/>'
        for route, kind in zip(layout.routes, kinds, strict=True)
    ]
    for name, (left, top) in layout.boxes.items():
        if name in states:
            parts += [f'<g transform="translate({_n(left)},{_n(top)})">', *states[name].parts, "</g>"]
        else:
            parts.append(_dot(left + DOT / 2, top + DOT / 2, name == _END))
    for route, kind, label in zip(layout.routes, kinds, labels, strict=True):
        if route.label_at is not None:
            parts.append(_label(label, kind, *route.label_at))
    return parts


def _arrow(kind: str) -> str:
    return f' marker-end="url(#skylift-{kind})"'


def _dot(x: float, y: float, end: bool) -> str:
    inner = f'<circle class="dot" cx="{_n(x)}" cy="{_n(y)}" r="{_n(DOT / 2 - (3.2 if end else 1))}"/>'
    ring = f'<circle class="ring" cx="{_n(x)}" cy="{_n(y)}" r="{_n(DOT / 2 - 0.7)}"/>' if end else ""
    return ring + inner


def _label(text: str, kind: str, x: float, y: float) -> str:
    width = _text_width(text, 11) + 10
    return (
        f'<rect class="label-back" x="{_n(x - width / 2)}" y="{_n(y - 9)}" width="{_n(width)}" height="18" rx="9"/>'
        f'<text class="label {kind}" x="{_n(x)}" y="{_n(y + 4)}">{_xml(text)}</text>'
    )


def _state(state: State, colours: Mapping[str, str]) -> _Drawn:
    flows = [_flow(flow, colours, outermost=False) for flow in inner_flows(state)]
    return _container(state, flows, colours) if flows else _box(state, colours)


def _box(state: State, colours: Mapping[str, str]) -> _Drawn:
    name, small = shorten(state.name, NAME_LENGTH), shorten(detail(state), DETAIL_LENGTH)
    kind = type(state).__name__.lower()
    width = max(_text_width(name, 13) * 1.06, _text_width(small, 11)) + (56.0 if isinstance(state, Choice) else 40.0)
    width = max(width, 104.0)
    middle = _n(width / 2)
    parts = [
        f'<g class="state {kind}">{_tooltip(state)}',
        _outline(state, kind, width, colours.get(state.name)),
        f'<text class="name" x="{middle}" y="20.5">{_xml(name)}</text>',
        f'<text class="detail" x="{middle}" y="35.5">{_xml(small)}</text>',
        "</g>",
    ]
    return _Drawn(width, BOX_HEIGHT, parts)


def _outline(state: State, kind: str, width: float, colour: str | None) -> str:
    mark = f' style="stroke:{colour};stroke-width:3"' if colour else ""
    if isinstance(state, Choice):
        tip, far, half = 14.0, _n(width), _n(BOX_HEIGHT / 2)
        path = f"M{_n(tip)},0H{_n(width - tip)}L{far},{half}L{_n(width - tip)},{_n(BOX_HEIGHT)}H{_n(tip)}L0,{half}z"
        return f'<path class="shape" d="{path}" stroke-linejoin="round"{mark}/>'
    radius = BOX_HEIGHT / 2 if kind in ("succeed", "fail") else 9.0
    return f'<rect class="shape" width="{_n(width)}" height="{_n(BOX_HEIGHT)}" rx="{_n(radius)}"{mark}/>'


def _container(state: State, flows: list[_Drawn], colours: Mapping[str, str]) -> _Drawn:
    name, small = shorten(state.name, NAME_LENGTH), shorten(detail(state), DETAIL_LENGTH)
    kind = type(state).__name__.lower()
    inner = sum(flow.width for flow in flows) + 2 * PAD * (len(flows) - 1)
    width = max(inner, _text_width(name, 13) * 1.06 + 8, _text_width(small, 11) + 8) + 2 * PAD
    height = HEADER + max(flow.height for flow in flows) + PAD
    colour = colours.get(state.name)
    mark = f' style="stroke:{colour};stroke-width:3"' if colour else ""
    parts = [f'<g class="state {kind}">{_tooltip(state)}']
    if kind == "map":
        parts.append(f'<rect class="stack" x="5" y="5" width="{_n(width)}" height="{_n(height)}" rx="11"/>')
    parts += [
        f'<rect class="frame" width="{_n(width)}" height="{_n(height)}" rx="11"{mark}/>',
        f'<text class="name" x="{_n(width / 2)}" y="19">{_xml(name)}</text>',
        f'<text class="detail" x="{_n(width / 2)}" y="33">{_xml(small)}</text>',
    ]
    at = (width - inner) / 2
    for index, flow in enumerate(flows):
        if index:
            line = _n(at - PAD)
            parts.append(f'<path class="divider" d="M{line},{_n(HEADER)}V{_n(height - PAD / 2)}"/>')
        parts += [f'<g transform="translate({_n(at)},{_n(HEADER)})">', *flow.parts, "</g>"]
        at += flow.width + 2 * PAD
    parts.append("</g>")
    extra = 5.0 if kind == "map" else 0.0
    return _Drawn(width + extra, height + extra, parts)


def _tooltip(state: State) -> str:
    lines = [state.name, type(state).__name__]
    if state.comment:
        lines.append(shorten(state.comment, 200))
    return f"<title>{_xml(' · '.join(lines))}</title>"


def _text_width(text: str, size: float) -> float:
    """About how wide a text is; fonts differ, so on the safe side."""
    return sum(_char_width(c) for c in text) * size


def _char_width(char: str) -> float:
    if unicodedata.east_asian_width(char) in "WF":
        return 1.05
    if char in "iljtfrI.,:;'|!()[] ":
        return 0.4
    return 0.82 if char in "mwMW@%" else 0.68 if char.isupper() else 0.6


def _xml(text: str) -> str:
    return escape_xml(_printable(text))


def _printable(text: str) -> str:
    """Without characters that XML forbids."""
    return "".join(c for c in text if c.isprintable())


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
