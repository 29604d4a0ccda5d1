"""Building one flow of states: what is emitted next is connected to what was left open."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

State = dict[str, Any]
Edge = Callable[[str], None]


class Label:
    """A place in a flow that edges may lead to before it exists."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.waiting: list[Edge] = []

    def connect(self, edge: Edge) -> None:
        if self.name is not None:
            edge(self.name)
        else:
            self.waiting.append(edge)

    def resolve(self, name: str) -> None:
        self.name = name
        for edge in self.waiting:
            edge(name)
        self.waiting.clear()


class Names:
    """State and variable names: readable, unique in the whole document."""

    def __init__(self) -> None:
        self._states: set[str] = set()
        self._variables: set[str] = {"states"}

    def copy(self) -> tuple[set[str], set[str]]:
        return set(self._states), set(self._variables)

    def restore(self, taken: tuple[set[str], set[str]]) -> None:
        self._states, self._variables = set(taken[0]), set(taken[1])

    def state(self, wanted: str) -> str:
        return _unique(" ".join(wanted.split())[:76] or "state", self._states, " ")

    def variable(self, wanted: str) -> str:
        base = wanted if wanted.isascii() and not wanted.startswith("PY") else "var"
        return _unique(base[:72], self._variables, "_")


def _unique(base: str, taken: set[str], gap: str) -> str:
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base[: 79 - len(str(number))]}{gap}{number}"
    taken.add(name)
    return name


class Flow:
    """States of one scope (the document, a branch, an item processor) while they are being written.

    `edges` are the open ends: whatever is added next is where they lead. Without one the code is unreachable.
    """

    def __init__(self, names: Names, source_map: dict[str, int]) -> None:
        self.names = names
        self.source_map = source_map
        self.states: dict[str, State] = {}
        self.start: str | None = None
        self.last: str | None = None
        self.error: str | None = None
        self.edges: list[Edge] = [self._set_start]

    @property
    def reachable(self) -> bool:
        return bool(self.edges)

    def add(self, name: str, state: State, node: ast.AST | None = None) -> str:
        """Add a state where the open ends meet. Its `Next`, if it has one, is the new open end."""
        unique = self.names.state(name)
        self.states[unique] = state
        line = getattr(node, "lineno", None)
        if line is not None:
            self.source_map[unique] = line
        edges, self.edges = self.edges, []
        for edge in edges:
            edge(unique)
        self.last = unique
        if state["Type"] not in ("Choice", "Succeed", "Fail") and not state.get("End"):
            self.edges = [setter(state, "Next")]
        return unique

    def place(self, label: Label) -> None:
        """The next state is where the label's edges lead, those made so far and those to come."""
        self.edges = [*self.edges, *label.waiting]
        label.waiting = []
        if self.edges:
            self.edges.append(label.resolve)
        self.last = None

    def jump(self, label: Label) -> None:
        """Lead all open ends to the label; what follows is reachable only through another label."""
        if any(edge == label.resolve for edge in self.edges):
            self.add("pass", {"Type": "Pass"})
        for edge in self.take():
            label.connect(edge)

    def take(self) -> list[Edge]:
        """Take the open ends away, to be joined again later."""
        edges, self.edges = self.edges, []
        self.last = None
        return edges

    def join(self, edges: list[Edge]) -> None:
        self.edges = [*self.edges, *edges]
        self.last = None

    def direct_result(self, code: str) -> State | None:
        """The state just added, if all it assigns is what `code` reads: its result can go elsewhere."""
        if self.last is None or len(self.edges) != 1:
            return None
        state = self.states[self.last]
        return state if code.startswith("$") and list(state.get("Assign", ())) == [code[1:]] else None

    def document(self) -> State:
        return {"StartAt": self.start, "States": self.states}

    def _set_start(self, name: str) -> None:
        self.start = name


def setter(target: State, key: str) -> Edge:
    def edge(name: str) -> None:
        target[key] = name

    return edge
