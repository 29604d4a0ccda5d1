"""A placement problem in the solver's terms: columns, rows, and what HiGHS answers, added up exactly again."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from skylift.placement.problem import Option, Problem, Worth, keeps, worth

SCALE = 10_000.0
"""What the whole cost and the whole time are to the solver, whose tolerances are around 1e-7."""
ROUNDS = 20
"""How often a plan that keeps limits within tolerance only is forbidden."""
PUNCTUAL = 0.85
"""Of the time that is left: the solver looks at its clock now and then only."""


class Solved(NamedTuple):
    """What was found in the time."""

    chosen: list[Option] | None
    bound: float
    """No plan is better than that, in the units of the problem; infinite if there is no plan."""
    proven: bool


class Pool(NamedTuple):
    """A quota that no steps that may run at once may take more of."""

    most: int
    takes: list[list[int]]
    """Of each option of each step."""


class Relaxed(NamedTuple):
    values: Any
    reduced: Any
    """Of the variables of offers, in the units of the problem."""
    bound: float
    infeasible: bool
    solved: bool = True
    """False where its time ran out: nothing is known then."""


def value_of(aim: str, total: Worth | None) -> int:
    assert total is not None
    return total.cost if aim == "cost" else total.time


def kept_of(problem: Problem, aim: str, tried: Sequence[list[Option] | None]) -> list[Option] | None:
    """The best of those that keep the limits."""
    found = [(worth(problem, chosen), chosen) for chosen in tried if chosen is not None]
    good = [(value_of(aim, total), chosen) for total, chosen in found if total is not None and keeps(problem, total)]
    return min(good, key=lambda one: one[0])[1] if good else None


class Program:
    """The problem in the solver's terms: columns of offers, then of begins, then the end of all, then of pairs, then of
    what of each pool goes from where to where."""

    def __init__(
        self,
        problem: Problem,
        aim: str,
        highspy: Any,
        np: Any,
        best: list[Option] | None,
        pools: Sequence[Pool] = (),
    ) -> None:
        self.integers: list[int] = []
        """Columns that are whole beside those of offers."""
        self.problem, self.aim, self.highspy, self.np = problem, aim, highspy, np
        self.first = [0]
        for options in problem.options:
            self.first.append(self.first[-1] + len(options))
        self.offers = self.first[-1]
        self.steps = len(problem.options)
        slowest = sum(max(option.time for option in options) for options in problem.options)
        slowest += sum(max((haul.time for haul in link.hauls.values()), default=0) for link in problem.links)
        self.horizon = max(slowest if problem.deadline is None else min(slowest, problem.deadline), 1)
        self.by_time = SCALE / self.horizon
        total = sum(options[0].cost for options in problem.options)
        known = worth(problem, best) if best is not None else None
        self.by_cost = SCALE / max(total if known is None else known.cost, 1)
        self.timed = problem.deadline is not None or aim == "time"
        self.rows: list[tuple[float, float, list[int], list[float]]] = []
        self.pairs: list[tuple[int, int, int, int, float, float]] = []
        self.between: dict[tuple[int, int], list[int]] = {}
        for number, link in enumerate(problem.links):
            self.between.setdefault((link.source, link.target), []).append(number)
        self.columns = self._columns()
        self._build()
        for pool in pools:
            self._build_pool(pool, {})

    def _columns(self) -> int:
        at = self.offers + self.steps + 1
        self.pair_column: list[dict[tuple[int, int], int]] = []
        for link in self.problem.links:
            columns = {}
            sources = {option.site for option in self.problem.options[link.source]}
            targets = {option.site for option in self.problem.options[link.target]}
            for one, other in link.hauls:
                if one in sources and other in targets:
                    columns[one, other] = at
                    at += 1
            self.pair_column.append(columns)
        return at

    def _build(self) -> None:
        for step in range(self.steps):
            columns = list(range(self.first[step], self.first[step + 1]))
            self.rows.append((1.0, 1.0, columns, [1.0] * len(columns)))
        if self.timed:
            self._build_times()
        self._build_pairs()
        problem = self.problem
        if problem.budget is not None:
            columns = list(range(self.offers))
            values = [option.high * self.by_cost for options in problem.options for option in options]
            for link, pairs in zip(problem.links, self.pair_column, strict=True):
                columns += pairs.values()
                values += [link.hauls[pair].cost * self.by_cost for pair in pairs]
            self.rows.append((-math.inf, problem.budget * self.by_cost, columns, values))

    def _build_times(self) -> None:
        """A run of steps of which each waits for the one before it alone has one begin. The first of another begins
        when those before it have ended and what they left has come."""
        end = self.offers + self.steps
        for run in self._runs():
            begin = self.offers + run[0]
            columns, values = [begin], [-1.0]
            for step in run:
                columns += range(self.first[step], self.first[step + 1])
                values += [-option.time * self.by_time for option in self.problem.options[step]]
            for one, other in itertools.pairwise(run):
                for number in self.between.get((one, other), []):
                    self._add_hauls(number, columns, values)
            for later in self.problem.graph.after[run[-1]]:
                moves = self.between.get((run[-1], later), [])
                for number in moves or [-1]:
                    both = ([*columns, self.offers + later], [*values, 1.0])
                    if number >= 0:
                        self._add_hauls(number, *both)
                    self.rows.append((0.0, math.inf, *both))
            if not self.problem.graph.after[run[-1]]:
                self.rows.append((0.0, math.inf, [*columns, end], [*values, 1.0]))

    def _add_hauls(self, number: int, columns: list[int], values: list[float]) -> None:
        pairs, hauls = self.pair_column[number], self.problem.links[number].hauls
        columns += pairs.values()
        values += [-hauls[pair].time * self.by_time for pair in pairs]

    def _runs(self) -> list[list[int]]:
        graph = self.problem.graph
        runs: list[list[int]] = []
        ends: dict[int, list[int]] = {}
        for step in graph.order:
            earlier = graph.before[step]
            alone = len(earlier) == 1 and len(graph.after[earlier[0]]) == 1
            if alone and len(self.between.get((earlier[0], step), [])) < 2:
                run = ends.pop(earlier[0])
                run.append(step)
            else:
                runs.append(run := [step])
            ends[step] = run
        return runs

    def _build_pairs(self) -> None:
        """The sites of a pair are those of the offers at its two ends."""
        for link, pairs in zip(self.problem.links, self.pair_column, strict=True):
            for step, place in ((link.source, 0), (link.target, 1)):
                rows: dict[int, tuple[list[int], list[float]]] = {}
                for number, option in enumerate(self.problem.options[step]):
                    columns, values = rows.setdefault(option.site, ([], []))
                    columns.append(self.first[step] + number)
                    values.append(-1.0)
                for pair, column in pairs.items():
                    columns, values = rows[pair[place]]
                    columns.append(column)
                    values.append(1.0)
                self.rows += [(0.0, 0.0, columns, values) for columns, values in rows.values()]

    def _build_pool(self, pool: Pool, turns: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
        """Units go from step to step along the graph, and from one step to another where the column of that turn
        allows it; each step is passed by as many as it takes, and all together are no more than there are (see
        `quotas`). In shares of the pool. Answers with the columns of what is handed on in each turn."""
        graph, most = self.problem.graph, max(pool.most, 1)
        into = [[self.columns + step] for step in range(self.steps)]
        onward: list[list[int]] = [[] for _ in range(self.steps)]
        wanting = [any(takes) for takes in pool.takes]
        along = [(step, one) for step, later in enumerate(graph.after) for one in later]
        in_turn = [pair for pair in turns if wanting[pair[0]] and wanting[pair[1]]]
        at = self.columns + self.steps
        self.rows.append((-math.inf, 1.0, list(range(self.columns, at)), [1.0] * self.steps))
        for column, (one, other) in enumerate((*along, *in_turn), start=at):
            onward[one].append(column)
            into[other].append(column)
        handed = {pair: at + len(along) + number for number, pair in enumerate(in_turn)}
        self.columns = at + len(along) + len(in_turn)
        self.rows += [(-math.inf, 0.0, [column, turns[pair]], [1.0, -1.0]) for pair, column in handed.items()]
        for step, takes in enumerate(pool.takes):
            passed, ones = into[step], [1.0] * len(into[step])
            if onward[step]:
                self.rows.append((0.0, math.inf, [*passed, *onward[step]], [*ones, *[-1.0] * len(onward[step])]))
            wanted = [(self.first[step] + number, -take / most) for number, take in enumerate(takes) if take]
            if wanted:
                columns, values = zip(*wanted, strict=True)
                self.rows.append((0.0, math.inf, [*passed, *columns], [*ones, *values]))
        return handed

    def _costs(self) -> Any:
        np, problem = self.np, self.problem
        costs = np.zeros(self.columns)
        if self.aim == "time":
            costs[self.offers + self.steps] = 1.0
            return costs
        costs[: self.offers] = [option.cost * self.by_cost for options in problem.options for option in options]
        for link, pairs in zip(problem.links, self.pair_column, strict=True):
            for pair, column in pairs.items():
                costs[column] = link.hauls[pair].cost * self.by_cost
        return costs

    def _model(self, whole: bool) -> Any:
        highspy, np = self.highspy, self.np
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.columns, len(self.rows)
        lp.col_cost_ = self._costs()
        upper = np.ones(self.columns)
        upper[self.offers : self.offers + self.steps + 1] = self.horizon * self.by_time
        lp.col_lower_, lp.col_upper_ = np.zeros(self.columns), upper
        lp.row_lower_ = np.array([row[0] for row in self.rows])
        lp.row_upper_ = np.array([row[1] for row in self.rows])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.cumsum([0, *(len(row[2]) for row in self.rows)]).astype(np.int32)
        lp.a_matrix_.index_ = np.array([column for row in self.rows for column in row[2]], dtype=np.int32)
        lp.a_matrix_.value_ = np.array([value for row in self.rows for value in row[3]])
        if whole:
            kinds = [highspy.HighsVarType.kInteger] * self.offers
            kinds += [highspy.HighsVarType.kContinuous] * (self.columns - self.offers)
            for column in self.integers:
                kinds[column] = highspy.HighsVarType.kInteger
            lp.integrality_ = kinds
        return lp

    def _solver(self, seconds: float) -> Any:
        solver = self.highspy.Highs()
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", 0),
            ("time_limit", max(seconds, 0.05)),
            ("mip_rel_gap", 0.0),
            ("mip_abs_gap", 1e-6),
        ):
            solver.setOptionValue(option, value)
        return solver

    @property
    def _unit(self) -> float:
        return self.by_cost if self.aim == "cost" else self.by_time

    def relaxed(self, seconds: float) -> Relaxed:
        np = self.np
        solver = self._solver(seconds)
        solver.setOptionValue("presolve", "off")  # it can fill the rows of long runs up, and takes minutes for it
        solver.passModel(self._model(whole=False))
        solver.run()
        status, kinds = solver.getModelStatus(), self.highspy.HighsModelStatus
        none = np.zeros(self.offers)
        if status == kinds.kInfeasible:
            return Relaxed(none, none, math.inf, True)
        if status != kinds.kOptimal:
            return Relaxed(none, none, 0.0, False, False)
        solution = solver.getSolution()
        objective = solver.getInfo().objective_function_value
        bound = (objective - 1e-7 * max(1.0, abs(objective))) / self._unit
        duals = np.asarray(solution.col_dual[: self.offers]) / self._unit
        return Relaxed(np.asarray(solution.col_value[: self.offers]), duals, bound, False)

    def opened(self) -> Any:
        """A solver with the relaxation, to be asked for one deadline after the other."""
        solver = self._solver(1.0)
        solver.setOptionValue("presolve", "off")
        solver.passModel(self._model(whole=False))
        return solver

    def at_deadline(self, solver: Any, deadline: float, seconds: float) -> tuple[float, float, Relaxed | None]:
        """What the relaxation costs, what it would cost more with more time, and its offers."""
        end = self.offers + self.steps
        solver.changeColBounds(end, 0.0, deadline * self.by_time)
        solver.setOptionValue("time_limit", solver.getRunTime() + max(seconds, 0.05))
        solver.run()
        if solver.getModelStatus() != self.highspy.HighsModelStatus.kOptimal:
            return 0.0, 0.0, None
        solution, np = solver.getSolution(), self.np
        cost = solver.getInfo().objective_function_value / self.by_cost
        slope = solution.col_dual[end] * self.by_time / self.by_cost
        duals = np.asarray(solution.col_dual[: self.offers]) / self.by_cost
        return cost, slope, Relaxed(np.asarray(solution.col_value[: self.offers]), duals, cost, False)

    def searched(
        self,
        problem: Problem,
        best: list[Option] | None,
        bound: float,
        until: float,
        allowed: Callable[[list[Option]], bool] = lambda chosen: True,
    ) -> Solved:
        """Branch and bound; `problem` has all limits exactly, and `allowed` says what else must hold exactly."""
        solver = self._solver(until - time.monotonic())
        solver.passModel(self._model(whole=True))
        if best is not None:
            self._start_from(solver, best)
        for _ in range(ROUNDS):
            solver.setOptionValue("time_limit", solver.getRunTime() + max((until - time.monotonic()) * PUNCTUAL, 0.05))
            solver.run()
            status, kinds = solver.getModelStatus(), self.highspy.HighsModelStatus
            if status == kinds.kInfeasible:
                return self._ended(problem, best, math.inf if best is None else bound, True)
            found = self._chosen(solver)
            total = None if found is None else worth(problem, found)
            if found is not None and (total is None or not keeps(problem, total) or not allowed(found)):
                if status != kinds.kOptimal:
                    break
                self._forbid(solver, found)
                continue
            best = kept_of(problem, self.aim, [one for one in (best, found) if one is not None])
            reached = solver.getInfo().mip_dual_bound / self._unit
            return self._ended(problem, best, max(bound, reached), status == kinds.kOptimal)
        return self._ended(problem, best, bound, False)

    def _ended(self, problem: Problem, best: list[Option] | None, bound: float, proven: bool) -> Solved:
        if best is None:
            return Solved(None, bound, proven)
        return Solved(best, min(bound, value_of(self.aim, worth(problem, best))), proven)

    def _chosen(self, solver: Any) -> list[Option] | None:
        if not math.isfinite(solver.getInfo().objective_function_value):
            return None
        values = solver.getSolution().col_value[: self.offers]
        if len(values) < self.offers:
            return None
        return [
            max(zip(values[self.first[step] : self.first[step + 1]], options, strict=True), key=lambda two: two[0])[1]
            for step, options in enumerate(self.problem.options)
        ]

    def _forbid(self, solver: Any, found: list[Option]) -> None:
        """This choice as a whole keeps the limits within the solver's tolerance only."""
        columns = [self.first[step] + self.problem.options[step].index(option) for step, option in enumerate(found)]
        np = self.np
        solver.addRow(
            -self.highspy.kHighsInf,
            self.steps - 1.0,
            self.steps,
            np.array(columns, dtype=np.int32),
            np.ones(self.steps),
        )

    def _start_from(self, solver: Any, best: list[Option]) -> None:
        np = self.np
        columns = []
        for step, option in enumerate(best):
            if option in self.problem.options[step]:
                columns.append(self.first[step] + self.problem.options[step].index(option))
        chosen = set(columns)
        values = np.array([float(column in chosen) for column in range(self.offers)])
        solver.setSolution(self.offers, np.arange(self.offers, dtype=np.int32), values)
