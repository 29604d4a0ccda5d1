"""The rules of the calculator are data: each leads to rows of the catalogue, and each has a source that is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import pytest

from skylift.pricing.catalogue import CLOUDS, catalogue
from skylift.pricing.estimate.rules import Charge, Service, billing_of, longest_ms_of, room_of, rules
from skylift.pricing.estimate.uses import KEYS

SERVICES = rules().services
UNPRICED = {"gcp-transfer": {"region", "zone"}, "azure-transfer": {"region", "zone"}}
"""What no source has a price of: asking for it gives "no price", and no other word."""
named = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


def items(service: Service, charge: Charge) -> Iterator[str]:
    """Every item that a charge can be of."""
    choices = product(service.classes.values() or [""], service.to.values() or [""], service.arch.values() or [""])
    for kind, to, arch in choices:
        yield charge.item.replace("{class}", kind).replace("{to}", to).replace("{arch}", arch)


@named
def test_every_charge_is_of_an_item_of_the_catalogue(service: Service) -> None:
    for charge in service.charges:
        known = catalogue().items(charge.service or service.catalogue, service.cloud)
        assert set(items(service, charge)) - UNPRICED.get(service.name, set()) <= set(known), charge


@named
def test_a_use_says_what_charges_are_made_of(service: Service) -> None:
    takes = service.takes
    assert set(KEYS) >= takes
    for charge in service.charges:
        told = {"requests", "reads", "writes", "transitions", "data", "months", "vcpus", "memory"} & set(charge.of)
        assert told <= takes, charge
        assert "time" not in charge.of or billing_of(service, catalogue(), None) is not None
        assert "ghz" not in charge.of or set(service.ghz) == {room.most_mib for room in room_of(service, catalogue())}
    assert service.machines != bool(service.charges)


@named
def test_time_is_billed_by_a_rule_with_limits_that_make_sense(service: Service) -> None:
    billing = billing_of(service, catalogue(), None)
    bought_by_time = "duration" in service.takes
    assert (billing is not None) == bought_by_time
    if billing is not None:
        assert billing.minimum_ms % billing.increment_ms == 0 or billing.minimum_ms == 1
        longest = longest_ms_of(service, catalogue())
        assert longest is None or longest >= 540_000
    for room in room_of(service, catalogue()):
        assert 128 <= room.least_mib <= room.most_mib <= 122_880 and room.step_mib >= 1


def test_every_source_is_named_and_used() -> None:
    found = rules()
    used = {one.source for one in (*found.free, *found.sustained)}
    for service in found.services:
        used |= {old.source for old in service.before}
        used |= {service.billing.source} if service.billing is not None else set()
    assert used == set(found.sources)


def test_names_are_names_of_one_service() -> None:
    names = [name for service in SERVICES for name in (service.name, *service.aliases)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)


def test_a_service_without_prices_is_none_that_has_some() -> None:
    names = {name for service in SERVICES for name in (service.name, *service.aliases)}
    for missing in rules().unpriced:
        assert not names & set(missing.names) and missing.near in names


def test_each_cloud_has_machines_and_a_region() -> None:
    for cloud in CLOUDS:
        assert rules().machines_of(cloud).cloud == cloud
        assert rules().regions[cloud] in catalogue().regions(cloud)


def test_free_tiers_are_of_what_is_charged() -> None:
    for free in rules().free:
        service = rules().service(free.service, "service")
        charged = {item for charge in service.charges for item in items(service, charge)}
        assert free.item in (catalogue().machines(service.cloud) if service.machines else charged)
        assert all(region in catalogue().regions(service.cloud) for region in free.regions)


def test_prices_end_where_the_last_known_tier_does() -> None:
    for end in rules().ends:
        for region in end.regions or catalogue().regions(end.cloud):
            tiers = catalogue().tiers(end.service, end.item, region, end.cloud)
            assert all(tier.tier_from < end.amount for tier in tiers), end
        assert end.item in catalogue().items(end.service, end.cloud)


def test_sustained_use_is_of_families_that_there_are_and_never_grows_dearer() -> None:
    machines = catalogue().machines("gcp")
    for sustained in rules().sustained:
        assert list(sustained.shares) == sorted(sustained.shares, reverse=True) and sustained.shares[0] == 1
        there = [family for family in sustained.families if any(name.startswith(family) for name in machines)]
        assert len(there) >= 3
    assert rules().sustained_of("c2d-standard-2") is None and rules().sustained_of("n2d-standard-2") is not None
    assert rules().sustained_of("n1-standard-8+2xT4") is not None and rules().sustained_of("e2-micro") is None


def test_terms_are_those_of_the_catalogue() -> None:
    assert {term.name for term in rules().terms} == set(catalogue().book("aws").terms)
