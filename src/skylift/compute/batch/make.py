"""The batch backend from the settings, and what it offers before it is made."""

from __future__ import annotations

from collections.abc import Sequence

from skylift.compute.batch.offers import offers_of
from skylift.compute.batch.provider import Provider
from skylift.compute.batch.settings import kinds_of, policy_of, queue_names
from skylift.compute.parts import Parts
from skylift.config.backends import BatchSettings
from skylift.errors import SetupError
from skylift.ports.compute import Backend, Offer, Requirements
from skylift.units import parse_duration_ms

NAME = "batch"


def make_backend(parts: Parts) -> Backend:
    """Raises InvalidConfig or SetupError for settings that cannot be."""
    from skylift.compute.batch.backend import BatchBackend

    settings: BatchSettings = parts.config.backends.batch
    provider = make_provider(parts, settings)
    backend: Backend = BatchBackend(
        parts.report,
        provider,
        policy_of(settings, provider),
        name=NAME,
        queue_of=queue_names(settings),
        lease_ms=parse_duration_ms(settings.lease, "[backends.batch] lease"),
    )
    return backend


def make_provider(parts: Parts, settings: BatchSettings) -> Provider:
    if settings.provider == "workers":
        return workers_provider(parts)
    if settings.provider == "simulated":
        return simulated_provider(parts, settings)
    return local_provider(parts, settings)


def workers_provider(parts: Parts) -> Provider:
    """Boxes join a server, which keeps what it knows of them in its store."""
    from skylift.compute.batch.joined import JoinedBoxes
    from skylift.compute.batch.workers import WorkersProvider

    if parts.resources is None:
        raise SetupError(
            '[backends.batch] provider = "workers" needs a store for the boxes that join', hint="run a skylift server"
        )
    provider: Provider = WorkersProvider(JoinedBoxes(parts.resources()))
    return provider


def local_provider(parts: Parts, settings: BatchSettings) -> Provider:
    from skylift.compute.batch.local import LocalProvider
    from skylift.compute.worker.wire import WorkerConfig

    provider: Provider = LocalProvider(
        parts.state / NAME,
        WorkerConfig(
            name=NAME,
            backend=NAME,
            blobs=parts.blobs,
            cache_dir=parts.bundles,
            paths=(str(parts.config.project),),
            secrets=parts.secrets,
        ),
        kinds=kinds_of(settings),
        withheld=parts.withheld,
        idle_ms=parse_duration_ms(settings.idle, "[backends.batch] idle"),
    )
    return provider


def simulated_provider(parts: Parts, settings: BatchSettings) -> Provider:
    """Machines of any size that take their time to start; what runs on them really runs, in processes of this box."""
    from skylift.compute.batch.real_runner import RealRunner, wall_ms
    from skylift.compute.batch.simulated import SimulatedProvider

    kinds = kinds_of(settings)
    if not kinds:
        raise SetupError(
            '[backends.batch] provider = "simulated" needs machines to simulate',
            hint="enter some as [[backends.batch.machines]]",
        )
    runner = RealRunner(NAME, parts.blobs, parts.bundles, str(parts.config.project), parts.secrets, parts.withheld)
    provider: Provider = SimulatedProvider(kinds, wall_ms, runner)
    return provider


def offers(parts: Parts, requirements: Requirements) -> Sequence[Offer]:
    """Without making anything."""
    settings: BatchSettings = parts.config.backends.batch
    return offers_of(NAME, requirements, policy_of(settings, make_provider(parts, settings)))
