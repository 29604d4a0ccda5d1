"""From the settings to the parts around an engine: where tasks go, what runs may touch, how functions are bound."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.compute.parts import Parts
from skylift.config import Config, FunctionBinding, SecretSource
from skylift.errors import SetupError
from skylift.ports.compute import Backend, Offer, Report, Requirements
from skylift.ports.tasks import TaskSpec
from skylift.units import parse_duration_ms, parse_memory_mib, parse_usd

if TYPE_CHECKING:
    from skylift.engine.limits import BudgetPlan
    from skylift.engine.places import Places
    from skylift.engine.router import Router
    from skylift.ports.resources import ResourceStore

SERVICES = "services"
"""The backend that calls services."""


def make_home(home: Path) -> None:
    """Raises SetupError where it cannot be made or written."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds what runs were given and gave
        writable = os.access(home, os.W_OK | os.X_OK)
        reason = "you may not write there"
    except OSError as problem:
        writable, reason = False, problem.strerror or str(problem)
    if not writable:
        raise SetupError(
            f"{home} cannot hold the journal and the artifacts: {reason}",
            hint="point SKYLIFT_HOME at a folder that can be written",
            code="HOME",
        )


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A backend that can be asked for by name. Its module is imported when it is first used."""

    make: str
    """`module:function`, called with Parts."""
    capabilities: str
    """`module:NAME` of its Capabilities: light to import."""
    offers: str | None = None
    """`module:function`, called with Parts and Requirements while the backend is not made yet."""


BACKENDS: dict[str, Known] = {
    "batch": Known(
        make="skylift.compute.batch.make:make_backend",
        capabilities="skylift.compute.batch.capabilities:CAPABILITIES",
        offers="skylift.compute.batch.make:offers",
    ),
    "container": Known(
        make="skylift.compute.container.make:make_backend",
        capabilities="skylift.compute.container.capabilities:CAPABILITIES",
        offers="skylift.compute.container.make:offers",
    ),
    "ray": Known(
        make="skylift.compute.ray.make:make_backend",
        capabilities="skylift.compute.ray.capabilities:CAPABILITIES",
        offers="skylift.compute.ray.make:offers",
    ),
    "simulated": Known(
        make="skylift.compute.simulated.make:make_backend",
        capabilities="skylift.compute.simulated.capabilities:CAPABILITIES",
        offers="skylift.compute.simulated.make:offers",
    ),
}
"""Beside `process`, which every runtime has, and `services`."""


def backend_names() -> list[str]:
    """Where tasks can be sent."""
    return ["process", *sorted(BACKENDS)]


def keeping_backends() -> list[str]:
    """Those that can keep the place of a failed attempt."""
    return [name for name, known in sorted(BACKENDS.items()) if _named(known.capabilities).keeps]


def known_backends(parts: Parts) -> dict[str, Backend]:
    """All that can be asked for by name. None of them does anything before it is used."""
    from skylift.compute.deferred import DeferredBackend

    return {
        name: DeferredBackend(
            name,
            partial(_made, known, parts),
            parts.report,
            capabilities=_named(known.capabilities),
            offers=None if known.offers is None else partial(_offered, known.offers, parts),
        )
        for name, known in BACKENDS.items()
    }


def _made(known: Known, parts: Parts) -> Backend:
    backend: Backend = _named(known.make)(parts)
    return backend


def _offered(path: str, parts: Parts, needs: Requirements) -> Sequence[Offer]:
    """Imported when it is asked for: what all backends need to answer would slow every start."""
    offers: Sequence[Offer] = _named(path)(parts, needs)
    return offers


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def services_backend(config: Config, report: Report) -> Backend:
    """The backend of service integrations, with the administrator's lists."""
    from skylift.compute.services.backend import ServicesBackend
    from skylift.compute.services.policy import ServicePolicy

    server = config.server
    policy = ServicePolicy(services=server.allow_services, http=server.allow_http)
    backend: Backend = ServicesBackend(report, config.services, policy)
    return backend


def router_of(config: Config, backends: Mapping[str, Backend], resources: ResourceStore) -> Router:
    """Where tasks go."""
    from skylift.engine.router import Router
    from skylift.ports.resources import ACTIVITY

    settings, allowed, usable = config.services, config.server.allow_code, config.server.allow_backends
    elsewhere = settings.endpoint_url or settings.endpoints.get("lambda") or settings.region
    return Router(
        backends,
        services=SERVICES,
        functions=function_tasks(config),
        lambda_elsewhere=bool(elsewhere),
        has_activity=lambda arn: resources.get(ACTIVITY, arn) is not None,
        escalate=config.compute.escalate,
        placement=config.placement,
        jobs=config.jobs,
        may_run=lambda account: account == "" or "*" in allowed or account in allowed,
        may_use=lambda backend: "*" in usable or backend in usable,
        places=places_of(config),
    )


def budget_plan(config: Config) -> BudgetPlan:
    """What the engine is told of `[budget]`."""
    from skylift.engine.limits import BudgetPlan

    budget = config.budget
    return BudgetPlan(
        month=None if budget.month is None else parse_usd(budget.month, "month"),
        alerts=budget.shares,
        stop=budget.stop,
        rehearsals=budget.rehearsals,
        kept=None if budget.month is None else config.home / "spending",
    )


def places_of(config: Config) -> Places:
    """What the runs of an account may read and write."""
    from skylift.engine.places import Places

    server, services = config.server, config.services
    return Places(
        folders=tuple(server.allow_paths),
        services=tuple(server.allow_services),
        endpoint_url=services.endpoints.get("s3") or services.endpoint_url,
        region=services.region,
    )


def function_tasks(config: Config) -> dict[str, TaskSpec]:
    """`[functions]` as tasks, so that every run keeps the bindings it was started with."""
    return {name: _function_task(name, binding) for name, binding in config.functions.items()}


def _function_task(name: str, binding: FunctionBinding) -> TaskSpec:
    return TaskSpec(
        name=name,
        target=binding.handler,
        convention="handler",
        requirements=Requirements(
            memory_mib=parse_memory_mib(binding.memory) if binding.memory else None,
            timeout_ms=parse_duration_ms(binding.timeout) if binding.timeout else None,
            env=binding.env,
            secrets=binding.secrets,
        ),
    )


def secret_source(source: SecretSource, project: Path) -> str:
    """A secret's source as workers are told it: `kind:where`."""
    kind = next(key for key in SecretSource.__struct_fields__ if getattr(source, key) is not None)
    place: str = getattr(source, kind)
    return f"{kind}:{project / Path(place).expanduser()}" if kind == "file" else f"{kind}:{place}"
