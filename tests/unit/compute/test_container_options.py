"""What podman and docker are told of a container, word by word."""

from __future__ import annotations

import pytest

from skylift.compute.container.engine import ContainerEngine, Kind, Mount, Spec


def options(kind: Kind = "podman", **of: object) -> list[str]:
    engine = ContainerEngine(("x",), kind)
    return engine._options(Spec(name="n", image="i", command=("c",), **of))  # type: ignore[arg-type]


@pytest.mark.parametrize(("cpus", "told"), [(1.0, "1"), (0.5, "0.5"), (0.001, "0.01"), (1e-7, "0.01")])
def test_processors_are_limited_as_far_as_the_kernel_can(cpus: float, told: str) -> None:
    """Less is an error of the engine, which looked like a lost machine."""
    words = options(cpus=cpus)
    assert words[words.index("--cpus") + 1] == told


@pytest.mark.parametrize("kind", ["podman", "docker"])
def test_a_path_with_a_colon_is_said_in_the_long_way(kind: Kind) -> None:
    words = options(kind, mounts=(Mount("/a", "/b"), Mount('/c:"d', "/e,f", True), Mount("/g:", "/h")))
    assert words[words.index("--volume") + 1] == "/a:/b:ro"
    long = [words[place + 1] for place, word in enumerate(words) if word == "--mount"]
    assert long == ['type=bind,"source=/c:""d","destination=/e,f"', 'type=bind,"source=/g:","destination=/h",readonly']
