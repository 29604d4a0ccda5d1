"""Why a backend cannot run a task: what is needed, what there is, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from skylift.engine.no_offer import no_offer
from skylift.ports.compute import Backend, Capabilities, Offer, Requirements


def backend(*offers: Offer, gpus: Sequence[Offer] = (), **able: Any) -> Backend:
    def offered(requirements: Requirements) -> Sequence[Offer]:
        return list(gpus) if requirements.gpu is not None else list(offers)

    return cast(Backend, SimpleNamespace(capabilities=Capabilities(**able), offers=offered))


def offer(vcpus: float, memory_mib: int, gpu: str | None = None, gpu_count: int = 0) -> Offer:
    return Offer(backend="batch", instance_type="x", vcpus=vcpus, memory_mib=memory_mib, gpu=gpu, gpu_count=gpu_count)


def test_the_largest_there_is_stands_beside_what_is_needed() -> None:
    told = no_offer("train", "batch", backend(offer(1, 512), offer(2, 4096)), Requirements(cpus=8, memory_mib=8192))
    assert told == (
        "Backend batch cannot run task train: it needs 8 processors, 8 GiB of memory, and what batch has is at most "
        "2 processors and 4 GiB of memory, no GPU. Lower what the task asks for, or choose another backend "
        "(--on, [placement])."
    )


def test_gpus_are_named() -> None:
    there = backend(offer(64, 512), gpus=[offer(4, 16384, "T4", 1), offer(8, 65536, "V100", 4)])
    told = no_offer("train", "batch", there, Requirements(gpu="H100:4"))
    assert "gpu='H100:4'" in told and "GPUs T4:1, V100:4" in told


def test_what_the_backend_cannot_do_at_all() -> None:
    wanted = Requirements(image="x:1", nodes=2, environment="0" * 64)
    told = no_offer("train", "ray", backend(offer(2, 512)), wanted)
    assert "it wants image 'x:1', and ray runs no images" in told
    assert "nodes=2, and ray runs no gangs" in told
    assert "an environment of its own, and ray makes none" in told


def test_nothing_at_all_now() -> None:
    assert "has nothing to run it on now" in no_offer("train", "ray", backend(), Requirements())
    assert "has nothing to run it on now" in no_offer("train", "ray", None, Requirements())


def test_a_place_without_gpus_says_so() -> None:
    assert "1 processor and 512 MiB of memory, no GPU" in no_offer(
        "train", "process", backend(offer(1, 512)), Requirements(gpu="1")
    )
