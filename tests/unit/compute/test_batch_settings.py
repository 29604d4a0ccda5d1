"""`[backends.batch]`: what is said becomes kinds, queues and a policy; what is wrong is told with its mend."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from skylift.compute.batch.make import make_provider, offers
from skylift.compute.batch.offers import sight_of
from skylift.compute.batch.provider import Kind
from skylift.compute.batch.settings import kinds_of, policy_of, queue_names
from skylift.compute.batch.simulated import SimulatedProvider, Stock, TimedRunner
from skylift.compute.parts import Parts
from skylift.config import Config
from skylift.config.backends import BackendsSettings, BatchSettings
from skylift.errors import SkyliftError
from skylift.ports.compute import Cancelled, Requirements


def settings(**fields: object) -> BatchSettings:
    return msgspec.convert(fields, BatchSettings)


def parts(tmp_path: Path, batch: BatchSettings) -> Parts:
    config = Config(project=tmp_path, home=tmp_path / "home", backends=BackendsSettings(batch=batch))
    return Parts(
        report=lambda token, outcome: None, config=config, blobs=str(tmp_path / "blobs"), bundles=str(tmp_path / "code")
    )


FULL = settings(
    machines=[
        {"name": "small", "vcpus": 2, "memory": "4 GiB"},
        {"name": "gpu", "vcpus": 8, "memory": "61 GiB", "gpu": "V100:2", "market": "spot", "most": 3},
    ],
    most_vcpus=32,
    idle="2m",
    queues={"high": {"priority": 5, "shares": {"nightly": 2.5}}},
    queue={"train": "high"},
)


def test_a_backend_says_of_itself_what_its_machines_allow(tmp_path: Path) -> None:
    local = make_provider(parts(tmp_path, FULL), FULL).capabilities
    rehearsed = msgspec.structs.replace(FULL, provider="simulated")
    simulated = make_provider(parts(tmp_path, rehearsed), rehearsed).capabilities
    assert (local.outlives_engine, local.leases, local.warns) == (True, True, True)
    assert (simulated.outlives_engine, simulated.leases, simulated.warns) == (False, False, False)
    assert simulated.gangs and simulated.environments


def test_settings_become_kinds_a_policy_and_queues(tmp_path: Path) -> None:
    assert kinds_of(FULL) == (
        Kind(name="small", vcpus=2, memory_mib=4096),
        Kind(name="gpu", vcpus=8, memory_mib=62_464, gpu="V100", gpus=2, market="spot", most=3),
    )
    policy = policy_of(FULL, make_provider(parts(tmp_path, FULL), FULL))
    assert policy.most_mcpus == 32_000 and policy.idle_ms == 120_000 and not policy.open
    assert policy.queues["high"].priority == 5 and policy.queues["high"].weights == {"nightly": 2.5}
    assert queue_names(FULL) == {"train": "high"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"machines": [{"name": "a", "vcpus": 1, "memory": "1 GiB"}] * 2}, "two machines are called 'a'"),
        ({"machines": [{"name": "a", "vcpus": 1, "memory": "much"}]}, "a: memory='much' is not an amount"),
        ({"machines": [{"name": "a", "vcpus": 1, "memory": "1 GiB", "gpu": "2"}]}, "gpu = '2' names no model"),
    ],
)
def test_wrong_machines_are_told_with_their_place(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(SkyliftError, match=told):
        kinds_of(settings(**wrong))


def test_a_queue_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(SkyliftError, match="there is no such queue; there are: default, high") as problem:
        queue_names(settings(queues={"high": {}}, queue={"train": "hihg"}))
    assert problem.value.hint == "enter it as [backends.batch.queues.hihg]"


def test_simulated_machines_have_to_be_said(tmp_path: Path) -> None:
    with pytest.raises(SkyliftError, match="needs machines to simulate"):
        make_provider(parts(tmp_path, settings()), settings(provider="simulated"))


def test_offers_are_those_machines_that_a_task_fits(tmp_path: Path) -> None:
    made = parts(tmp_path, FULL)

    def names(needs: Requirements) -> list[str]:
        return [offer.instance_type for offer in offers(made, needs)]

    assert names(Requirements()) == ["small"]
    assert names(Requirements(spot=True)) == ["gpu"]
    assert names(Requirements(gpu="v100")) == ["gpu"]
    assert names(Requirements(memory_mib=8192)) == ["gpu"]
    assert names(Requirements(image="python")) == names(Requirements(cpus=9)) == names(Requirements(nodes=99)) == []


PRICED = settings(
    machines=[
        {"name": "steady", "vcpus": 4, "memory": "16 GiB", "price": "0.192"},
        {"name": "taken", "vcpus": 4, "memory": "16 GiB", "price": 0.0576, "market": "spot"},
        {"name": "larger", "vcpus": 8, "memory": "32 GiB", "price": "0.384 USD"},
    ]
)


def test_prices_are_exact_and_spot_is_weighed_by_them(tmp_path: Path) -> None:
    policy = policy_of(PRICED, make_provider(parts(tmp_path, PRICED), PRICED))
    assert [kind.usd_micro_per_hour for kind in policy.kinds] == [192_000, 57_600, 384_000]
    needs = Requirements(cpus=4, spot=True)
    sight = sight_of(needs, policy, lambda kind: True)
    assert sight is not None and sight.available and sight.ratio == pytest.approx(0.3)
    none_left = sight_of(needs, policy, lambda kind: False)
    assert none_left is not None and not none_left.available
    assert sight_of(needs, policy, lambda kind: None) is None
    assert sight_of(Requirements(cpus=8, spot=True), policy, lambda kind: True) is None  # there is no spot so large


def test_without_prices_there_is_nothing_to_weigh(tmp_path: Path) -> None:
    policy = policy_of(FULL, make_provider(parts(tmp_path, FULL), FULL))
    assert sight_of(Requirements(spot=True), policy, lambda kind: True) is None


@pytest.mark.parametrize("price", ["free", "-1", "0", "1e3"])
def test_a_price_that_is_none_names_the_machine(price: str) -> None:
    wrong = settings(machines=[{"name": "m5", "vcpus": 1, "memory": "1 GiB", "price": price}])
    with pytest.raises(SkyliftError, match=r"machines\]\] m5: price="):
        kinds_of(wrong)


def test_what_is_simulated_is_in_stock_until_all_are_in_use(tmp_path: Path) -> None:
    kind = Kind(name="few", vcpus=1, memory_mib=1024, market="spot")
    provider = SimulatedProvider(
        [kind], lambda: 0, TimedRunner(lambda call: (1, Cancelled())), stock={"few": Stock(most=1)}
    )
    assert provider.in_stock(kind)
    machine = provider.start(kind, "me", 1_000)
    assert not provider.in_stock(kind)
    provider.stop([machine])
    assert provider.in_stock(kind)
