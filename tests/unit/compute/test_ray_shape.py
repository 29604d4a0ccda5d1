"""What Ray is asked for, and what a cluster can never give."""

from __future__ import annotations

from skylift.compute.ray.shape import misfit, nodes_of, offers_of, shape_of
from skylift.compute.ray.wire import Node
from skylift.ports.compute import Requirements

SMALL = Node(id="a", address="10.0.0.1", cpus=4, memory_mib=8_192)
GPU = Node(id="b", address="10.0.0.2", cpus=8, memory_mib=32_768, gpus=2, accelerators=("V100",), market="spot")


def test_a_gpu_is_a_count_a_model_or_both() -> None:
    options = [shape_of(Requirements(gpu=gpu), None).options() for gpu in ("2", "V100", "A100:4")]
    assert [one["num_gpus"] for one in options] == [2, 1, 4]
    assert [one.get("accelerator_type") for one in options] == [None, "V100", "A100"]


def test_memory_is_asked_of_ray_and_each_environment_has_places_of_its_own() -> None:
    shape = shape_of(Requirements(cpus=0.5, memory_mib=100, environment="d"), "bundle")
    options = shape.options()
    assert options["memory"] == 100 * 2**20 and options["num_cpus"] == 0.5
    assert shape.resources == {"CPU": 0.5, "memory": 100.0 * 2**20}
    assert shape != shape_of(Requirements(cpus=0.5, memory_mib=100, environment="d"), "another")
    assert shape != shape_of(Requirements(cpus=0.5, memory_mib=100, environment="e"), "bundle")


def test_what_does_not_fit_is_said_with_what_there_is() -> None:
    nodes = [SMALL, GPU]
    assert misfit(Requirements(cpus=8), nodes) is None
    assert misfit(Requirements(gpu="V100:2"), nodes) is None
    what, mend = misfit(Requirements(memory_mib=100_000), nodes) or ("", "")
    assert "100000 MiB" in what and "32768 MiB" in what and mend
    what, _ = misfit(Requirements(gpu="H100"), nodes) or ("", "")
    assert "H100" in what and "V100" in what
    what, _ = misfit(Requirements(cpus=5, gpu="V100", memory_mib=30_000, nodes=2), nodes) or ("", "")
    assert "2 workers" in what and "room for 1" in what
    assert "vision" in (misfit(Requirements(image="vision"), []) or ("", ""))[0]


def test_offers_are_the_kinds_of_nodes_that_fit() -> None:
    assert [offer.market for offer in offers_of("ray", Requirements(gpu="V100"), [SMALL, GPU], False)] == ["spot"]
    assert not offers_of("ray", Requirements(gpu="H100"), [SMALL, GPU], False)
    assert offers_of("ray", Requirements(gpu="H100"), [SMALL, GPU], True)
    assert not offers_of("ray", Requirements(image="vision"), [SMALL], True)


def test_nodes_are_read_from_what_ray_says() -> None:
    rows = [
        {
            "NodeID": "n1",
            "Alive": True,
            "NodeManagerAddress": "10.0.0.9",
            "Resources": {"CPU": 2.0, "memory": 4.0 * 2**30, "GPU": 1.0, "accelerator_type:T4": 1.0},
            "Labels": {"ray.io/market-type": "spot", "ray.io/node-group": "gpu"},
        },
        {"NodeID": "n2", "Alive": False, "Resources": {}},
    ]
    [node] = nodes_of(rows)
    assert (node.cpus, node.memory_mib, node.gpus, node.accelerators) == (2.0, 4_096, 1, ("T4",))
    assert (node.market, node.instance_type) == ("spot", "gpu")
