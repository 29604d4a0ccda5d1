"""Leases on a cluster that was started here: whose count, and that engines do not get in each other's way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("psutil", reason="needs the extra `ray`")

from skylift.compute.ray.cluster import Cluster, last_lease_ms

DIES = """
import os, sys
from pathlib import Path
from skylift.compute.ray.cluster import Cluster

cluster = Cluster(Path(sys.argv[1]), "an-engine")
cluster.renew(600_000)
for what in sys.argv[2:]:
    cluster.leave() if what == "leave" else cluster.mark(busy=what == "busy")
os._exit(9)
"""


def killed(folder: Path, *did: str) -> Path:
    """An engine that did this and was killed; its lease."""
    done = subprocess.run([sys.executable, "-c", DIES, str(folder), *did])
    assert done.returncode == 9
    [lease] = (folder / "leases").iterdir()
    return lease


@pytest.mark.parametrize(
    ("did", "counts"), [([], False), (["busy"], True), (["busy", "idle"], False), (["busy", "leave"], True)]
)
def test_the_lease_of_a_killed_engine_counts_while_something_of_it_is_in_the_cluster(
    tmp_path: Path, did: list[str], counts: bool
) -> None:
    killed(tmp_path, *did)
    assert (last_lease_ms(tmp_path) > time.time() * 1000) == counts


def test_of_an_engine_on_another_machine_nothing_is_known(tmp_path: Path) -> None:
    lease = killed(tmp_path)
    lease.write_text(json.dumps({**json.loads(lease.read_bytes()), "machine": "elsewhere"}))
    assert last_lease_ms(tmp_path) > time.time() * 1000


def test_the_lease_of_an_engine_that_lives_counts_whatever_it_does(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "an-engine")
    cluster.mark(busy=True)
    cluster.renew(600_000)
    cluster.mark(busy=False)
    assert last_lease_ms(tmp_path) > time.time() * 1000
    cluster.renew(0)
    assert last_lease_ms(tmp_path) <= time.time() * 1000


def test_engines_of_a_machine_with_dots_in_its_name_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (Cluster(tmp_path, f"ip-10-0-0-1.internal-{number}") for number in (1, 2))
    replace = Path.replace

    def overtaken(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        other.renew(1_000)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", overtaken)
    one.renew(600_000)
    assert last_lease_ms(tmp_path) > time.time() * 1000 + 300_000
    assert len(list((tmp_path / "leases").iterdir())) == 2


def test_what_is_no_lease_is_none(tmp_path: Path) -> None:
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases/torn").write_text('{"until_ms": 99')
    assert last_lease_ms(tmp_path) == 0
