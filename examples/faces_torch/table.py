"""What the deliveries of a training came to: attempts, work done and lost, time and cost."""

from __future__ import annotations

from collections.abc import Sequence

from skylift.pricing.deliveries import Delivery

HOUR_MS = 3_600_000


def print_table(deliveries: Sequence[Delivery], *, same: bool) -> None:
    spot = [one for one in deliveries if one.step == "train_on_spot"]
    steady = [one for one in deliveries if one.step == "train"]
    print(f"{'delivery':<10}{'ended':<12}{'start-up':>9}{'ran':>8}{'kept':>8}{'lost':>8}{'cost':>9}")
    kept = 0.0
    for number, one in enumerate(spot, 1):
        before, kept = kept, _kept(one, kept)
        ran = _hours(one, "duration_ms")
        lost = max(0.0, ran - (kept - before)) if one.ended != "succeeded" else 0.0
        cells = f"{_hours(one, 'startup_ms'):>8.2f}h{ran:>7.2f}h{kept:>7.2f}h{lost:>7.2f}h{_usd(one):>9.2f}"
        print(f"{number:<10}{one.ended:<12}{cells}")
    print()
    for name, some in (("spot", spot), ("on-demand", steady)):
        ran = sum(_hours(one, "duration_ms") + _hours(one, "startup_ms") for one in some)
        cost = sum(map(_usd, some))
        print(
            f"{name:<10}{len(some):>3} deliveries, {ran:6.2f} hours of a {_machine(some)}, {_elapsed(some):6.2f} hours "
            f"from first to last, {cost:6.2f} USD"
        )
    paid, full = sum(map(_usd, spot)), sum(map(_usd, steady))
    print(f"spot costs {paid / full:.0%} of on-demand" if full else "no prices")
    print(f"weights are {'the same to the last bit' if same else 'NOT THE SAME'}")


def _kept(one: Delivery, before: float) -> float:
    """Work that need not be done again, of all deliveries so far."""
    usage = one.usage
    if one.ended == "succeeded":
        return before + _hours(one, "duration_ms")
    return max(before, (usage.saved_ms or 0.0) / HOUR_MS) if usage is not None else before


def _hours(one: Delivery, what: str) -> float:
    return (getattr(one.usage, what, None) or 0.0) / HOUR_MS


def _usd(one: Delivery) -> float:
    return (getattr(one.usage, "cost_usd_micro", None) or 0) / 1e6


def _machine(some: Sequence[Delivery]) -> str:
    return str(getattr(some[0].usage, "instance_type", None) or "machine") if some else "machine"


def _elapsed(some: Sequence[Delivery]) -> float:
    usages = [one.usage for one in some if one.usage is not None and one.usage.started_ms is not None]
    if not usages:
        return 0.0
    begin = min((usage.started_ms or 0) - (usage.startup_ms or 0.0) for usage in usages)
    return (max((usage.started_ms or 0) + (usage.duration_ms or 0.0) for usage in usages) - begin) / HOUR_MS
