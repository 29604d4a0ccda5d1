"""Why a plan is as it is: the runner-up of each step, what each limit costs, the front of cost and time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from skylift.placement.front import DEADLINES, front
from skylift.placement.model import Edge, Quotas, Step
from skylift.placement.plan import Explanation, Plan
from skylift.placement.problem import problem_of
from skylift.placement.runners_up import runners_up
from skylift.placement.search import SECONDS
from skylift.placement.shadows import of_quotas, shadows
from skylift.placement.sharing import IN_TURN, NO_WAIT, with_waits


def explained(
    plan: Plan,
    steps: Sequence[Step],
    *,
    edges: Sequence[Edge] = (),
    deadlines: int = DEADLINES,
    seconds: float = SECONDS,
    quotas: Quotas | None = None,
) -> Plan:
    """The plan with its explanation. `seconds` is what the solver may take for each question; a point of the front
    gets a third of it. What limits cost and the front are without quotas."""
    free = problem_of(steps, plan.limits, edges)
    ordered = with_waits(steps, plan.waits)
    problem = problem_of(ordered, plan.limits, edges) if plan.waits else free
    prices = list(shadows(plan, steps, edges, seconds, free))
    shown = front(steps, plan.limits, edges=edges, deadlines=deadlines, seconds=seconds / 3, problem=free)
    if plan.waits or plan.method.startswith((NO_WAIT, IN_TURN)):
        prices.append(of_quotas(plan, steps, edges, free, seconds))
        shown = msgspec.structs.replace(shown, says=f"{shown.says}; without the quotas")
    explanation = Explanation(
        runners_up=tuple(runners_up(plan, ordered, edges, problem, quotas)), shadows=tuple(prices), front=shown
    )
    return msgspec.structs.replace(plan, explanation=explanation)
