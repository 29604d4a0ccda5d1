"""What moving data costs and takes, by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from skylift.placement.model import Move, Site
from skylift.pricing.catalogue import catalogue
from skylift.quoting.moving import OWN_SITE, Freight, transfer

HERE, THERE, ELSEWHERE = Site("aws", "us-east-1"), Site("aws", "eu-west-1"), Site("gcp", "us-central1")
GB_100 = Freight(each=100e9, attempts=1)


def moved(freight: Freight, begin: Site, end: Site, uplink: float | None = None) -> Move:
    found = transfer(freight, begin, end, catalogue(), uplink)
    assert found is not None
    return found


def test_within_a_site_nothing_is_moved() -> None:
    assert moved(GB_100, HERE, HERE) == Move()


def test_between_regions_and_clouds_it_goes_at_five_gigabits() -> None:
    """100 GB x 8 bits / 5 Gbit/s = 160 s; $0.02 a GB between these regions."""
    found = moved(GB_100, HERE, THERE)
    assert (found.time_s, found.cost) == (160.0, Fraction(2_000_000))
    assert found.formula == "100 GB x $0.02 (region, from aws us-east-1); 160 s: 100 GB at 5 Gbit/s"
    assert moved(GB_100, HERE, ELSEWHERE).time_s == 160.0


def test_attempts_at_once_have_a_line_each_and_waves_take_their_turn() -> None:
    """Ten attempts of 10 GB in two waves: the price of 100 GB, the time of two."""
    found = moved(Freight(each=10e9, attempts=10, turns=2), HERE, THERE)
    assert (found.time_s, found.cost) == (32.0, Fraction(2_000_000))
    assert found.formula.endswith("32 s: 10 GB at 5 Gbit/s x 2 one after the other")


@pytest.mark.parametrize(("begin", "end"), [(OWN_SITE, HERE), (HERE, OWN_SITE)])
def test_ones_own_line_is_shared_and_asked_for(begin: Site, end: Site) -> None:
    ten = Freight(each=10e9, attempts=10)
    unknown = moved(ten, begin, end)
    assert unknown.time_s == 0 and "how long is not known (--uplink)" in unknown.formula
    known = moved(ten, begin, end, uplink=200e6)
    assert known.time_s == 4000.0 and known.formula.endswith("4000 s at 200 Mbit/s")
    assert (known.cost == 0) == (begin == OWN_SITE)
