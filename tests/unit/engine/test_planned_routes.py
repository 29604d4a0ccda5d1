"""A run that is bound to a plan: each step goes where the plan has bought a place, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from engine_world import SKYLIFT, ManualBackend

from skylift.asl.commands import StartTask
from skylift.compute.batch.provider import Kind
from skylift.compute.batch.work import fits, needs_of
from skylift.compute.simulated.choosing import choose, offers_for
from skylift.config.backends import SimulatedSettings
from skylift.engine.placing import WITHIN, on_plan
from skylift.engine.router import Router
from skylift.engine.routes import Refused, WorkerRoute
from skylift.ports.compute import Bought, CodeRef, Market, Offer, Requirements, TaskCall
from skylift.ports.journal import RunRecord
from skylift.ports.tasks import TaskSpec, TaskTable
from skylift.pricing.catalogue import catalogue
from skylift.pricing.places import Place

NEEDS = Requirements(memory_mib=512, spot=True)
TRAIN = TaskSpec(name="train", target="m:train", requirements=NEEDS)
M5 = Bought(backend="shop", service="batch", instance_type="m5.large", vcpus=2, memory_mib=8192, region="eu-west-1")


class Shop(ManualBackend):
    """Sells two kinds of machine."""

    def offers(self, requirements: Requirements) -> Sequence[Offer]:
        kinds = ("m5.large", "m5.xlarge")
        common: dict[str, Any] = {"backend": self.name, "vcpus": 2, "memory_mib": 8192, "service": "batch"}
        return [Offer(instance_type=kind, region="eu-west-1", **common) for kind in kinds] if self.can else []


def routed(
    plan: Mapping[str, Bought],
    *,
    state: str = "train",
    attributes: Mapping[str, str] | None = None,
    shop: Shop | None = None,
    placement: Mapping[str, str] | None = None,
    account: str = "",
) -> Any:
    backends = {"manual": ManualBackend(), "shop": shop or Shop("shop")}
    command = StartTask(
        token="1-1", state=state, path=(state,), attempt=1, resource=SKYLIFT + "train", arguments={}, scheduled_ms=0
    )
    record = RunRecord(
        run_id="r", name="r", pipeline="p", definition="d", input_digest="i", created_ms=0, account=account,
        attributes=dict(attributes or {}),
    )  # fmt: skip
    table = TaskTable(bundle=None, tasks={"train": TRAIN}, plan=dict(plan) if plan else msgspec.UNSET)
    return Router(backends, placement=placement).route(command, record, table, {})


def test_a_step_goes_to_what_is_bought_for_it() -> None:
    route = routed({"train": M5}, attributes={"on": "manual"}, placement={"train": "manual"})
    assert isinstance(route, WorkerRoute)
    assert route.backend == "shop", "whatever attributes and settings say"
    assert route.spec.requirements.place == M5
    assert route.spec.requirements.memory_mib == 8192, "all that is bought"
    assert not route.spec.requirements.spot, "it was bought on demand"


def test_other_steps_of_the_same_task_are_no_part_of_it() -> None:
    route = routed({"train": M5}, state="train 2")
    assert isinstance(route, WorkerRoute)
    assert (route.backend, route.spec.requirements) == ("manual", NEEDS)


def test_steps_of_called_pipelines_are_told_apart() -> None:
    plan = {"trial/train": M5}
    assert routed(plan).backend == "manual"
    assert routed(plan, attributes={WITHIN: "trial/"}).backend == "shop"


def test_a_backend_that_cannot_honour_it_is_told_so() -> None:
    route = routed({"train": msgspec.structs.replace(M5, region="eu-north-1")})
    assert isinstance(route, Refused) and route.error == "Skylift.NoOffer"
    assert "has bought batch m5.large (2 vCPU, 8192 MiB), on-demand in eu-north-1 for task train" in route.cause
    assert "shop offers batch m5.large, on-demand in eu-west-1" in route.cause
    gone = routed({"train": M5}, shop=Shop("shop", can=False))
    assert isinstance(gone, Refused) and "the batch m5.large" in gone.cause
    nobody = routed({"train": msgspec.structs.replace(M5, backend="nobody")})
    assert isinstance(nobody, Refused) and nobody.error == "Skylift.NoBackend"


def test_accounts_of_a_server_bring_no_plan() -> None:
    route = routed({"train": M5}, account="123456789012")
    assert isinstance(route, WorkerRoute) and (route.backend, route.spec.requirements.place) == ("manual", None)


def test_what_outgrows_it_goes_on_without_it() -> None:
    router = Router({"shop": Shop("shop")})
    grown = msgspec.structs.replace(on_plan(TRAIN, M5).requirements, memory_mib=16_384)
    assert router._honours("shop", grown), "memory is asked for anew, and the place no longer says where"


def test_one_of_ones_own_machines_keeps_the_tasks_own_limit() -> None:
    own = Bought(backend="process", service="process", instance_type="this-machine", vcpus=8, memory_mib=65_536)
    assert on_plan(TRAIN, own).requirements.memory_mib == 512


def test_tables_without_a_plan_are_as_they_were() -> None:
    table = TaskTable(bundle=None, tasks={})
    assert b"plan" not in msgspec.json.encode(table)
    assert b"place" not in msgspec.json.encode(Requirements())
    planned = msgspec.structs.replace(table, plan={"train": M5})
    assert msgspec.json.decode(msgspec.json.encode(planned), type=TaskTable) == planned


# The simulated cloud -------------------------------------------------------------------------------------------------

SPOT = Bought(
    backend="simulated", service="batch", instance_type="p3.2xlarge", vcpus=8, memory_mib=62_464, gpu="V100", gpus=1,
    market="spot", region="us-east-1",
)  # fmt: skip


def call(needs: Requirements, market: Market = "on-demand") -> TaskCall:
    return TaskCall(
        token="t", run_id="r", task="train", label="train", attempt=1, code=CodeRef(bundle=None, target="m:t"),
        arguments={}, requirements=needs, market=market,
    )  # fmt: skip


def chosen(bought: Bought, market: Market = "on-demand", **needs: Any) -> Place | None:
    wanted = Requirements(place=bought, gpu=bought.gpu, **needs)
    return choose(wanted, market, SimulatedSettings(), catalogue())


def test_the_simulated_cloud_uses_exactly_what_is_bought() -> None:
    place = chosen(SPOT, "spot")
    assert place is not None
    assert (place.instance_type, place.market, place.region, place.memory_mib) == (
        "p3.2xlarge",
        "spot",
        "us-east-1",
        62_464,
    )
    far = msgspec.structs.replace(M5, backend="simulated")
    found = chosen(far)
    assert found is not None and (found.region, found.instance_type) == ("eu-west-1", "m5.large")
    function = Bought(
        backend="simulated", service="function", instance_type="lambda", vcpus=1, memory_mib=1769, region="us-east-1"
    )
    small = chosen(function)
    assert small is not None and small.memory_mib == 1769


def test_the_policy_may_give_up_on_spot_but_not_on_the_machine() -> None:
    place = chosen(SPOT, "on-demand")
    assert place is not None and (place.instance_type, place.market) == ("p3.2xlarge", "on-demand")


@pytest.mark.parametrize(
    "change",
    [
        {"instance_type": "p3.2xlrge"},
        {"vcpus": 64.0},
        {"region": "mars-1"},
        {"cloud": "azure"},
        {"market": "reserved"},
    ],
)
def test_what_there_is_not_is_not_offered(change: dict[str, Any]) -> None:
    bought = msgspec.structs.replace(M5, backend="simulated", **change)
    assert offers_for(Requirements(place=bought), SimulatedSettings(), catalogue()) == []


def test_what_outgrows_its_place_goes_to_the_next_one_there() -> None:
    container = Bought(
        backend="simulated", service="container", instance_type="fargate", vcpus=1, memory_mib=2048, region="us-east-1"
    )
    found = chosen(container, memory_mib=4096)
    assert found is not None
    assert (found.service, found.region) == ("container", "us-east-1") and found.memory_mib >= 4096


# The batch pool ------------------------------------------------------------------------------------------------------


def test_a_pool_starts_the_kind_that_is_bought() -> None:
    kinds = [Kind(name=name, vcpus=2, memory_mib=8192) for name in ("small", "m5.large")]
    needs = needs_of(Requirements(place=M5))
    assert [kind.name for kind in kinds if fits(needs, kind)] == ["m5.large"]
    assert all(fits(needs_of(Requirements()), kind) for kind in kinds)
