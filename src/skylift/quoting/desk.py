"""Where the ways to run a step are priced: every place that could be bought, and what one's own backends offer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from skylift.engine.no_offer import needs as needs_in_words
from skylift.placement.attempt import Bid, bid
from skylift.placement.candidates import Sizing, candidates
from skylift.placement.estimate import Load, priced, waves_of
from skylift.placement.feasible import why_not
from skylift.placement.model import Edge, Move, Priced, Site, Step
from skylift.placement.work import busiest, work_on
from skylift.ports.compute import Requirements
from skylift.ports.tasks import TaskSpec
from skylift.pricing.places import Place
from skylift.quoting.loads import Share
from skylift.quoting.markets import quotas_of
from skylift.quoting.measured import Evidence, asked_memory, evidence
from skylift.quoting.moving import OWN_SITE, Freight, transfer, with_inputs
from skylift.quoting.order import Order
from skylift.quoting.placing import SIMULATED, Placed, around_of, at_offer, elsewhere, slots_of
from skylift.quoting.prepare import Prepared, Project
from skylift.quoting.quote import few
from skylift.quoting.walk import Kind

PROCESSORS = "processors of this machine"
OF_THIS_MACHINE = ("process", "container")
"""Backends that share its processors."""


class Choice(msgspec.Struct, frozen=True):
    """One way to run a step."""

    placed: Placed
    priced: Priced


class Desk:
    """Prices ways. Steps that ask for the same, and of which the same is known, share them."""

    def __init__(self, project: Project, order: Order) -> None:
        self._project = project
        self._order = order
        self.quotas: dict[str, float] = {}
        """That steps share while they run at once."""
        self._why: dict[str, Counter[str]] = {}
        self._wants: dict[str, str] = {}
        self._reads: dict[str, float] = {}
        self._loads: dict[str, Load] = {}
        self._silent: list[str] = []
        self._joined: list[str] = []
        self._from_home = False
        self._places: dict[bytes, list[Place]] = {}
        self._priced: dict[bytes, tuple[list[Choice], Counter[str]]] = {}
        self._rows: dict[int, tuple[list[Choice], tuple[Priced, ...]]] = {}

    def ways(self, step: str, kind: Kind, spec: TaskSpec | None, prepared: Prepared) -> list[Choice]:
        load, first = load_of(prepared.shares[step]), not prepared.after.get(step)
        self._loads[step] = load
        if spec is None or (kind.callback and not spec.target):
            found = elsewhere(step, kind, self._project)
            return [] if found.bid is None else [self._choice(found, found.bid, load)]
        self._why[step] = Counter()
        self._wants[step] = needs_in_words(spec.requirements)
        known = self._evidence(step, kind, spec.requirements, SIMULATED)
        if known.in_bytes is None:
            self._silent.append(step)
        else:
            self._reads[step] = known.in_bytes
        parts = [self._of_backend(step, kind, spec, backend, load) for backend in self._order.backends]
        ways = parts[0] if len(parts) == 1 else [way for part in parts for way in part]
        return self._with_inputs(step, ways, load) if first and known.in_bytes else ways

    def rows(self, ways: list[Choice]) -> tuple[Priced, ...]:
        """The same for the same ways: then the optimizer reads them once."""
        if id(ways) not in self._rows:
            self._rows[id(ways)] = (ways, tuple(way.priced for way in ways))
        return self._rows[id(ways)][1]

    def _of_backend(self, step: str, kind: Kind, spec: TaskSpec, backend: str, load: Load) -> list[Choice]:
        known = self._evidence(step, kind, spec.requirements, backend)
        if not known.work.known:  # what it says names the step
            ways, why = self._asked(step, kind, spec, backend, known, load)
        else:
            crowd = kind.task if spec.requirements.concurrency is not None else None
            key = msgspec.msgpack.encode((backend, spec.requirements, known, load, crowd))
            if key not in self._priced:
                self._priced[key] = self._asked(step, kind, spec, backend, known, load)
            ways, why = self._priced[key]
        self._why[step].update(why)
        return ways

    def _evidence(self, step: str, kind: Kind, needs: Requirements, backend: str) -> Evidence:
        project = self._project
        return evidence(
            step, kind, needs, project.answers, project.history, project.catalogue, plays=backend == SIMULATED
        )

    def _asked(
        self, step: str, kind: Kind, spec: TaskSpec, backend: str, known: Evidence, load: Load
    ) -> tuple[list[Choice], Counter[str]]:
        why: Counter[str] = Counter()
        if backend == SIMULATED:
            ways = self._bought(spec.requirements, known, load, why)
        else:
            ways = self._offered(step, spec.requirements, backend, known, load, why)
        return [self._taking(way, kind, spec.requirements, load) for way in ways], why

    def _taking(self, way: Choice, kind: Kind, needs: Requirements, load: Load) -> Choice:
        """With what it takes of quotas while it runs."""
        place, at_once = way.placed.place, waves_of(load, way.placed.slots)[1]
        takes: dict[str, float] = {}
        if way.placed.backend == SIMULATED and place is not None:
            quotas = quotas_of(self._project.config.backends.simulated)
            takes = {name: amount * at_once for name, amount in quotas.takes(place).items()}
            self.quotas.update(quotas.most)
        elif way.placed.backend in OF_THIS_MACHINE and place is not None and place.vcpus and needs.cpus:
            takes = {PROCESSORS: min(needs.cpus * at_once, place.vcpus)}
            self.quotas[PROCESSORS] = place.vcpus
        if needs.concurrency is not None:
            takes[f"attempts of {kind.task}"] = float(at_once)
            self.quotas[f"attempts of {kind.task}"] = float(needs.concurrency)
        return Choice(way.placed, msgspec.structs.replace(way.priced, takes=takes))

    def _bought(self, needs: Requirements, known: Evidence, load: Load, why: Counter[str]) -> list[Choice]:
        project = self._project
        quotas = quotas_of(project.config.backends.simulated)
        around = around_of(SIMULATED, needs, known, project)
        ways = []
        for place in self._candidates(sizing_of(needs, known)):
            run = work_on(known.work, place)
            if isinstance(run, str):
                why[run] += 1
                continue
            out = why_not(place, run, around.memory_mib, needs.timeout_ms, quotas, project.catalogue)
            if out is not None:
                why[out] += 1
                continue
            found = bid(place, run, around, project.catalogue)
            if found is None:
                why["taken away so often that it would hardly ever end"] += 1
                continue
            slots = slots_of(SIMULATED, place, needs, project)
            one = Placed(backend=SIMULATED, place=place, bid=found, slots=slots, why=known.work.why, notes=known.notes)
            ways.append(self._choice(one, found, load))
        return ways

    def _candidates(self, sizing: Sizing) -> list[Place]:
        needs = sizing.needs
        key = msgspec.msgpack.encode(
            (sizing.cpus, sizing.useful, sizing.memory_mib, needs.gpu, needs.nodes, needs.image, needs.spot)
        )
        if key not in self._places:
            self._places[key] = candidates(sizing, self._order.wanted, self._project.catalogue)
        return self._places[key]

    def _offered(
        self, step: str, needs: Requirements, backend: str, known: Evidence, load: Load, why: Counter[str]
    ) -> list[Choice]:
        """By a backend of one's own."""
        ways: list[Choice] = []
        offers = self._project.offers(backend, needs)
        if not offers:
            why[f"{backend} has nothing with {needs_in_words(needs)}"] += 1
        for offer in offers:
            one = at_offer(step, backend, offer, needs, known, self._project)
            if one.bid is None:
                why.update(one.unknown)
            else:
                ways.append(self._choice(one, one.bid, load))
        return ways

    def _choice(self, one: Placed, found: Bid, load: Load) -> Choice:
        way = priced(found, load, one.backend or "-", one.slots, self._order.limits.confidence)
        if found.place.region == OWN_SITE.region:
            way = msgspec.structs.replace(way, offer=msgspec.structs.replace(way.offer, cloud=OWN_SITE.cloud))
        return Choice(one, way)

    def _with_inputs(self, step: str, ways: list[Choice], load: Load) -> list[Choice]:
        """With what it takes to get the run's own inputs to a first step."""
        origin, found = self._order.data_at or OWN_SITE, []
        for way in ways:
            freight = self._freight(step, load, way.placed.slots)
            move = transfer(freight, origin, way.priced.offer.site, self._project.catalogue, self._order.uplink)
            if move is None:
                self._why[step][f"there is no price of taking its inputs from {origin} to it"] += 1
                continue
            self._from_home |= OWN_SITE in (origin, way.priced.offer.site) and bool(move.formula)
            found.append(Choice(way.placed, with_inputs(way.priced, move)))
        return found

    def _freight(self, step: str, load: Load, slots: int | None) -> Freight:
        turns = load.rounds_high * waves_of(load, slots)[0]
        return Freight(each=self._reads[step], attempts=load.attempts, turns=turns)

    def edges(self, steps: Sequence[Step], found: dict[str, list[Choice]]) -> list[Edge]:
        """Between steps of which the later one is known to read something, and has one before it."""
        edges = []
        for step in steps:
            if not self._reads.get(step.name) or not step.after:
                continue
            if len(step.after) > 1:
                self._joined.append(step.name)
                continue
            source = step.after[0]
            edges.append(
                Edge(source=source, target=step.name, moves=self._moves(step.name, found[source], found[step.name]))
            )
        return edges

    def _moves(self, target: str, sources: list[Choice], targets: list[Choice]) -> dict[tuple[Site, Site], Move]:
        """The time is that of the place with the most waves at a site."""
        load = self._loads[target]
        freights: dict[Site, Freight] = {}
        for way in targets:
            freight, site = self._freight(target, load, way.placed.slots), way.priced.offer.site
            if site not in freights or freights[site].turns < freight.turns:
                freights[site] = freight
        moves: dict[tuple[Site, Site], Move] = {}
        for begin in {way.priced.offer.site for way in sources}:
            for end, freight in freights.items():
                move = None
                if begin != end:
                    move = transfer(freight, begin, end, self._project.catalogue, self._order.uplink)
                if move is not None:
                    moves[begin, end] = move
                    self._from_home |= OWN_SITE in (begin, end)
        return moves

    def reasons(self, step: str) -> str:
        """Why it has no way."""
        why = self._why.get(step, Counter())
        if not why:
            types = self._order.wanted.types
            named = f" (--types {', '.join(types)})" if types else ""
            return f"nothing that has {self._wants[step]} has a price where it may be bought{named}"
        return "; ".join(f"{text} ({count} offers)" if count > 1 else text for text, count in why.most_common(3))

    def notes(self) -> tuple[str, ...]:
        said = []
        if self._silent:
            said.append(
                f"{few(self._silent)}: how much data they read is not known (--data), so moving it is not in these "
                "amounts"
            )
        if self._joined:
            said.append(
                f"{few(self._joined)}: they come after several steps, and which of those they read from is not "
                "known: moving that is not in these amounts"
            )
        if self._from_home and self._order.uplink is None:
            said.append(
                "how long data takes from your own machines or to them is not known (--uplink): it is not in it"
            )
        if SIMULATED in self._order.backends:
            said.append("what is bought is the cloud of [backends.simulated]; --on process lets own machines compete")
        return tuple(said)


def sizing_of(needs: Requirements, known: Evidence) -> Sizing:
    """Processors as the author asks; where that is the usual one, as many as were seen in use, if they were fewer."""
    busy = busiest(known.work.measured) if known.work.declared_ms is None else None
    cpus = needs.cpus if needs.cpus != 1 or busy is None else min(1.0, max(0.1, busy * 1.1))
    useful = max(cpus, busy or 1.0)
    return Sizing(needs=needs, cpus=cpus, memory_mib=asked_memory(needs, known.memory_mib)[0], useful=useful)


def load_of(share: Share) -> Load:
    return Load(
        attempts=share.attempts,
        attempts_high=share.attempts if share.most is None else share.most,
        rounds=share.rounds,
        rounds_high=share.rounds_high,
        width=max(1, round(share.width)),
        most=share.at_once,
    )
