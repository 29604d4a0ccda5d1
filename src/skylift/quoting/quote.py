"""What a run will cost and take where it would go by now: per step and in total, as a range, with what that rests on.

Amounts expected are exact sums of the parts of each step; ranges are the tenth and ninetieth percentile of the run
played by chance. What nobody knows is asked for, and until then the total is "at least".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from skylift.engine.no_offer import needs as needs_in_words
from skylift.engine.placing import placed
from skylift.placement.estimate import Bid, Surroundings, bid, bid_at
from skylift.placement.model import Part
from skylift.placement.spread import Spread
from skylift.placement.work import work_on
from skylift.ports.compute import Offer, Requirements, ServiceClass
from skylift.ports.tasks import TaskSpec
from skylift.pricing.catalogue import Rule, catalogue
from skylift.pricing.charge import prices_of
from skylift.pricing.places import Place
from skylift.quoting.draws import Haulage, Played, leans, percentile, play
from skylift.quoting.loads import Share
from skylift.quoting.markets import checkpoint_of, market_of, quotas_of
from skylift.quoting.measured import Evidence, asked_memory, evidence
from skylift.quoting.prepare import Prepared, Project, Subject, prepare
from skylift.quoting.walk import Kind

SIMULATED = "simulated"
OWN = "process"
LOW, HIGH = 0.1, 0.9


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """p10, expected, p90. None is not known."""

    low: float
    expected: float | None
    high: float | None


class StepQuote(msgspec.Struct, frozen=True, kw_only=True):
    step: str
    task: str | None
    backend: str | None
    place: str
    """In words."""
    attempts: Range
    run_ms: Range | None
    """Of one attempt."""
    startup_ms: Range | None
    cost: Range | None
    """Micro-dollars, of all attempts; None where it has no price."""
    parts: tuple[Part, ...]
    why: str
    """Where its duration is from."""
    prices: tuple[str, ...]
    unknown: tuple[str, ...]


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    pipeline: str
    steps: tuple[StepQuote, ...]
    cost: Range
    time_ms: Range
    at_least: bool
    """Something is not known: it may be any amount more."""
    asks: tuple[str, ...]
    assumptions: tuple[str, ...]
    exact: Fraction = Fraction(0)
    """The expected cost, unrounded."""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A step, and one attempt of it where it goes; or why that is not known."""

    backend: str | None
    place: Place | None = None
    bid: Bid | None = None
    slots: int | None = None
    why: str = ""
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """About the step, without its name."""


def quote(subject: Subject, project: Project, attributes: Mapping[str, str]) -> Quote:
    """`attributes` are those that the run would be started with: where its tasks go."""
    prepared = prepare(subject, project)
    where = {
        step: _placed(step, kind, subject.spec(kind), project, attributes) for step, kind in prepared.steps.items()
    }
    return quoted(subject.pipeline, prepared, where)


def quoted(
    pipeline: str, prepared: Prepared, where: Mapping[str, Placed], moved: Mapping[str, Haulage] | None = None
) -> Quote:
    """Of a run whose steps are placed; `moved` is what getting to each what it reads takes, None where that is not
    looked at."""
    bids = {step: one.bid for step, one in where.items() if one.bid is not None}
    slots = {step: one.slots for step, one in where.items() if one.slots is not None}
    low = high = play(prepared.tree, bids, slots, "low", moved=moved)
    if leans(prepared.tree):
        high = play(prepared.tree, bids, slots, "high", moved=moved)
    steps = tuple(
        _step(step, prepared.steps[step], prepared.shares[step], one, low, high, (moved or {}).get(step))
        for step, one in where.items()
    )
    asks = tuple(dict.fromkeys([ask for one in steps for ask in one.unknown] + list(prepared.asks)))
    exact = sum((part.amount for one in steps for part in one.parts), Fraction(0))
    open_ended = any(share.most is None for share in prepared.shares.values()) or any(
        one.bid is None for one in where.values()
    )
    at_least = open_ended or bool(prepared.asks)
    sure = not asks
    mean_ms = (sum(low.time_ms) + sum(high.time_ms)) / (2 * len(low.time_ms))
    return Quote(
        pipeline=pipeline,
        steps=steps,
        cost=Range(
            low=percentile(low.cost, LOW),
            expected=float(exact) if sure else None,
            high=None if at_least else percentile(high.cost, HIGH),
        ),
        time_ms=Range(
            low=percentile(low.time_ms, LOW),
            expected=mean_ms if sure else None,
            high=None if at_least else percentile(high.time_ms, HIGH),
        ),
        at_least=at_least,
        asks=asks,
        assumptions=_assumptions(prepared, where, moved),
        exact=exact,
    )


def _step(
    step: str, kind: Kind, share: Share, one: Placed, low: Played, high: Played, haulage: Haulage | None
) -> StepQuote:
    attempts = Range(low=share.least, expected=None if share.open else share.attempts, high=share.most)
    bare = StepQuote(
        step=step,
        task=kind.task,
        backend=one.backend,
        place="-",
        attempts=attempts,
        run_ms=None,
        startup_ms=None,
        cost=None,
        parts=(),
        why=one.why,
        prices=(),
        unknown=(*one.unknown, *share.open),
    )
    bid = one.bid
    if bid is None:
        return bare
    count = Fraction(str(round(share.attempts, 6)))
    run = bid.run
    parts = tuple(msgspec.structs.replace(part, amount=part.amount * count) for part in bid.parts)
    if haulage is not None:
        parts = (*parts, Part(what="transfer", amount=haulage.cost, formula=haulage.formula))
    return msgspec.structs.replace(
        bare,
        place="this machine" if one.place is None else described(one.place),
        run_ms=Range(low=run.quantile(LOW), expected=run.mean, high=run.quantile(HIGH)),
        startup_ms=Range(low=bid.startup_ms[0], expected=bid.startup_mean_ms, high=bid.startup_ms[1]),
        cost=Range(
            low=min(percentile(played.steps[step], LOW) for played in (low, high)),
            expected=None if share.open else float(bid.cost * count + (0 if haulage is None else haulage.cost)),
            high=None if share.most is None else max(percentile(played.steps[step], HIGH) for played in (low, high)),
        ),
        parts=parts,
        prices=_prices(one),
    )


def described(place: Place) -> str:
    """In words."""
    if place.region == "local":
        return "this machine, free"
    gpu = f", {place.gpus} x {place.gpu}" if place.gpus else ""
    nodes = f"{place.nodes} x " if place.nodes > 1 else ""
    memory = f"{place.memory_mib} MiB" if place.memory_mib < 10_240 else f"{place.memory_mib / 1024:g} GiB"
    size = f"{place.vcpus:g} vCPU, {memory}{gpu}"
    cloud = "" if place.cloud == "aws" else f"{place.cloud} "
    return f"{nodes}{place.instance_type} ({size}), {place.market} in {cloud}{place.region}"


# -- where a step goes -------------------------------------------------------------------------------------------------


def _placed(step: str, kind: Kind, spec: TaskSpec | None, project: Project, attributes: Mapping[str, str]) -> Placed:
    if spec is None or (kind.callback and not spec.target):
        return elsewhere(step, kind, project)
    backend = placed(spec, attributes, project.config.placement) or OWN
    if backend.startswith("activity:"):
        return Placed(backend=backend, unknown=(f"{step}: what the workers of {backend} cost and take is not known",))
    plays = backend == SIMULATED
    known = evidence(
        step, kind.task, spec.requirements, project.answers, project.history, project.catalogue, plays=plays
    )
    offers = project.offers(backend, spec.requirements)
    if not offers:
        none = f"{step}: {backend} has nothing with {needs_in_words(spec.requirements)}"
        return Placed(backend=backend, unknown=(none,))
    return at_offer(step, backend, offers[0], spec.requirements, known, project)


def elsewhere(step: str, kind: Kind, project: Project) -> Placed:
    """A person, a service or an activity: what it takes is not ours to tell."""
    ms = project.answers.work_ms.get(step)
    what = kind.resource.rpartition(":::")[2] or kind.resource
    if ms is None:
        return Placed(backend=None, unknown=(f'{step}: how long {what} takes is not known: --work "{step}=10m"',))
    place = Place(service="process", instance_type=what, vcpus=0, memory_mib=0, region="local")
    return Placed(
        backend=None,
        place=place,
        bid=bid_at(place, Fraction(0), _own_rule("process", 0), Fraction(0), Spread(median=float(ms)), Surroundings()),
        why="as you say",
        notes=(f"what {what} itself is billed is not in these amounts",),
    )


def at_offer(
    step: str,
    backend: str,
    offer: Offer,
    needs: Requirements,
    known: Evidence,
    project: Project,
    cloud: str = "aws",
) -> Placed:
    """One attempt on an offer of a backend."""
    place = place_of_offer(offer, needs, cloud)
    run = work_on(known.work, place)
    if isinstance(run, str):
        ask = known.work.why if not known.work.known else f'{step}: {run}: --work "{step}=10m"'
        return Placed(backend=backend, place=place, unknown=(ask if step in ask else f"{step}: {ask}",))
    around = around_of(backend, needs, known, project)
    if place.region == "local":
        hour = Fraction(offer.price_usd_micro_per_hour)
        rule = _own_rule(offer.service, offer.startup_ms)
        found = bid_at(place, hour, rule, Fraction(0), run, msgspec.structs.replace(around, memory_mib=None))
    else:
        found = bid(place, run, around, project.catalogue)
    if found is None:
        return Placed(backend=backend, place=place, unknown=(f"{step}: no price of {described(place)}",))
    return Placed(
        backend=backend,
        place=place,
        bid=found,
        slots=slots_of(backend, place, needs, project),
        why=known.work.why,
        notes=known.notes,
    )


def place_of_offer(offer: Offer, needs: Requirements, cloud: str) -> Place:
    return Place(
        service=offer.service,
        instance_type=offer.instance_type,
        vcpus=offer.vcpus,
        memory_mib=offer.memory_mib,
        region=offer.region,
        market=offer.market,
        gpu=offer.gpu,
        gpus=offer.gpu_count,
        nodes=needs.nodes,
        cloud=cloud,
    )


def around_of(backend: str, needs: Requirements, known: Evidence, project: Project) -> Surroundings:
    plays = backend == SIMULATED
    settings = project.config.backends.simulated
    return Surroundings(
        memory_mib=asked_memory(needs, known.memory_mib)[1],
        failed=known.failed,
        in_bytes=known.in_bytes,
        checkpoint_ms=checkpoint_of(settings) if plays and needs.work_ms is not None else None,
        market=market_of(settings, project.folder) if plays and needs.spot else None,
        deadline_ms=float(needs.deadline_ms) if plays and needs.spot and needs.deadline_ms and needs.work_ms else None,
    )


def slots_of(backend: str, place: Place, needs: Requirements, project: Project) -> int | None:
    """How many run at once there."""
    limits = [] if needs.concurrency is None else [needs.concurrency]
    if backend == SIMULATED:
        quota = quotas_of(project.config.backends.simulated).slots(place)
        limits += [] if quota is None else [quota]
    elif place.region == "local" and needs.cpus > 0 and place.vcpus:
        limits.append(max(1, int(place.vcpus / needs.cpus)))
    return min(limits, default=None)


def _own_rule(service: ServiceClass, startup_ms: int) -> Rule:
    """Nothing is rounded up where nobody sends a bill."""
    return Rule(
        service=service,
        startup_ms=(startup_ms, startup_ms),
        increment_ms=1,
        minimum_ms=0,
        bills_startup=True,
        as_of="",
        source="",
    )


def _prices(one: Placed) -> tuple[str, ...]:
    if one.place is None or one.place.region == "local":
        return ()
    rows = prices_of(one.place, catalogue())
    return tuple(f"{row.what}: ${row.usd.normalize():f} a {row.unit} ({row.source})" for row in rows)


def _assumptions(
    prepared: Prepared, where: Mapping[str, Placed], moved: Mapping[str, Haulage] | None
) -> tuple[str, ...]:
    about: dict[str, list[str]] = {}
    for step, one in where.items():
        for note in one.notes:
            about.setdefault(note, []).append(step)
        if one.bid is not None and one.bid.run.count == 0:
            text = f"an attempt takes {one.bid.run.median / 1000:g} s ({one.why}), without a spread"
            about.setdefault(text, []).append(step)
        elif one.bid is not None:
            about.setdefault(f"durations of {one.why}", []).append(step)
    said = [f"{few(steps)}: {text}" for text, steps in about.items()]
    said += prepared.notes
    regions = sorted({one.place.region for one in where.values() if one.place is not None} - {"local"})
    if regions:
        left_out = "storage and transfer are" if moved is None else "storage is"
        said.append(f"prices of {', '.join(regions)}; no free tier; {left_out} not in these amounts")
    markets = {
        one.bid.around.market.why for one in where.values() if one.bid and _is_spot(one) and one.bid.around.market
    }
    said += [f"spot machines are taken away as by {why}" for why in sorted(markets)]
    hurried = {step: one.bid for step, one in where.items() if one.bid is not None and one.bid.net is not None}
    kept = [step for step, bid in hurried.items() if bid.around.checkpoint_ms is not None]
    if kept:
        said.append(f"{few(kept)}: is moved between spot and on-demand so that it keeps its deadline=")
    if len(kept) < len(hurried):
        said.append(
            f"{few([step for step in hurried if step not in kept])}: nothing keeps its work ([backends.simulated] "
            "checkpoint): where its machine is taken away it begins anew, and may miss its deadline="
        )
    if any(one.place is not None and one.place.region == "local" for one in where.values()):
        said.append("machines of your own cost nothing here")
    if prepared.paused_ms:
        said.append(f"the pipeline itself waits {prepared.paused_ms / 1000:g} s, which no plan shortens")
    return tuple(dict.fromkeys(said))


def few(names: Sequence[str], most: int = 8) -> str:
    """Of a long list the first ones, and how many more there are."""
    more = len(names) - most
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:most])} and {more} more"


def _is_spot(one: Placed) -> bool:
    return one.place is not None and one.place.market == "spot"
