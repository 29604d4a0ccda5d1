"""`[backends.batch]`: what is said becomes kinds, queues and a policy; what is wrong is told with its mend."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from skylift.compute.batch.make import make_provider, offers
from skylift.compute.batch.provider import Kind
from skylift.compute.batch.settings import kinds_of, policy_of, queue_names
from skylift.compute.parts import Parts
from skylift.config import Config
from skylift.config.backends import BackendsSettings, BatchSettings
from skylift.errors import SkyliftError
from skylift.ports.compute import Requirements


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
