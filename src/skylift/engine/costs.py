"""What attempts and runs would cost, asked of the backends that would run them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from skylift.engine.month import Pot
from skylift.engine.placing import placed
from skylift.engine.redelivery import deliveries_of
from skylift.engine.routes import WorkerRoute
from skylift.engine.run import Attempt, LiveRun
from skylift.engine.tariff import FREE, Tariff, TariffOf
from skylift.ports.compute import Backend, Requirements
from skylift.pricing.deliveries import REHEARSED


class Costs:
    """Asks for each kind of attempt once."""

    def __init__(self, backends: Mapping[str, Backend], placement: Mapping[str, str], tariff: TariffOf) -> None:
        self._backends = backends
        self._placement = placement
        self._tariff_of = tariff
        self._tariffs: dict[tuple[str, bytes, str], Tariff] = {}

    def tariff(self, attempt: Attempt) -> Tariff:
        """Of the first offer for it, on its market where there is one: backends name first what they take."""
        route, backend = attempt.route, self._backends.get(attempt.backend or "")
        if type(route) is not WorkerRoute or backend is None:
            return FREE
        needs, memory = route.spec.requirements, deliveries_of(attempt).memory_mib
        needs = needs if memory is None else msgspec.structs.replace(needs, memory_mib=memory)
        key = (attempt.backend or "", msgspec.json.encode(needs), attempt.market or "")
        if key not in self._tariffs:
            offers = backend.offers(needs)
            wanted = [one for one in offers if one.market == attempt.market] or list(offers)
            if not wanted:
                return FREE  # not for ever: clusters grow
            self._tariffs[key] = self._tariff_of(wanted[0], needs) if wanted[0].price_usd_micro_per_hour > 0 else FREE
        return self._tariffs[key]

    def of_run(self, run: LiveRun, scope: str) -> bool:
        """Whether a task of it runs where there is a price."""
        rehearsal = scope == "rehearsal"
        bought = (run.table.plan or {}).values()
        if any((one.backend in REHEARSED) == rehearsal and one.region != "local" for one in bought):
            return True
        for spec in run.table.tasks.values():
            name = placed(spec, run.record.attributes, self._placement) or ""
            if (name in REHEARSED) == rehearsal and self._has_price(name, spec.requirements):
                return True
        return False

    def _has_price(self, name: str, needs: Requirements) -> bool:
        backend = self._backends.get(name)
        return backend is not None and any(one.price_usd_micro_per_hour for one in backend.offers(needs))

    def poll(self, held: Mapping[str, list[str]]) -> list[str]:
        """Of these, by backend, what is still queued there."""
        found = []
        for name, tokens in held.items():
            found += [token for token, what in self._backends[name].poll(tokens).items() if what == "queued"]
        return found


def work_ms(attempt: Attempt) -> float:
    """Declared work that no checkpoint keeps."""
    route = attempt.route
    declared = route.spec.requirements.work_ms if type(route) is WorkerRoute else None
    return 0.0 if declared is None else max(0.0, declared - deliveries_of(attempt).saved_ms)


def pot_of(attempt: Attempt) -> Pot:
    return "rehearsal" if attempt.backend in REHEARSED else "month"
