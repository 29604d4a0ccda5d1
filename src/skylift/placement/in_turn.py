"""The exact program in which steps that share quotas may wait for each other: for small graphs.

Beside what `Program` has, a variable for each pair of steps, of which neither comes after the other anyway, that says
that the one waits for the other's end. What a step leaves of a quota may go on to steps after it and to those that
wait for it, and to nobody else; so whatever runs at once never takes more than there is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from skylift.errors import AuthorError
from skylift.placement.graph import Graph
from skylift.placement.highs import solver
from skylift.placement.problem import Option, Problem, keeps, worth
from skylift.placement.program import Pool, Program
from skylift.placement.quotas import heaviest
from skylift.placement.waiting import ancestors

MOST_PAIRS = 150
"""That may wait for each other: with more, the solver seldom ends in its time."""
Pair = tuple[int, int]
"""The one that is waited for, and the one that waits."""


class Turns(NamedTuple):
    chosen: list[Option] | None
    waits: dict[Pair, int]
    """With the number of a pool for which it is."""
    proven: bool


def pairs_of(graph: Graph, pools: Sequence[Pool]) -> list[Pair]:
    """Steps that could take from the same pool at once."""
    before = ancestors(graph)
    wanting = [[step for step, takes in enumerate(pool.takes) if any(takes)] for pool in pools]
    found = {
        (one, other)
        for steps in wanting
        for one in steps
        for other in steps
        if one != other and not before[one] >> other & 1 and not before[other] >> one & 1
    }
    return sorted(found)


def in_turn(problem: Problem, aim: Literal["cost", "time"], seconds: float, pools: Sequence[Pool]) -> Turns | None:
    """The best plan and who waits in it. None if the graph is too large for this. Not proven where time ran out."""
    pairs = pairs_of(problem.graph, pools)
    if len(pairs) > 2 * MOST_PAIRS:
        return None
    highspy, np = solver()
    until = time.monotonic() + seconds
    program = _InTurn(problem, aim, highspy, np, pools, pairs)
    found = program.searched(problem, None, 0.0, until, program.holds)
    waits = program.waits if found.chosen is not None else {}
    return Turns(found.chosen, waits, found.proven and not program.refused)


def with_turns(problem: Problem, waits: Sequence[Pair]) -> Problem:
    """Raises AuthorError for a circle."""
    before = [list(earlier) for earlier in problem.graph.before]
    for giver, step in waits:
        before[step].append(giver)
    return problem.of_graph(Graph(problem.graph.names, before))


class _InTurn(Program):
    """Each step has a begin of its own here: it may have to wait in the midst of a run."""

    def __init__(
        self, problem: Problem, aim: str, highspy: Any, np: Any, pools: Sequence[Pool], pairs: Sequence[Pair]
    ) -> None:
        self.pairs_in_turn = pairs
        self.waits: dict[Pair, int] = {}
        self.of_pools = pools
        self.refused = False
        """Something was kept within the solver's tolerance only: other orders of the same offers are lost with it."""
        super().__init__(problem, aim, highspy, np, None)
        self.turn = {pair: self.columns + number for number, pair in enumerate(pairs)}
        self.integers = list(self.turn.values())
        self.columns += len(pairs)
        self.horizon_share = self.horizon * self.by_time
        for one, other in pairs:
            self._build_turn(one, other)
        self.handed: list[dict[Pair, int]] = [self._build_pool(pool, self.turn) for pool in pools]

    def _runs(self) -> list[list[int]]:
        return [[step] for step in self.problem.graph.order]

    def _build_turn(self, one: int, other: int) -> None:
        """If it waits, it begins after the other's end."""
        if one < other:
            both = [self.turn[one, other], self.turn[other, one]]
            self.rows.append((-math.inf, 1.0, both, [1.0, 1.0]))
        if not self.timed:
            return
        options = self.problem.options[one]
        columns = [self.offers + other, self.offers + one, self.turn[one, other]]
        columns += range(self.first[one], self.first[one + 1])
        values = [1.0, -1.0, -self.horizon_share, *(-option.time * self.by_time for option in options)]
        self.rows.append((-self.horizon_share, math.inf, columns, values))

    def _chosen(self, solver: Any) -> list[Option] | None:
        found = super()._chosen(solver)
        if found is not None:
            values = solver.getSolution().col_value
            self.waits = {
                pair: pool
                for pool, handed in enumerate(self.handed)
                for pair, column in handed.items()
                if values[column] > 1e-7 and values[self.turn[pair]] > 0.5
            }
        return found

    def holds(self, chosen: list[Option]) -> bool:
        """Exactly, with the waits."""
        try:
            ordered = with_turns(self.problem, list(self.waits))
        except AuthorError:
            self.refused = True
            return False
        total = worth(ordered, chosen)
        kept = total is not None and keeps(ordered, total) and self._has_room(ordered.graph, chosen)
        self.refused |= not kept
        return kept

    def _has_room(self, graph: Graph, chosen: list[Option]) -> bool:
        places = [options.index(option) for options, option in zip(self.problem.options, chosen, strict=True)]
        return all(
            heaviest(graph, [takes[place] for takes, place in zip(pool.takes, places, strict=True)])[0] <= pool.most
            for pool in self.of_pools
        )
