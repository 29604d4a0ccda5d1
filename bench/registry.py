"""The systems that are measured: the limit, Skylift, and its peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system, and how much of each work it is given."""

    name: str
    title: str
    script: str
    """In `systems/`."""
    package: str | None = None
    """Whose version is shown; None for what comes with Python."""
    imports: str | None = None
    """The statement that is measured for the work `import`."""
    durable: bool = False
    where: str = "worker processes"
    """Where its tasks run here."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """How many tasks of a warm work it is given where that is fewer than the work has: the rest is extrapolated."""
    extra_steps: Mapping[str, int] = field(default_factory=dict)
    """Steps of a warm work beside its tasks, where the system has more than the one that gathers."""
    leaves_out: Mapping[str, str] = field(default_factory=dict)
    """Works it is not measured on, and why."""
    needs_loopback: bool = False
    """It listens beyond loopback, so it runs only where it can be given a network of its own."""
    timeout_s: float = 120.0
    """Of one process."""

    @property
    def is_peer(self) -> bool:
        return self.name not in ("limit", "skylift")


_NO_WARM_CALL = "starts a process for each step: it has no warm call"

SYSTEMS = (
    System(name="limit", title="ProcessPoolExecutor (the limit)", script="limit.py"),
    System(
        name="skylift",
        title="Skylift",
        script="ours.py",
        package="skylift",
        imports="from skylift import pipeline, task",
        durable=True,
    ),
    System(name="joblib", title="joblib", script="peer_joblib.py", package="joblib", imports="import joblib"),
    System(
        name="ray",
        title="Ray",
        script="peer_ray.py",
        package="ray",
        imports="import ray",
        needs_loopback=True,
        timeout_s=150,
    ),
    System(
        name="dask",
        title="Dask distributed",
        script="peer_dask.py",
        package="distributed",
        imports="import distributed",
        timeout_s=180,
    ),
    System(
        name="dbos",
        title="DBOS",
        script="peer_dbos.py",
        package="dbos",
        imports="import dbos",
        durable=True,
        where="threads of the process",
        sizes={"map": 500},
    ),
    System(
        name="prefect",
        title="Prefect",
        script="peer_prefect.py",
        package="prefect",
        imports="import prefect",
        durable=True,
        where="threads of the process",
        sizes={"map": 1_000},
        timeout_s=180,
    ),
    System(
        name="dagster",
        title="Dagster",
        script="peer_dagster.py",
        package="dagster",
        imports="import dagster",
        durable=True,
        where="a process for each step; chain and call in-process",
        sizes={"map": 2, "call": 20},
        extra_steps={"map": 2},
        timeout_s=180,
    ),
    System(
        name="metaflow",
        title="Metaflow",
        script="peer_metaflow.py",
        package="metaflow",
        imports="import metaflow",
        durable=True,
        where="a process for each step",
        sizes={"map": 4, "chain": 5},
        extra_steps={"map": 3},
        leaves_out={"call": _NO_WARM_CALL},
        timeout_s=180,
    ),
    System(
        name="moto",
        title="moto's Step Functions",
        script="peer_moto.py",
        package="moto",
        imports="import moto",
        where="the server; Pass states only",
        sizes={"map": 1_000, "call": 100},
        timeout_s=180,
    ),
    System(
        name="flytekit",
        title="Flytekit",
        script="peer_flytekit.py",
        package="flytekit",
        imports="import flytekit",
        where="the process",
        leaves_out=dict.fromkeys(
            ("map", "chain", "call"), "its local runner calls tasks in-process one by one, without workers or a journal"
        ),
    ),
)


def find_system(name: str) -> System:
    """Raises KeyError naming the systems there are."""
    for system in SYSTEMS:
        if system.name == name:
            return system
    raise KeyError(f"no system {name!r}; there are {', '.join(system.name for system in SYSTEMS)}")
