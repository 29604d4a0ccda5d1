"""The container backend keeps the contract, with real containers of podman."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from container_parts import container_backend
from podman import containers, podman, podman_variables  # noqa: F401  # a fixture

from skylift.compute.container.backend import ContainerBackend
from skylift.compute.container.engine import find_engine
from skylift.compute.container.images import Images
from skylift.ports.compute import OutOfMemory, Requirements
from skylift.testing.backend_harness import call
from skylift.testing.backends import BackendConformance, GivenImage, Harness, Outcomes


@pytest.fixture(scope="module")
def given_image(podman_variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> GivenImage:  # noqa: F811
    """One that is not built from here as far as the backend knows, with a file of its own."""
    folder = tmp_path_factory.mktemp("image")
    base = Images(find_engine("podman"), folder).find(None)
    (folder / "mark").write_text("of this image")
    lines = [f"FROM {base.name}", f"ENV PATH={Path(base.python).parent}:/usr/bin:/bin", "COPY mark /mark"]
    (folder / "Containerfile").write_text("\n".join(lines))
    podman(podman_variables, "build", "--tag", "localhost/given:1", str(folder))
    return GivenImage(name="localhost/given:1", file="/mark", text="of this image")


class TestContainerBackend(BackendConformance):
    @pytest.fixture
    def harness(
        self,
        tmp_path: Path,
        podman_variables: dict[str, str],  # noqa: F811
        given_image: GivenImage,
    ) -> Iterator[Harness]:
        outcomes = Outcomes()
        backends = [container_backend(outcomes, tmp_path)]

        def successor(later: Outcomes) -> ContainerBackend:
            backends.append(container_backend(later, tmp_path))
            return backends[-1]

        yield Harness(
            backend=backends[0],
            outcomes=outcomes,
            folder=tmp_path / "folder",
            successor=successor,
            blobs=str(tmp_path / "blobs"),
            image=given_image,
            warn=lambda _: podman(podman_variables, "kill", "--signal", "TERM", *containers(podman_variables)),
            patience=6.0,
            many=24,
        )
        last = successor(Outcomes())
        last.end(last.leased())
        for backend in backends:
            backend.close()

    def test_nothing_is_left_where_the_engine_was_started(
        self, harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """podman leaves a file there by itself when an attempt meets its memory limit."""
        here = tmp_path / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        [outcome] = harness.run(call("allocate", mib=400, requirements=Requirements(memory_mib=100)))
        assert isinstance(outcome, OutOfMemory), outcome
        assert list(here.iterdir()) == []
