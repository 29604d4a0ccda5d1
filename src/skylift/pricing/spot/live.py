"""Which market a real step's next delivery is bought on: the spot policy where a machine cannot be seen before it is
asked for, and on-demand is kept until the step ends.

Under these two conditions what `skylift_policy` weighs comes down to its safety net, exactly. Waiting for spot is free
and on-demand costs the same later as now: remaining work and one changeover. So going there early gains nothing, while
waiting may gain (1 - ratio) an hour; and going there late misses the deadline. What is uncertain is only how long the
work and a changeover really take, so both are taken as measured, and a moment is kept in reserve for asking again.
"""

from __future__ import annotations

from skylift.ports.compute import Market
from skylift.ports.spot import SpotState


def market_for(state: SpotState) -> Market:
    """Spot, until what is left of the time would only just suffice for the work on machines that nobody takes away."""
    if state.deadline_ms is None or state.work_ms is None:
        return "spot"
    left = state.deadline_ms - state.elapsed_ms
    remaining = max(0, state.work_ms - state.done_ms)
    return "on-demand" if left < remaining + 2 * state.changeover_ms + state.asked_again_ms else "spot"
