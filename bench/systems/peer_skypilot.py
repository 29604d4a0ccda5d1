"""SkyPilot's optimizer, fed with the rows and run times that it is given: one question on standard input, answers out.

Its catalogue is written as the files that it reads, in the home that the measurer gives it; clouds count as enabled
without credentials. Everything else is its own: `Task`, `Resources`, `Dag`, a time estimator for each task,
`Optimizer.optimize`.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

COLUMNS = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone"
)
QUIET = {"SKYPILOT_DISABLE_USAGE_COLLECTION": "1", "SKYPILOT_MINIMIZE_LOGGING": "1"}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asked = json.load(sys.stdin)
    os.environ.update(QUIET)
    _write_catalogue(asked["rows"])
    sky = _sky(asked["clouds"])
    _answered(sky, asked, {**asked["cases"][0], "aims": ["cost"]})  # what it reads and imports when first asked
    found = [_answered(sky, asked, case) for case in asked["cases"]]
    egress = {cloud: _egress(cloud, asked["sizes_gb"]) for cloud in asked["clouds"]}
    import importlib.metadata as metadata

    json.dump({"cases": found, "egress": egress, "version": metadata.version("skypilot")}, answers)
    answers.close()


def _write_catalogue(rows: list[dict[str, Any]]) -> None:
    """Azure sells by region: its file has no zones."""
    root = Path.home() / ".sky" / "catalogs" / "v8"
    for cloud in sorted({row["cloud"] for row in rows}):
        (root / cloud).mkdir(parents=True, exist_ok=True)
        with (root / cloud / "vms.csv").open("w", newline="") as file:
            out = csv.writer(file)
            zoned = cloud != "azure"
            out.writerow(COLUMNS.split(",") if zoned else COLUMNS.split(",")[:-1])
            for row in rows:
                if row["cloud"] == cloud:
                    size = (row["vcpus"], row["memory_gib"], "", row["price"], row["spot"], row["region"])
                    out.writerow((row["type"], "", "", *size, *([row["region"] + "-a"] if zoned else [])))


def _sky(clouds: list[str]) -> Any:
    import sky
    from sky import check, optimizer
    from sky.utils import registry

    enabled = [registry.CLOUD_REGISTRY.from_str(cloud) for cloud in clouds]
    for module in (check, optimizer.sky_check):
        module.get_cached_enabled_clouds_or_refresh = lambda *_, **__: enabled
    return sky


def _answered(sky: Any, asked: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    _, tasks = _dag(sky, asked, case)
    launchable, *_ = sky.optimizer._fill_in_launchable_resources(tasks[0], None, quiet=True)
    found: dict[str, Any] = {"considered": sum(map(len, launchable.values()))}
    for aim in case["aims"]:
        target = sky.OptimizeTarget.COST if aim == "cost" else sky.OptimizeTarget.TIME
        took, used = [], []
        for _ in range(asked["turns"]):
            dag, tasks = _dag(sky, asked, case)
            begun, before = time.perf_counter(), _processor_s()
            sky.optimizer.Optimizer.optimize(dag, minimize=target, quiet=True)
            took.append(time.perf_counter() - begun)
            used.append(_processor_s() - before)
        chosen = [task.best_resources for task in tasks]
        places = [[str(one.cloud).lower(), one.region, one.instance_type, bool(one.use_spot)] for one in chosen]
        found[aim] = {"seconds": took, "processor_s": used, "places": places}
    return found


def _processor_s() -> float:
    """With that of the solver, which is a program of its own."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _dag(sky: Any, asked: dict[str, Any], case: dict[str, Any]) -> tuple[Any, list[Any]]:
    tasks: list[Any] = []
    with sky.Dag() as dag:
        for step in case["steps"]:
            task = sky.Task(step["name"], run="true")
            seconds = {}
            resources = set()
            for row, spot, time_s in step["offers"]:
                place = asked["rows"][row]
                infra = f"{place['cloud']}/{place['region']}"
                resources.add(sky.Resources(infra=infra, instance_type=place["type"], use_spot=spot))
                seconds[place["cloud"], place["region"], place["type"], spot] = time_s
            task.set_resources(resources)
            task.set_time_estimator(_estimator(seconds))
            task.set_outputs("s3://outputs", estimated_size_gigabytes=step["gb"])
            for earlier in step["after"]:
                dag.add_edge(tasks[earlier], task)
            tasks.append(task)
    return dag, tasks


def _estimator(seconds: dict[tuple[str, str, str, bool], float]) -> Any:
    return lambda one: seconds[str(one.cloud).lower(), one.region, one.instance_type, bool(one.use_spot)]


def _egress(cloud: str, sizes: list[float]) -> dict[str, float]:
    """Dollars for that much data out of the cloud, as its optimizer counts them."""
    from sky.utils import registry

    return {str(size): registry.CLOUD_REGISTRY.from_str(cloud).get_egress_cost(num_gigabytes=size) for size in sizes}


if __name__ == "__main__":
    main()
