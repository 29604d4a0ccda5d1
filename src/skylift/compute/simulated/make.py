"""Puts the simulated cloud together from the project's settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from skylift.compute.parts import Parts
from skylift.compute.simulated.backend import SimulatedBackend
from skylift.compute.simulated.choosing import offers_for
from skylift.compute.simulated.hands import Hands
from skylift.compute.simulated.market import GeneratedMarket, Market
from skylift.compute.simulated.results import read_results
from skylift.compute.simulated.traces import TraceMarket, choose_trace
from skylift.config.backends import SimulatedSettings
from skylift.errors import SetupError
from skylift.ports.compute import Offer, Requirements
from skylift.pricing.catalogue import catalogue
from skylift.pricing.spot.traces import read_traces
from skylift.units import parse_duration_ms


def make_backend(parts: Parts) -> SimulatedBackend:
    """Raises SetupError for settings that cannot be used."""
    config, settings = parts.config, parts.config.backends.simulated
    if parts.pace is None:
        raise SetupError("the simulated cloud lives by the engine's clock, and this engine gives none")
    _check(settings)
    results = None if settings.results is None else read_results(config.project / Path(settings.results).expanduser())
    return SimulatedBackend(
        parts.report,
        parts.pace,
        settings=settings,
        catalogue=catalogue(),
        market_of=markets(settings, config.project, parts.pace.clock.now_ms()),
        results=results,
        hands=partial(
            Hands,
            speed=parts.pace.speed,
            blobs=parts.blobs,
            cache_dir=parts.bundles,
            workers=config.workers,
            secrets=parts.secrets,
            withheld=parts.withheld,
            paths=(str(config.project),),
        ),
    )


def offers(parts: Parts, requirements: Requirements) -> Sequence[Offer]:
    return offers_for(requirements, parts.config.backends.simulated, catalogue())


def markets(settings: SimulatedSettings, project: Path, origin_ms: int) -> Callable[[str], Market]:
    """A trace is the market of every kind of machine; generated ones are one a kind. Raises TraceInvalid."""
    if settings.traces is not None:
        trace = choose_trace(read_traces(project / Path(settings.traces).expanduser()), settings.trace)
        recorded = TraceMarket(trace, origin_ms)
        return lambda name: recorded
    if settings.trace is not None:
        raise SetupError(
            f"trace is {settings.trace!r}, and no traces are given", hint="name their file: [backends.simulated] traces"
        )
    up_ms, down_ms = parse_duration_ms(settings.up, "up"), parse_duration_ms(settings.down, "down")
    return lambda name: GeneratedMarket(f"{settings.seed}/{name}", origin_ms, up_ms, down_ms)


def _check(settings: SimulatedSettings) -> None:
    known = catalogue().regions()
    if settings.region not in known:
        raise SetupError(
            f"there are no prices of region {settings.region!r}",
            hint=f"[backends.simulated] region can be {', '.join(known)}",
        )
