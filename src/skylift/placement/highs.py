"""Large problems as mixed-integer programs, solved by HiGHS: the extra `plan`.

One variable says of each offer whether it is taken, one of each step when it begins, and for edges one of each pair of
sites. First the relaxation, in which a step may take a part of each of two offers: nothing is better than it, and it
says of each offer by how much a plan with it is dearer at least (its reduced cost). With any plan in hand, offers that
are dearer by more than that plan can be left out, and few are left for the search itself. Amounts and times are scaled
to floating-point numbers for the solver; what it answers is added up exactly again, and a plan that keeps a limit only
within the solver's tolerance is forbidden and the search goes on.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from skylift.errors import SetupError
from skylift.placement.problem import Option, Problem, Worth, keeps, worth
from skylift.placement.sweep import least_delays

SCALE = 10_000.0
"""What the whole cost and the whole time are to the solver, whose tolerances are around 1e-7."""
ROUNDS = 20
"""How often a plan that keeps limits within tolerance only is forbidden."""
PASSES = (0.98, 0.95, 0.9, 0.8, 0.65, 0.5, 0.25, 0.0)
"""Over a plan in hand, to make it cheaper: each takes the steps above that share of all savings there could be."""


NEWTON = 30
"""Deadlines at most on the way to the least one."""
SQUEEZES = 12
"""Deadlines that are tried for a plan within a budget."""


class Solved(NamedTuple):
    """What was found in the time."""

    chosen: list[Option] | None
    bound: float
    """No plan is better than that, in the units of the problem; infinite if there is no plan."""
    proven: bool


def solve(problem: Problem, aim: Literal["cost", "time"], seconds: float, hint: list[Option] | None = None) -> Solved:
    """The best plan, or the best one found in so many seconds."""
    highspy, np = _solver()
    until = time.monotonic() + seconds
    within = _within_reach(problem)
    if within.empty():
        return Solved(None, math.inf, True)
    best = _kept(problem, aim, [hint] if hint is not None else [])
    relaxed = _relaxed(within, aim, highspy, np, best, max(until - time.monotonic(), 0.1))
    if relaxed.infeasible:
        return Solved(None, math.inf, True)
    tried = [_rounded(within, aim, relaxed.values), _followed(within, relaxed.values), hint]
    if aim == "time":
        tried.append(_squeezed(within, relaxed.values))
    best = _kept(problem, aim, [improved(problem, one) for one in tried if one is not None])
    core = within if best is None else _core(within, aim, relaxed, _value(aim, worth(problem, best)), np)
    if best is not None and all(len(options) == 1 for options in core.options):
        return Solved(best, min(relaxed.bound, _value(aim, worth(problem, best))), True)
    program = _Program(core, aim, highspy, np, best)
    return program.searched(problem, best, relaxed.bound, until)


def _relaxed(
    problem: Problem, aim: Literal["cost", "time"], highspy: Any, np: Any, best: list[Option] | None, seconds: float
) -> _Relaxed:
    if aim == "time" and problem.budget is not None and not problem.links:
        found = _least_time_relaxed(problem, highspy, np, seconds)
        if found is not None:
            return found
    return _Program(problem, aim, highspy, np, best).relaxed(seconds)


def _least_time_relaxed(problem: Problem, highspy: Any, np: Any, seconds: float) -> _Relaxed | None:
    """The least deadline at which the relaxation costs no more than the budget. Its cost is convex in the deadline, so
    that Newton's steps from below never go past it, and each has the last one's basis to go on from. None if it does
    not come to an end.

    At that deadline an offer of reduced cost r, with money worth s per unit of time, makes a plan later by r / s."""
    assert problem.budget is not None
    budget = problem.budget
    quickest = worth(problem, [min(options, key=lambda o: (o.time, o.cost)) for options in problem.options])
    slowest = worth(problem, [options[0] for options in problem.options])
    if quickest is None or slowest is None or quickest.time >= slowest.time:
        return None
    priced = problem.restricted([[o._replace(cost=o.high) for o in options] for options in problem.options])
    program = _Program(priced.with_limits(slowest.time, None), "cost", highspy, np, None)
    solver, deadline, until = program.opened(), float(quickest.time), time.monotonic() + seconds
    for _ in range(NEWTON):
        cost, slope, found = program.at_deadline(solver, deadline, until - time.monotonic())
        if found is None:
            return None
        if cost <= budget * (1 + 1e-9) or slope >= 0:
            break
        deadline += (cost - budget) / -slope
    else:
        return None
    if slope >= 0:
        return None
    late = max(cost - budget, 0.0) / -slope
    return _Relaxed(found.values, found.reduced / -slope, (deadline - late) * (1 - 1e-8), False)


def _solver() -> tuple[Any, Any]:
    try:
        import highspy
        import numpy
    except ImportError as missing:
        raise SetupError(
            f"this graph is too large to be planned without a solver ({missing.name} is not installed)",
            hint="pip install 'skylift[plan]'",
        ) from missing
    return highspy, numpy


def _value(aim: str, total: Worth | None) -> int:
    assert total is not None
    return total.cost if aim == "cost" else total.time


def _kept(problem: Problem, aim: str, tried: Sequence[list[Option] | None]) -> list[Option] | None:
    """The best of those that keep the limits."""
    found = [(worth(problem, chosen), chosen) for chosen in tried if chosen is not None]
    good = [(_value(aim, total), chosen) for total, chosen in found if total is not None and keeps(problem, total)]
    return min(good, key=lambda one: one[0])[1] if good else None


def _within_reach(problem: Problem) -> Problem:
    """Without offers that end too late however quick all others are."""
    if problem.deadline is None:
        return problem
    fastest = [min((option.time for option in options), default=0) for options in problem.options]
    delay = least_delays(problem)
    starts, tails = problem.graph.starts(fastest, delay), problem.graph.tails(fastest, delay)
    deadline = problem.deadline
    return problem.restricted(
        [
            [option for option in options if starts[step] + option.time + tails[step] <= deadline]
            for step, options in enumerate(problem.options)
        ]
    )


def _rounded(problem: Problem, aim: str, values: Any) -> list[Option]:
    """Of the offers that the relaxation takes a part of, the one on the safe side of the limit."""
    chosen = []
    at = 0
    for options in problem.options:
        taken = [option for number, option in enumerate(options) if values[at + number] > 1e-7] or options
        at += len(options)
        safe = (lambda o: (o.time, o.cost)) if aim == "cost" else (lambda o: (o.high, o.time))
        chosen.append(min(taken, key=safe))
    return chosen


def _followed(problem: Problem, values: Any) -> list[Option] | None:
    """Steps in order, each as cheap as can be if it ends when it would in the relaxation at the latest: what one gains
    by taking a whole offer, those after it may spend."""
    if problem.deadline is None or problem.links:
        return None
    shares, at = [], 0
    for options in problem.options:
        parts = [float(share) for share in values[at : at + len(options)]]
        at += len(options)
        most = max(parts)
        whole = options[parts.index(most)].time
        mixed = math.floor(sum(option.time * share for option, share in zip(options, parts, strict=True)))
        shares.append(whole if most > 1 - 1e-6 else mixed)
    graph = problem.graph
    tails = graph.tails(shares, _none)
    ends, chosen = [0] * len(shares), [options[-1] for options in problem.options]
    for step in graph.order:
        begun = max((ends[one] for one in graph.before[step]), default=0)
        most_time = problem.deadline - begun - tails[step]
        chosen[step] = next((option for option in problem.options[step] if option.time <= most_time), chosen[step])
        ends[step] = begun + chosen[step].time
    return chosen


def _squeezed(problem: Problem, values: Any) -> list[Option] | None:
    """The quickest plan within the budget that following the relaxation to one deadline or another gives."""
    if problem.links or problem.budget is None:
        return None
    quickest = [min(options, key=lambda option: (option.time, option.cost)) for options in problem.options]
    ends = [worth(problem, quickest), worth(problem, [options[0] for options in problem.options])]
    low, high = (0 if end is None else end.time for end in ends)
    best: list[Option] | None = None
    for _ in range(SQUEEZES):
        middle = (low + high) // 2
        within = problem.with_limits(middle, problem.budget)
        tried = _kept(within, "time", [_followed(within, values), improved(within, quickest)])
        if tried is None:
            low = middle
        else:
            best, high = tried, middle
    return best


def improved(problem: Problem, chosen: list[Option]) -> list[Option]:
    """Each step as cheap as the slack of the plan allows, the largest savings first. Exact, and only for graphs
    without edges: with them the sites decide."""
    if problem.deadline is None or problem.links:
        return chosen
    best = list(chosen)
    gains = sorted(one.cost - options[0].cost for one, options in zip(best, problem.options, strict=True))
    for share in PASSES:
        _cheapened(problem, best, gains[int(share * (len(gains) - 1))])
    return best


def _cheapened(problem: Problem, best: list[Option], least: int) -> None:
    """Steps in order, each with the slack that is left when it begins; only where it saves so much."""
    graph = problem.graph
    tails = graph.tails([option.time for option in best], _none)
    ends = [0] * len(best)
    assert problem.deadline is not None
    for step in graph.order:
        begun = max((ends[one] for one in graph.before[step]), default=0)
        most = problem.deadline - begun - tails[step]
        for option in problem.options[step]:
            if best[step].cost - option.cost < max(least, 1):
                break
            if option.time <= most:
                best[step] = option
                break
        ends[step] = begun + best[step].time


def _none(one: int, other: int) -> int:
    return 0


class _Relaxed(NamedTuple):
    values: Any
    reduced: Any
    """Of the variables of offers, in the units of the problem."""
    bound: float
    infeasible: bool


def _core(problem: Problem, aim: str, relaxed: _Relaxed, best: int, np: Any) -> Problem:
    """The offers with which a plan can still be better than the best."""
    most = (best - relaxed.bound) * (1 + 1e-9) + 1e-9 * max(abs(best), 1)
    kept, at = [], 0
    for options in problem.options:
        reduced = relaxed.reduced[at : at + len(options)]
        at += len(options)
        kept.append([option for option, dearer in zip(options, reduced, strict=True) if dearer <= most])
    return problem.restricted([few or options for few, options in zip(kept, problem.options, strict=True)])


class _Program:
    """The problem in the solver's terms: columns of offers, then of begins, then the end of all, then of pairs."""

    def __init__(self, problem: Problem, aim: str, highspy: Any, np: Any, best: list[Option] | None) -> None:
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
            lp.integrality_ = kinds + [highspy.HighsVarType.kContinuous] * (self.columns - self.offers)
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

    def relaxed(self, seconds: float) -> _Relaxed:
        np = self.np
        solver = self._solver(seconds)
        solver.setOptionValue("presolve", "off")  # it can fill the rows of long runs up, and takes minutes for it
        solver.passModel(self._model(whole=False))
        solver.run()
        status, kinds = solver.getModelStatus(), self.highspy.HighsModelStatus
        none = np.zeros(self.offers)
        if status == kinds.kInfeasible:
            return _Relaxed(none, none, math.inf, True)
        if status != kinds.kOptimal:
            return _Relaxed(none, none, 0.0, False)
        solution = solver.getSolution()
        objective = solver.getInfo().objective_function_value
        bound = (objective - 1e-7 * max(1.0, abs(objective))) / self._unit
        duals = np.asarray(solution.col_dual[: self.offers]) / self._unit
        return _Relaxed(np.asarray(solution.col_value[: self.offers]), duals, bound, False)

    def opened(self) -> Any:
        """A solver with the relaxation, to be asked for one deadline after the other."""
        solver = self._solver(1.0)
        solver.setOptionValue("presolve", "off")
        solver.passModel(self._model(whole=False))
        return solver

    def at_deadline(self, solver: Any, deadline: float, seconds: float) -> tuple[float, float, _Relaxed | None]:
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
        return cost, slope, _Relaxed(np.asarray(solution.col_value[: self.offers]), duals, cost, False)

    def searched(self, problem: Problem, best: list[Option] | None, bound: float, until: float) -> Solved:
        """Branch and bound; `problem` has all limits exactly."""
        solver = self._solver(until - time.monotonic())
        solver.passModel(self._model(whole=True))
        if best is not None:
            self._start_from(solver, best)
        for _ in range(ROUNDS):
            solver.setOptionValue("time_limit", max(until - time.monotonic(), 0.05))
            solver.run()
            status, kinds = solver.getModelStatus(), self.highspy.HighsModelStatus
            if status == kinds.kInfeasible:
                return self._ended(problem, best, math.inf if best is None else bound, True)
            found = self._chosen(solver)
            total = None if found is None else worth(problem, found)
            if found is not None and (total is None or not keeps(problem, total)):
                if status != kinds.kOptimal:
                    break
                self._forbid(solver, found)
                continue
            best = _kept(problem, self.aim, [one for one in (best, found) if one is not None])
            reached = solver.getInfo().mip_dual_bound / self._unit
            return self._ended(problem, best, max(bound, reached), status == kinds.kOptimal)
        return self._ended(problem, best, bound, False)

    def _ended(self, problem: Problem, best: list[Option] | None, bound: float, proven: bool) -> Solved:
        if best is None:
            return Solved(None, bound, proven)
        return Solved(best, min(bound, _value(self.aim, worth(problem, best))), proven)

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
