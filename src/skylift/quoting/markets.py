"""How often the spot machines of the simulated cloud are taken away, by its settings: what a quote reckons with."""

from __future__ import annotations

from pathlib import Path

from skylift.compute.simulated.traces import choose_trace
from skylift.config.backends import SimulatedSettings
from skylift.placement.feasible import Quotas
from skylift.placement.interruptions import HOUR_MS, Interruptions
from skylift.pricing.spot.traces import Trace, read_traces
from skylift.units import parse_duration_ms


def market_of(settings: SimulatedSettings, project: Path) -> Interruptions:
    """Raises TraceInvalid, or InvalidAmount."""
    if settings.traces is not None:
        place = project / Path(settings.traces).expanduser()
        return of_trace(choose_trace(read_traces(place), settings.trace))
    up, down = parse_duration_ms(settings.up, "up"), parse_duration_ms(settings.down, "down")
    return Interruptions(
        per_hour=HOUR_MS / up,
        down_ms=float(down),
        first_ms=down / (up + down) * down,
        why=f"[backends.simulated] up = {settings.up!r}, down = {settings.down!r}",
    )


def of_trace(trace: Trace) -> Interruptions:
    """Ends of runs that are up by the time that is; and how long those that are down last."""
    ups = [ticks for number, ticks in enumerate(trace.runs) if trace.first == (number % 2 == 0)]
    downs = [ticks for number, ticks in enumerate(trace.runs) if trace.first != (number % 2 == 0)]
    up_ms, down_ms = sum(ups) * trace.gap_ms, sum(downs) * trace.gap_ms
    mean_down = down_ms / len(downs) if downs else 0.0
    share_down = down_ms / (up_ms + down_ms) if up_ms + down_ms else 0.0
    return Interruptions(
        per_hour=len(downs) / (up_ms / HOUR_MS) if up_ms else 0.0,
        down_ms=mean_down,
        first_ms=share_down * mean_down,
        why=f"the trace {trace.name}",
    )


def checkpoint_of(settings: SimulatedSettings) -> float | None:
    """How often declared work is kept. With a warning no more than that is lost, as if it were kept every two
    warnings."""
    if settings.checkpoint is None:
        return None
    every = float(parse_duration_ms(settings.checkpoint, "checkpoint"))
    warned = None if settings.warning is None else 2.0 * parse_duration_ms(settings.warning, "warning")
    return every if warned is None else min(every, warned)


def quotas_of(settings: SimulatedSettings) -> Quotas:
    return Quotas(
        functions=settings.functions,
        container_vcpus=settings.container_vcpus,
        machine_vcpus=settings.machine_vcpus,
        gpus=settings.gpus,
    )
