"""Whatever deliveries there are: parts add up to the amount, no part of it is negative, lines add up to the bill."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.asl.events import Usage
from skylift.pricing.bill import bill
from skylift.pricing.catalogue import catalogue
from skylift.pricing.charge import place_of
from skylift.pricing.deliveries import Delivery, Ended
from skylift.pricing.ledger import Ledger, charges
from skylift.pricing.places import cost
from skylift.pricing.transfer import Moved

times = st.one_of(st.none(), st.floats(0, 1e8, allow_nan=False).map(lambda ms: round(ms, 3)))
amounts = st.one_of(st.none(), st.integers(0, 10**12))
PLACES: list[dict[str, Any]] = [
    {"service": "function", "instance_type": "lambda", "memory_mib": 1769, "vcpus": 1.0},
    {"service": "container", "instance_type": "fargate", "memory_mib": 8192, "vcpus": 1.0},
    {"service": "batch", "instance_type": "p3.2xlarge", "memory_mib": 62_464, "vcpus": 8.0},
    {"service": "batch", "instance_type": "no-such-machine"},
    {"service": "managed-training", "instance_type": "ml.p3.2xlarge"},
    {"service": "process"},
]
usages = st.builds(
    lambda place, market, **more: Usage(**place, region="us-east-1", market=market, **more),
    st.sampled_from(PLACES),
    st.sampled_from(["on-demand", "spot"]),
    startup_ms=times,
    duration_ms=times,
    saved_ms=times,
    cpu_ms=times,
    peak_memory_mib=st.one_of(st.none(), st.floats(0, 1e5, allow_nan=False).map(lambda mib: round(mib, 2))),
    in_bytes=amounts,
    out_bytes=amounts,
    cost_usd_micro=amounts,
    nodes=st.integers(1, 4),
)
deliveries = st.builds(
    Delivery,
    step=st.sampled_from("abc"),
    token=st.sampled_from(["1-1", "1-2", "2-1"]),
    ended=st.sampled_from(get_args(Ended)),
    usage=st.one_of(st.none(), usages),
    ended_ms=st.one_of(st.none(), st.integers(0, 10**13)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(deliveries, max_size=12), st.sampled_from([None, "internet", "us-east-1", "eu-west-1"]))
def test_lines_add_up(given_: list[Delivery], artifacts: str | None) -> None:
    known = catalogue()
    moved = None if artifacts is None else Moved(artifacts=artifacts)
    for one in charges(given_, known, moved):
        parts = [getattr(one.parts, name) for name in one.parts.__struct_fields__]
        assert min(parts) >= 0
        assert sum(parts, Fraction(0)) == one.amount
        usage = one.delivery.usage
        if one.known == "priced" and usage is not None and (place := place_of(usage)) is not None:
            exact = cost(place, usage.startup_ms or 0.0, usage.duration_ms or 0.0, known)
            assert one.amount - one.parts.transfer == exact
        elif one.known == "told" and usage is not None:
            assert one.amount - one.parts.transfer == usage.cost_usd_micro
        else:
            assert one.amount == one.parts.transfer
        assert one.parts.transfer == 0 or moved is not None
    ledger = Ledger(known, moved=moved)
    ledger.add(given_, lambda delivery: delivery.step)
    assert sum((line.cost for line in ledger.lines.values()), Fraction(0)) == ledger.total.cost
    assert ledger.total.cost - ledger.total.parts.transfer == bill(given_, known).cost
    assert sum(line.deliveries for line in ledger.lines.values()) == len(given_) == ledger.total.deliveries
