"""The plan of a pipeline: every way to run each step, priced, and of them the best within limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache

import msgspec

from skylift.engine.no_offer import needs as needs_in_words
from skylift.errors import AuthorError
from skylift.placement.candidates import Sizing, Wanted, candidates
from skylift.placement.estimate import Bid, Load, bid, priced
from skylift.placement.explain import explained
from skylift.placement.feasible import why_not
from skylift.placement.model import Edge, Impossible, Limits, Move, Objective, Part, Plan, Priced, Site, Step, Way
from skylift.placement.optimise import optimise
from skylift.placement.work import busiest, work_on
from skylift.ports.compute import Bought, Requirements
from skylift.ports.tasks import TaskSpec
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.places import MICRO, Place
from skylift.quoting.loads import Share
from skylift.quoting.markets import quotas_of
from skylift.quoting.measured import Evidence, asked_memory, evidence
from skylift.quoting.prepare import Prepared, Project, Subject, prepare
from skylift.quoting.quote import SIMULATED, Placed, Quote, around_of, at_offer, elsewhere, quoted, slots_of
from skylift.quoting.walk import Kind

OWN_SITE = Site("own", "local")
"""Machines of one's own."""
GB = 10**9


class NotKnown(AuthorError):
    """A plan needs to know something that nobody has said."""

    code = "PLAN"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan is to keep, and where it may buy."""

    limits: Limits
    objective: Objective = "cost"
    wanted: Wanted = Wanted()
    """All that is priced; the limits choose among it, so that what they cost can be told."""
    backends: tuple[str, ...] = (SIMULATED,)
    data_at: Site | None = None
    """Where the inputs of the first steps lie; None for machines of one's own."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    result: Plan | Impossible | None
    """None where a step has no way at all."""
    steps: dict[str, Bought] = {}
    quote: Quote | None = None
    """Of the plan, played by chance."""
    without: dict[str, str] = {}
    """Steps that cannot run anywhere, and why not."""
    assumptions: tuple[str, ...] = ()


class _Choice(msgspec.Struct, frozen=True):
    """One way to run a step."""

    placed: Placed
    priced: Priced


def plan(subject: Subject, project: Project, order: Order) -> Planned:
    """Raises NotKnown for what nobody has said, InvalidDefinition, AnswerInvalid."""
    prepared = prepare(subject, project)
    _all_known(prepared, subject, project)
    _may_be_bought(subject, prepared, order.limits.markets)
    desk = _Desk(project, order)
    found = {step: desk.ways(step, kind, subject.spec(kind), prepared) for step, kind in prepared.steps.items()}
    empty = {step: desk.reasons(step) for step, ways in found.items() if not ways}
    notes = (*prepared.notes, *desk.notes(), *_of_pauses(order.limits, prepared.paused_ms))
    if empty or not found:
        return Planned(result=None, without=empty, assumptions=notes)
    limits = _with_own(_less_pauses(order.limits, prepared.paused_ms), found)
    steps = [
        Step(
            name=step,
            offers=tuple(way.priced for way in ways),
            after=prepared.after.get(step, ()),
            width=max(1, round(prepared.shares[step].width)),
        )
        for step, ways in found.items()
    ]
    edges = desk.edges(steps)
    result = optimise(steps, limits, order.objective, edges=edges)
    if isinstance(result, Impossible):
        return Planned(result=result, assumptions=notes)
    result = explained(result, steps, edges=edges)
    chosen = {
        choice.step: next(way for way in found[choice.step] if way.priced.offer == choice.priced.offer).placed
        for choice in result.choices
    }
    quote = quoted(subject.pipeline, prepared, chosen)
    return Planned(
        result=result,
        steps={step: _bought(one) for step, one in chosen.items() if one.backend is not None},
        quote=quote,
        assumptions=tuple(dict.fromkeys((*notes, *quote.assumptions))),
    )


def _all_known(prepared: Prepared, subject: Subject, project: Project) -> None:
    asks = [ask for share in prepared.shares.values() for ask in share.open] + list(prepared.asks)
    for step, kind in prepared.steps.items():
        spec = subject.spec(kind)
        if spec is None or (kind.callback and not spec.target):
            asks += elsewhere(step, kind, project).unknown
            continue
        known = evidence(
            step, kind.task, spec.requirements, project.answers, project.history, project.catalogue, plays=True
        )
        if not known.work.known:
            asks.append(known.work.why)
    if asks:
        listed = "\n  ".join(dict.fromkeys(asks))
        raise NotKnown(
            f"a plan of {subject.pipeline} needs to know:\n  {listed}",
            hint="say it with these options, or run the pipeline once: later plans go by its history",
        )


def _of_pauses(limits: Limits, paused_ms: float) -> tuple[str, ...]:
    if limits.deadline_s is None or not paused_ms:
        return ()
    return (f"{paused_ms / 1000:g} s of the deadline are for what the pipeline itself waits; the steps keep the rest",)


def _less_pauses(limits: Limits, paused_ms: float) -> Limits:
    """What the pipeline itself waits is no step's to shorten."""
    if limits.deadline_s is None or not paused_ms:
        return limits
    left = limits.deadline_s - paused_ms / 1000
    if left <= 0:
        raise NotKnown(
            f"the pipeline itself waits {paused_ms / 1000:g} s, and the deadline is {limits.deadline_s:g} s",
            hint="give it a later deadline, or let it wait less",
        )
    return msgspec.structs.replace(limits, deadline_s=left)


def _with_own(limits: Limits, found: Mapping[str, Sequence[_Choice]]) -> Limits:
    """Where machines of one's own were asked for, patterns of what is bought do not keep them out."""
    own = [way.priced.offer for ways in found.values() for way in ways if way.priced.offer.site == OWN_SITE]
    if not own:
        return limits
    services = tuple(dict.fromkeys((*limits.services, *(offer.service for offer in own))))
    return msgspec.structs.replace(
        limits,
        regions=(*limits.regions, OWN_SITE.region) if limits.regions else (),
        clouds=(*limits.clouds, OWN_SITE.cloud) if limits.clouds else (),
        services=services if limits.services else (),
        markets=tuple(dict.fromkeys((*limits.markets, "on-demand"))) if limits.markets else (),
    )


def _may_be_bought(subject: Subject, prepared: Prepared, markets: Sequence[str]) -> None:
    """Whether every task may run on these markets. Raises NotKnown."""
    if markets and "on-demand" not in markets and "spot" in markets:
        steady = [
            step
            for step, kind in prepared.steps.items()
            if (spec := subject.spec(kind)) is not None and not spec.requirements.spot
        ]
        if steady:
            raise NotKnown(
                f"--markets spot, and these may not be taken away: {', '.join(steady)}",
                hint="let them with @task(spot=True), or allow on-demand as well",
            )


class _Desk:
    """Prices ways. Tasks that ask for the same are looked up once."""

    def __init__(self, project: Project, order: Order) -> None:
        self._project = project
        self._order = order
        self._why: dict[str, Counter[str]] = {}
        self._reads: dict[str, float] = {}
        self._silent: list[str] = []
        self._found: dict[bytes, list[Place]] = {}

    def ways(self, step: str, kind: Kind, spec: TaskSpec | None, prepared: Prepared) -> list[_Choice]:
        share, first = prepared.shares[step], not prepared.after.get(step)
        if spec is None or (kind.callback and not spec.target):
            found = elsewhere(step, kind, self._project)
            return [] if found.bid is None else self._choice(step, found, found.bid, share, first)
        self._why[step] = Counter()
        known = self._evidence(step, kind, spec.requirements, SIMULATED)
        if known.in_bytes is None:
            self._silent.append(step)
        else:
            self._reads[step] = known.in_bytes
        ways = []
        for backend in self._order.backends:
            if backend == SIMULATED:
                ways += self._bought(step, spec, known, share, first)
            else:
                ways += self._offered(step, kind, spec, backend, share, first)
        return ways

    def _evidence(self, step: str, kind: Kind, needs: Requirements, backend: str) -> Evidence:
        project = self._project
        return evidence(
            step, kind.task, needs, project.answers, project.history, project.catalogue, plays=backend == SIMULATED
        )

    def _bought(self, step: str, spec: TaskSpec, known: Evidence, share: Share, first: bool) -> list[_Choice]:
        project, needs = self._project, spec.requirements
        quotas = quotas_of(project.config.backends.simulated)
        around = around_of(SIMULATED, needs, known, project)
        ways = []
        for place in self._candidates(sizing_of(needs, known)):
            run = work_on(known.work, place)
            if isinstance(run, str):
                self._why[step][run] += 1
                continue
            out = why_not(place, run, around.memory_mib, needs.timeout_ms, quotas, project.catalogue)
            if out is not None:
                self._why[step][out] += 1
                continue
            found = bid(place, run, around, project.catalogue)
            if found is None:
                self._why[step]["taken away so often that it would hardly ever end"] += 1
                continue
            slots = slots_of(SIMULATED, place, needs, project)
            one = Placed(backend=SIMULATED, place=place, bid=found, slots=slots, why=known.work.why, notes=known.notes)
            ways += self._choice(step, one, found, share, first)
        return ways

    def _candidates(self, sizing: Sizing) -> list[Place]:
        key = msgspec.msgpack.encode(
            (
                sizing.cpus,
                sizing.useful,
                sizing.memory_mib,
                sizing.needs.gpu,
                sizing.needs.nodes,
                sizing.needs.image,
                sizing.needs.spot,
            )
        )
        if key not in self._found:
            self._found[key] = candidates(sizing, self._order.wanted, self._project.catalogue)
        return self._found[key]

    def _offered(self, step: str, kind: Kind, spec: TaskSpec, backend: str, share: Share, first: bool) -> list[_Choice]:
        """By a backend of one's own."""
        known = self._evidence(step, kind, spec.requirements, backend)
        ways: list[_Choice] = []
        offers = self._project.offers(backend, spec.requirements)
        if not offers:
            self._why[step][f"{backend} has nothing with {needs_in_words(spec.requirements)}"] += 1
        for offer in offers:
            one = at_offer(step, backend, offer, spec.requirements, known, self._project)
            if one.bid is None:
                self._why[step].update(one.unknown)
            else:
                ways += self._choice(step, one, one.bid, share, first)
        return ways

    def _choice(self, step: str, one: Placed, found: Bid, share: Share, first: bool) -> list[_Choice]:
        load = load_of(share)
        way = priced(found, load, one.backend or "-", one.slots, self._order.limits.confidence)
        if found.place.region == OWN_SITE.region:
            way = msgspec.structs.replace(way, offer=msgspec.structs.replace(way.offer, cloud=OWN_SITE.cloud))
        origin, reads = self._order.data_at, self._reads.get(step, 0.0)
        if not first or origin is None or not reads:
            return [_Choice(one, way)]
        move = transfer(reads * load.attempts, origin, way.offer.site, self._project.catalogue)
        if move is None:
            self._why[step][f"there is no price of taking its inputs from {origin} to it"] += 1
            return []
        part = Part(what="transfer", amount=move.cost, formula=move.formula)
        high = None if way.cost_high is None else way.cost_high + move.cost
        whole = msgspec.structs.replace(way, cost=way.cost + move.cost, cost_high=high, parts=(*way.parts, part))
        return [_Choice(one, whole if move.cost else way)]

    def edges(self, steps: Sequence[Step]) -> list[Edge]:
        """Between steps of which the later one is known to read something, and has one before it."""
        found = []
        by_name = {step.name: step for step in steps}
        for step in steps:
            reads = self._reads.get(step.name, 0.0)
            if len(step.after) == 1 and reads:
                source = by_name[step.after[0]]
                found.append(Edge(source=source.name, target=step.name, moves=self._moves(source, step, reads)))
        return found

    def _moves(self, source: Step, target: Step, reads: float) -> dict[tuple[Site, Site], Move]:
        found: dict[tuple[Site, Site], Move] = {}
        ends = {row.offer.site for row in target.offers[:]}
        for begin in {row.offer.site for row in source.offers[:]}:
            for end in ends - {begin}:
                move = transfer(reads * target.width, begin, end, self._project.catalogue)
                if move is not None:
                    found[begin, end] = move
        return found

    def reasons(self, step: str) -> str:
        """Why it has no way."""
        why = self._why.get(step, Counter())
        if not why:
            return "nothing that has what it asks for has a price where it may be bought"
        return "; ".join(f"{text} ({count} offers)" if count > 1 else text for text, count in why.most_common(3))

    def notes(self) -> tuple[str, ...]:
        said = []
        if self._silent:
            listed = ", ".join(self._silent)
            said.append(
                f"{listed}: how much data they read is not known (--data), so moving it is not in these amounts"
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


def transfer(size: float, begin: Site, end: Site, catalogue: Catalogue) -> Move | None:
    """By the price of the region that the data leaves; None where there is none. What comes from a machine of one's own
    is not charged by anybody."""
    if begin in (end, OWN_SITE):
        return Move()
    item = "region" if begin.cloud == end.cloud else "internet"
    usd = _rate(begin, item, catalogue)
    if usd is None:
        return None
    cost = Fraction(str(round(size, 3))) / GB * usd * MICRO
    formula = f"{size / GB:.6g} GB x ${float(usd):g} ({item}, from {begin})"
    return Move(cost=cost, formula=formula)


@cache
def _rate(begin: Site, item: str, catalogue: Catalogue) -> Fraction | None:
    rate = catalogue.rate("transfer", item, begin.region, "on-demand", cloud=begin.cloud)
    return None if rate is None else Fraction(rate.usd)


def _bought(one: Placed) -> Bought:
    place = one.place
    assert place is not None
    assert one.backend is not None
    return Bought(
        backend=one.backend,
        service=place.service,
        instance_type=place.instance_type,
        vcpus=place.vcpus,
        memory_mib=place.memory_mib,
        gpu=place.gpu,
        gpus=place.gpus,
        market=place.market,
        region=place.region,
        cloud=place.cloud,
    )


def quote_of_plan(subject: Subject, project: Project, steps: Mapping[str, Bought]) -> Quote:
    """What the run of a plan will cost and take."""
    prepared = prepare(subject, project)
    where = {
        step: _planned(step, kind, subject.spec(kind), project, steps.get(step))
        for step, kind in prepared.steps.items()
    }
    return quoted(subject.pipeline, prepared, where)


def _planned(step: str, kind: Kind, spec: TaskSpec | None, project: Project, bought: Bought | None) -> Placed:
    if spec is None or bought is None:
        return elsewhere(step, kind, project)
    needs = spec.requirements
    known = evidence(
        step,
        kind.task,
        needs,
        project.answers,
        project.history,
        project.catalogue,
        plays=bought.backend == SIMULATED,
    )
    offer = next((o for o in project.offers(bought.backend, msgspec.structs.replace(needs, place=bought))), None)
    if offer is None:
        return Placed(backend=bought.backend, unknown=(f"{step}: {bought.backend} does not offer {bought}",))
    return at_offer(step, bought.backend, offer, needs, known, project, cloud=bought.cloud)


def ways_of(plan: Plan) -> list[Way]:
    return [choice.priced.offer for choice in plan.choices]
