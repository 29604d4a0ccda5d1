"""Colours of the SVG picture, for light and dark surroundings."""

from __future__ import annotations

STATUS_COLOURS = {
    "RUNNING": "#3b82f6",
    "SUCCEEDED": "#10b981",
    "FAILED": "#ef4444",
    "CAUGHT": "#f59e0b",
    "WAITING": "#8b5cf6",
    "CANCELLED": "#94a3b8",
}

_LIGHT = {
    "task": ("#eff6ff", "#2563eb"),
    "pass": ("#f8fafc", "#64748b"),
    "choice": ("#fffbeb", "#d97706"),
    "wait": ("#f5f3ff", "#7c3aed"),
    "succeed": ("#ecfdf5", "#059669"),
    "fail": ("#fef2f2", "#dc2626"),
    "parallel": ("#f0fdfa", "#0d9488"),
    "map": ("#f5f6ff", "#4f46e5"),
}
_DARK = {
    "task": ("#172554", "#60a5fa"),
    "pass": ("#1e293b", "#94a3b8"),
    "choice": ("#3b2506", "#fbbf24"),
    "wait": ("#2e1065", "#a78bfa"),
    "succeed": ("#052e23", "#34d399"),
    "fail": ("#450a0a", "#f87171"),
    "parallel": ("#0b2f2c", "#2dd4bf"),
    "map": ("#1a1840", "#818cf8"),
}


def _rules(
    kinds: dict[str, tuple[str, str]], paper: str, border: str, ink: str, faint: str, line: str, red: str
) -> str:
    def rule(selector: str, body: str) -> str:
        return f".skylift-graph {selector}{{{body}}}"

    shapes = [
        rule(f".{kind}>.{part}", f"fill:{fill};stroke:{stroke}")
        for kind, (fill, stroke) in kinds.items()
        for part in (("frame", "stack") if kind in ("parallel", "map") else ("shape",))
    ]
    return "".join(
        [
            rule(".paper", f"fill:{paper};stroke:{border}"),
            *shapes,
            rule(".name", f"fill:{ink}"),
            rule(".detail", f"fill:{faint}"),
            rule(".edge", f"stroke:{line}"),
            rule(".edge.catch", f"stroke:{red}"),
            rule("marker.next path", f"fill:{line}"),
            rule("marker.catch path", f"fill:{red}"),
            rule(".label", f"fill:{faint}"),
            rule(".label.catch", f"fill:{red}"),
            rule(".label-back", f"fill:{paper}"),
            rule(".divider", f"stroke:{border}"),
            rule(".dot", f"fill:{line}"),
            rule(".ring", f"stroke:{line}"),
        ]
    )


_SHAPES = (
    ".skylift-graph text{text-anchor:middle;font-size:11px}"
    ".skylift-graph .name{font-size:13px;font-weight:600}"
    ".skylift-graph .shape,.skylift-graph .frame{stroke-width:1.5}"
    ".skylift-graph .stack{stroke-width:1;opacity:.45}"
    ".skylift-graph .edge{fill:none;stroke-width:1.5}"
    ".skylift-graph .edge.catch{stroke-dasharray:5 4}"
    ".skylift-graph .label-back{opacity:.88}"
    ".skylift-graph .divider{stroke-dasharray:3 4;fill:none}"
    ".skylift-graph .ring{fill:none;stroke-width:1.4}"
)

LIGHT = _rules(_LIGHT, "#ffffff", "#e2e8f0", "#0f172a", "#475569", "#64748b", "#dc2626")
DARK = _rules(_DARK, "#0b1220", "#334155", "#f1f5f9", "#a9b6c8", "#8fa0b8", "#f87171")
STYLE = f"{_SHAPES}{LIGHT}@media (prefers-color-scheme:dark){{{DARK}}}"
