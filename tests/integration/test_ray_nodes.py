"""What travels to the nodes of a cluster: the packages of a task, and Skylift itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_backends import RayParts, make
from ray_cluster import RayCluster, lonely, ray_cluster
from tiny_wheels import make_wheel

import skylift.version
from skylift.compute.environments import write_spec
from skylift.compute.environments.uv import find_uv
from skylift.compute.ray.backend import RayBackend
from skylift.ports.compute import CodeRef, Failed, Outcome, Requirements, Succeeded, TaskCall
from skylift.ports.environments import EnvironmentSpec
from skylift.stores.files import FileBlobStore
from skylift.testing.backends import Outcomes
from skylift.version import VERSION

__all__ = ["lonely", "ray_cluster"]

TASKS = """
import importlib.util


def version():
    import tinyone

    return tinyone.VERSION


def has(name):
    return importlib.util.find_spec(name) is not None


def skylift():
    import skylift.version

    return [skylift.version.VERSION, skylift.__file__]
"""
_count = iter(range(10**6))


@pytest.fixture
def parts(tmp_path: Path, ray_cluster: RayCluster) -> RayParts:
    home = tmp_path / "home"
    home.mkdir()
    (home / "far_tasks.py").write_text(TASKS)  # the project's folder, which nodes of this machine see
    return RayParts(home, address=ray_cluster.address)


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


@pytest.fixture
def backend(parts: RayParts, outcomes: Outcomes) -> Iterator[RayBackend]:
    backend = make(parts, outcomes)
    yield backend
    backend.end(backend.leased())
    backend.close()


@pytest.mark.skipif(find_uv() is None, reason="needs uv")
def test_tasks_run_with_packages_of_their_own_beside_others_that_have_none(
    parts: RayParts, backend: RayBackend, outcomes: Outcomes, tmp_path: Path
) -> None:
    old, new = (_environment(parts, make_wheel(tmp_path / name, "tinyone", name)) for name in ("1.0", "2.0"))
    calls = [_order("version", old), _order("version", new), _order("has", None, name="tinyone")]
    assert _outputs(backend, outcomes, *calls) == ["1.0", "2.0", False]
    assert _outputs(backend, outcomes, _order("has", old, name="pytest")) == [False]
    places = [folder for folder in (parts.home / "environments").iterdir() if len(folder.name) == 64]
    assert len([folder for folder in places if folder.is_dir()]) == 2


def test_an_environment_of_another_python_is_refused_before_a_place_is_asked_for(
    parts: RayParts, backend: RayBackend, outcomes: Outcomes
) -> None:
    one = _order("version", _environment(parts, python="3.99"))
    [outcome] = _run(backend, outcomes, one)
    assert isinstance(outcome, Failed) and "3.99" in outcome.cause and "image" in outcome.cause
    assert backend.connect().places == 0


@pytest.mark.slow
@pytest.mark.skipif(find_uv() is None, reason="needs uv")
def test_packages_that_cannot_be_installed_fail_the_call_in_the_words_of_the_tool(
    parts: RayParts, backend: RayBackend, outcomes: Outcomes, tmp_path: Path
) -> None:
    one = _order("version", _environment(parts, f"tinyone @ {(tmp_path / 'tinyone-9-py3-none-any.whl').as_uri()}"))
    [outcome] = _run(backend, outcomes, one)
    assert isinstance(outcome, Failed) and "cannot be installed" in outcome.cause


@pytest.mark.slow
def test_a_node_with_another_version_of_skylift_is_sent_ours(
    parts: RayParts, outcomes: Outcomes, ray_cluster: RayCluster, tmp_path: Path
) -> None:
    (tmp_path / "version.py").write_text('VERSION = "0.0.7"\n')
    theirs = Path(skylift.version.__file__)
    older = f'mount --make-rprivate / && mount --bind {tmp_path / "version.py"} {theirs} && exec "$@"'
    node = ray_cluster.add_node(cpus=3, prefix=["unshare", "-m", "sh", "-c", older, "sh"])
    backend = make(parts, outcomes)
    backend._announce = (said := []).append
    try:
        own = _environment(parts, make_wheel(tmp_path, "tinyone", "1.0"))
        calls = [_order("skylift", cpus=3), _order("version", own, cpus=3)]
        [[version, file], packaged] = _outputs(backend, outcomes, *calls)
        assert version == VERSION and Path(file).parents[1] != theirs.parents[1] and packaged == "1.0"
        assert said == [f"ray: the cluster has skylift 0.0.7: skylift {VERSION} is sent to its nodes"]
    finally:
        backend.end(backend.leased())
        backend.close()
        ray_cluster.lose(node)


def _environment(parts: RayParts, *lines: str, python: str | None = None) -> str:
    return write_spec(EnvironmentSpec(requirements=lines, python=python), FileBlobStore(parts.blobs))


def _order(target: str, environment: str | None = None, *, cpus: float = 0.5, **arguments: object) -> TaskCall:
    return TaskCall(
        token=f"n{next(_count)}",
        run_id="run",
        task=target,
        label=target,
        attempt=1,
        code=CodeRef(bundle=None, target=f"far_tasks:{target}"),
        arguments=arguments,
        requirements=Requirements(cpus=cpus, environment=environment),
    )


def _run(backend: RayBackend, outcomes: Outcomes, *calls: TaskCall) -> list[Outcome]:
    backend.submit(calls)
    return list(outcomes.wait(*(one.token for one in calls), timeout=180))


def _outputs(backend: RayBackend, outcomes: Outcomes, *calls: TaskCall) -> list[object]:
    found = _run(backend, outcomes, *calls)
    return [one.output if isinstance(one, Succeeded) else one for one in found]
