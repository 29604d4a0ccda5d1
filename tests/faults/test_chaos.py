"""Engines, workers, containers and nodes are killed at random: each step is recorded once, nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_campaign import Campaign, kill_container, kill_machine, kill_ray_worker, kill_worker
from ray_cluster import RayCluster

POOL = """
[backends.batch]
idle = "1s"
"""


@pytest.mark.slow
def test_processes_under_fire(tmp_path: Path) -> None:
    found = Campaign("process", 500, 1, project=tmp_path, kill=kill_worker, seconds=0.03).run()
    assert found.fine, repr(found)
    assert found.recorded == 501
    assert found.engines > 1 and found.killed.get("worker", 0) > 0, found


@pytest.mark.slow
def test_containers_under_fire(tmp_path: Path, podman_variables: dict[str, str]) -> None:
    found = Campaign("container", 120, 2, project=tmp_path, kill=kill_container, every_s=(1, 4)).run()
    assert found.fine, repr(found)
    assert found.engines > 1 and found.killed.get("container", 0) > 0, found


@pytest.mark.slow
def test_a_pool_of_machines_under_fire(tmp_path: Path) -> None:
    found = Campaign("batch", 300, 3, project=tmp_path, kill=kill_machine, engine_share=0.5, settings=POOL).run()
    assert found.fine, repr(found)
    assert found.engines > 1 and found.killed.get("machine", 0) > 0, found


@pytest.mark.slow
def test_ray_under_fire(tmp_path: Path, ray_cluster: RayCluster) -> None:
    settings = f'[backends.ray]\naddress = "{ray_cluster.address}"\nlease = "20s"\n'
    found = Campaign(
        "ray", 500, 4, project=tmp_path, kill=kill_ray_worker, every_s=(3, 9), settings=settings, limit_s=150
    ).run()
    assert found.fine, repr(found)
    assert found.engines > 1 and found.killed.get("ray worker", 0) > 0, found
