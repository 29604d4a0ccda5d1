"""What a run will cost and take where it would go by now: per step and in total, as a range, with what that rests on.

Amounts expected are exact sums of the parts of each step; ranges are the tenth and ninetieth percentile of the run
played by chance. What nobody knows is asked for, and until then the total is "at least".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from skylift.placement.model import Part
from skylift.pricing.catalogue import catalogue
from skylift.pricing.charge import prices_of
from skylift.quoting.draws import Haulage, Played, leans, percentile, play
from skylift.quoting.loads import Share
from skylift.quoting.placing import Placed, described, placed_now
from skylift.quoting.prepare import Prepared, Project, Subject, prepare
from skylift.quoting.walk import Kind

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


def quote(subject: Subject, project: Project, attributes: Mapping[str, str]) -> Quote:
    """`attributes` are those that the run would be started with: where its tasks go."""
    prepared = prepare(subject, project)
    where = {
        step: placed_now(step, kind, subject.spec(kind), project, attributes) for step, kind in prepared.steps.items()
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
    markets = {one.bid.around.market.why for one in where.values() if one.bid and one.is_spot and one.bid.around.market}
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
