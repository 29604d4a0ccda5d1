"""Machines by the hour: on demand with a sustained-use discount where there is one, spot, and reserved."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from skylift.pricing.catalogue import Catalogue
from skylift.pricing.estimate.amounts import HOUR_MS, MONTH_HOURS, TIMES, written
from skylift.pricing.estimate.lines import Line, machine_line
from skylift.pricing.estimate.missing import no_machine_price
from skylift.pricing.estimate.rules import Rules, Sustained
from skylift.pricing.estimate.timing import Timing
from skylift.pricing.estimate.uses import Use
from skylift.pricing.rows import MachinePrice

QUARTER = Fraction(MONTH_HOURS, 4)
_QUARTERS = ("first", "second", "third", "last")


def machine_lines(
    use: Use, timing: Timing, catalogue: Catalogue, rules: Rules, as_of: str | None
) -> tuple[list[Line], list[str]]:
    price = _price(use, catalogue, rules, as_of)
    hours = timing.billed_ms / HOUR_MS
    sustained = rules.sustained_of(price.type) if _earns_discount(use, hours) else None
    source = catalogue.source(price)
    if sustained is None:
        return [_line(use, price, hours, timing.times, Fraction(1), "", source)], _said(price)
    shared = _shares(hours, sustained)
    lines = [
        _line(use, price, part, timing.times, share, f", {_QUARTERS[number]} quarter of the month", source)
        for number, part, share in shared
    ]
    note = (
        f"sustained use of {price.type.split('-')[0]}: each machine runs by itself, in one calendar month of "
        f"{MONTH_HOURS} h ({rules.sources[sustained.source]})"
    )
    return lines, [note, *_said(price)]


def _price(use: Use, catalogue: Catalogue, rules: Rules, as_of: str | None) -> MachinePrice:
    assert use.type is not None
    service, cloud = use.service.catalogue, use.service.cloud
    found = catalogue.machine_price(service, use.type, use.region, use.market, as_of, cloud, term=use.term)
    if found is None:
        raise no_machine_price(use, catalogue, rules, as_of)
    return found


def _earns_discount(use: Use, hours: Fraction) -> bool:
    """Beyond the first quarter of a month."""
    return use.service.cloud == "gcp" and use.market == "on-demand" and hours > QUARTER


def _shares(hours: Fraction, sustained: Sustained) -> Iterator[tuple[int, Fraction, Fraction]]:
    """Hours in each quarter of a month, and what is paid of them. More than a month is several."""
    months, rest = divmod(hours, MONTH_HOURS)
    for number, share in enumerate(sustained.shares):
        part = months * QUARTER + min(max(rest - number * QUARTER, Fraction(0)), QUARTER)
        if part:
            yield number, part, Fraction(share)


def _line(
    use: Use, price: MachinePrice, hours: Fraction, times: Fraction, share: Fraction, beside: str, source: str
) -> Line:
    each = written(hours) + " h" if "…" not in written(hours) else f"{written(hours * 3600)} s / 3,600"
    words = each if times == 1 else f"{written(times)} machines {TIMES} {each}"
    return machine_line(
        price, hours * times, use=use.name, what=f"{price.type}{beside}", words=words, source=source, share=share
    )


def _said(price: MachinePrice) -> list[str]:
    if price.term is not None:
        return [f"{price.type}: a reservation is paid for every hour of its term ({price.term}), used or not"]
    if price.estimate:
        return [f"{price.type}: an estimate, on-demand less the savings that the provider publishes"]
    if price.market == "spot":
        return [f"{price.type}: spot prices move; this is the one of {price.as_of}"]
    return []
