"""The plan of a pipeline: every way to run each step, priced, and of them the best within limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from skylift.errors import AuthorError
from skylift.placement.explain import explained
from skylift.placement.model import Limits, Step, Way
from skylift.placement.optimise import optimise
from skylift.placement.plan import Impossible, Plan
from skylift.ports.compute import Bought
from skylift.ports.tasks import TaskSpec
from skylift.quoting.desk import Choice, Desk
from skylift.quoting.measured import evidence
from skylift.quoting.moving import OWN_SITE, haulage_of
from skylift.quoting.order import Order
from skylift.quoting.placing import SIMULATED, Placed, at_offer, elsewhere
from skylift.quoting.prepare import Prepared, Project, Subject, prepare
from skylift.quoting.quote import Quote, quoted
from skylift.quoting.walk import Kind


class NotKnown(AuthorError):
    """A plan needs to know something that nobody has said."""

    code = "PLAN"


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


def plan(subject: Subject, project: Project, order: Order) -> Planned:
    """Raises NotKnown for what nobody has said, InvalidDefinition, AnswerInvalid."""
    prepared = prepare(subject, project)
    if not prepared.steps:
        raise NotKnown(
            f"{subject.pipeline} comes to no step with this input: there is nothing to place",
            hint="plan the input that it will be run with",
        )
    _all_known(prepared, subject, project)
    _may_be_bought(subject, prepared, order.limits.markets)
    desk = Desk(project, order)
    found = {step: desk.ways(step, kind, subject.spec(kind), prepared) for step, kind in prepared.steps.items()}
    empty = {step: desk.reasons(step) for step, ways in found.items() if not ways}
    pauses = _of_pauses(order.limits, prepared.paused_ms)
    if empty:
        return Planned(result=None, without=empty, assumptions=(*prepared.notes, *desk.notes(), *pauses))
    limits = _with_own(_less_pauses(order.limits, prepared.paused_ms), found)
    steps = [
        Step(
            name=step,
            offers=desk.rows(ways),
            after=prepared.after.get(step, ()),
            width=max(1, round(prepared.shares[step].width)),
        )
        for step, ways in found.items()
    ]
    edges = desk.edges(steps, found)
    notes = (*prepared.notes, *desk.notes(), *pauses)
    result = optimise(steps, limits, order.objective, edges=edges, quotas=desk.quotas)
    if isinstance(result, Impossible):
        return Planned(result=result, assumptions=notes)
    result = explained(result, steps, edges=edges, quotas=desk.quotas)
    chosen = {
        choice.step: next(way for way in found[choice.step] if way.priced.offer == choice.priced.offer).placed
        for choice in result.choices
    }
    quote = quoted(subject.pipeline, prepared, chosen, haulage_of(result))
    return Planned(
        result=result,
        steps={step: _bought(one) for step, one in chosen.items() if one.backend is not None},
        quote=quote,
        assumptions=tuple(dict.fromkeys((*notes, *_of_waits(result), *quote.assumptions))),
    )


def _all_known(prepared: Prepared, subject: Subject, project: Project) -> None:
    asks = [ask for share in prepared.shares.values() for ask in share.open] + list(prepared.asks)
    for step, kind in prepared.steps.items():
        spec = subject.spec(kind)
        if spec is None or (kind.callback and not spec.target):
            asks += elsewhere(step, kind, project).unknown
            continue
        known = evidence(step, kind, spec.requirements, project.answers, project.history, project.catalogue, plays=True)
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


def _of_waits(result: Plan) -> tuple[str, ...]:
    if not result.waits:
        return ()
    return (
        "what waits for a quota is planned in one order; a run serves whoever is ready first. Times played by chance "
        "are without such waits",
    )


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


def _with_own(limits: Limits, found: Mapping[str, Sequence[Choice]]) -> Limits:
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


def quote_of_plan(subject: Subject, project: Project, steps: Mapping[str, Bought], whole: Plan) -> Quote:
    """What the run of a plan will cost and take. `steps` are where its tasks go; what is moved is as the plan says."""
    prepared = prepare(subject, project)
    where = {
        step: _planned(step, kind, subject.spec(kind), project, steps.get(step))
        for step, kind in prepared.steps.items()
    }
    return quoted(subject.pipeline, prepared, where, haulage_of(whole))


def _planned(step: str, kind: Kind, spec: TaskSpec | None, project: Project, bought: Bought | None) -> Placed:
    if spec is None or bought is None:
        return elsewhere(step, kind, project)
    needs = spec.requirements
    known = evidence(
        step,
        kind,
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
