"""A document as a Mermaid flowchart."""

from __future__ import annotations

from skylift.asl.diagram.graph import detail, edges_of, inner_flows, is_end, shorten
from skylift.asl.document import Choice, Document, Fail, Flow, State, Succeed

LABEL = 60
_INDENT = "    "


def mermaid(document: Document) -> str:
    """Mermaid text (`flowchart TD`) of a document; nested flows are subgraphs, catch edges dashed."""
    drawing = _Drawing()
    drawing.lines.append("flowchart TD")
    drawing.flow(document.flow, 1)
    start, end = "start((start))", "finish(((end)))"
    drawing.lines.append(f"{_INDENT}{start} --> {drawing.ids[document.flow.start_at]}")
    ends = [drawing.ids[state.name] for state in document.flow.states.values() if is_end(state)]
    drawing.lines += [f"{_INDENT}{name} --> {end}" for name in ends]
    drawing.lines += [f"{_INDENT}{line}" for line in _STYLES]
    return "\n".join(drawing.lines) + "\n"


class _Drawing:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ids: dict[str, str] = {}

    def flow(self, flow: Flow, depth: int) -> None:
        for name in flow.states:
            self.ids[name] = f"s{len(self.ids)}"
        for state in flow.states.values():
            self._state(state, depth)
        for edge in edges_of(flow):
            arrow = "-.->" if edge.kind == "catch" else "-->"
            label = f'|"{escape(shorten(edge.label, LABEL))}"|' if edge.label else ""
            self.lines.append(f"{_INDENT * depth}{self.ids[edge.source]} {arrow}{label} {self.ids[edge.target]}")

    def _state(self, state: State, depth: int) -> None:
        flows = inner_flows(state)
        name = self.ids[state.name]
        pad = _INDENT * depth
        if not flows:
            self.lines.append(f"{pad}{name}{_shape(state)}")
            return
        self.lines.append(f'{pad}subgraph {name}["{escape(state.name)} · {escape(detail(state))}"]')
        for index, flow in enumerate(flows):
            if len(flows) > 1:
                self.lines.append(f'{pad}{_INDENT}subgraph {name}b{index}[" "]')
                self.flow(flow, depth + 2)
                self.lines.append(f"{pad}{_INDENT}end")
            else:
                self.flow(flow, depth + 1)
        self.lines.append(f"{pad}end")


def _shape(state: State) -> str:
    text = f'"{escape(state.name)}"'
    if isinstance(state, Choice):
        return f"{{{{{text}}}}}:::choice"
    if isinstance(state, Succeed):
        return f"([{text}]):::succeed"
    if isinstance(state, Fail):
        return f"([{text}]):::fail"
    kind = type(state).__name__.lower()
    return f'["{escape(state.name)}<br/><small>{escape(shorten(detail(state), 40))}</small>"]:::{kind}'


def escape(text: str) -> str:
    """Text inside quotes: whatever Mermaid could take for syntax becomes a character code."""
    line = shorten(text, 200)
    return "".join(c if c.isalnum() or c in " _-.,:()=+·…'" else f"#{ord(c)};" for c in line)


_STYLES = (
    "classDef task fill:#eff6ff,stroke:#2563eb,color:#0f172a",
    "classDef pass fill:#f8fafc,stroke:#64748b,color:#0f172a",
    "classDef choice fill:#fffbeb,stroke:#d97706,color:#0f172a",
    "classDef wait fill:#f5f3ff,stroke:#7c3aed,color:#0f172a",
    "classDef succeed fill:#ecfdf5,stroke:#059669,color:#0f172a",
    "classDef fail fill:#fef2f2,stroke:#dc2626,color:#0f172a",
)
