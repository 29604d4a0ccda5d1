"""`python -m bench.placement`: the optimizer at scale and beside SkyPilot's; writes `bench/PLACEMENT.md` and its JSON.

python -m bench.placement            3 turns
python -m bench.placement --quick    one turn, a tenth of the steps, without SkyPilot; printed, not written

Both are given the same rows of the shipped catalogue and the same run times for the same graphs. SkyPilot runs in an
environment of its own and is driven through its own API; both plans are added up here, by one cost model. Its
installation (at most once) is the only thing that takes longer than two minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from bench.beside import with_tables_of_others
from bench.environments import NotInstalled, interpreter
from bench.machine import facts, load
from bench.placement_report import as_markdown
from bench.registry import System
from skylift.placement.model import Edge, Limits, Move, Priced, Site, Step, Table, Way
from skylift.placement.optimise import optimise
from skylift.placement.plan import Plan

HERE = Path(__file__).parent
SKYPILOT = System(name="skypilot", title="SkyPilot's optimizer", script="peer_skypilot.py", package="skypilot")
HOMES = (("aws", "us-east-1"), ("gcp", "us-central1"), ("azure", "eastus"))
EACH = 6
"""Machines of each cloud, on-demand and spot; a step can run on two thirds of them, so it has 24 offers."""
BANDWIDTH = 10.0
"""Gbit/s between clouds, as SkyPilot counts."""
GIGABYTES = (5, 20, 80)
STEPS, OFFERS = 1_000, 5_000
PEER_S = 500


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.placement", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one turn, a tenth of the steps, without SkyPilot")
    options = parser.parse_args(arguments)
    turns = 1 if options.quick else 3
    results: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": facts(), "turns": turns}
    results["scale"] = scale(STEPS // 10 if options.quick else STEPS, OFFERS, turns)
    results["beside"] = "left out" if options.quick else beside(turns)
    results["machine"]["load at the end"] = load()
    if options.quick:
        sys.stdout.write(as_markdown(results))
    else:
        (HERE / "PLACEMENT.md").write_text(as_markdown(results))
        (HERE / "placement.json").write_text(json.dumps(results, indent=1) + "\n")
        report = HERE / "RESULTS.md"
        report.write_text(with_tables_of_others(report.read_text(), HERE))
    return 0


def scale(steps: int, offers: int, turns: int) -> list[dict[str, Any]]:
    """Reading the offers in, choosing, and adding up; the offers are columns that steps share the names of."""
    found = []
    for shape in ("chain", "layers of 20", "random"):
        graph = list(large(shape, steps, offers))
        free, quick = optimise(graph), optimise(graph, objective="time")
        assert isinstance(free, Plan) and isinstance(quick, Plan)
        middle = (free.totals.time_s + quick.totals.time_s) / 2
        for what, limits, objective in (
            ("cheapest, no limit", Limits(), "cost"),
            ("cheapest, deadline half-way", Limits(deadline_s=middle), "cost"),
            ("quickest, budget half-way", Limits(budget=(free.totals.cost + quick.totals.cost) / 2), "time"),
        ):
            row = _timed(graph, [], limits, objective, turns)
            found.append({"shape": shape, "what": what, "steps": steps, "offers": offers, **row})
            took = statistics.median(row["seconds"])
            sys.stderr.write(f"{shape}: {what} {took:.2f} s, gap {row['gap']:.2%}\n")
    return found


def large(shape: str, steps: int, offers: int) -> Iterator[Step]:
    """Machines of which the quicker are on the whole the dearer; each step gets its own share out of each."""
    import numpy as np

    rng, pick = np.random.default_rng(5), random.Random(5)
    ways = tuple(
        Way(backend="aws", service="batch", instance_type=f"m{number}", vcpus=2, memory_mib=8192, region="us-east-1")
        for number in range(offers)
    )
    speed = rng.uniform(1, 64, offers)
    hourly = speed ** rng.uniform(0.8, 1.2, offers) * rng.uniform(0.3, 1.5, offers) * 40_000
    for number in range(steps):
        times = rng.uniform(100, 20_000) / speed ** rng.uniform(0.6, 1) * rng.uniform(0.9, 1.1, offers) + 30
        cost = (hourly * times / 3600 * 1000).astype(np.int64)
        after = tuple(sorted({f"s{one}" for one in _before(shape, number, pick)}))
        yield Step(name=f"s{number}", after=after, offers=Table(ways, cost=cost, time_s=times, scale=1000))


def _before(shape: str, number: int, pick: random.Random) -> list[int]:
    if shape == "chain":
        return [number - 1] if number else []
    if shape == "random":
        return [pick.randrange(max(0, number - 30), number) for _ in range(2)] if number >= 3 else []
    layer = number // 20 * 20
    return [pick.randrange(layer - 20, layer) for _ in range(3)] if layer else []


def beside(turns: int) -> dict[str, Any] | str:
    """Both on the same graphs; what hinders it where it cannot be."""
    rows = catalogue_rows()
    cases = [{"name": name, **case} for name, case in pipelines(rows)]
    question = {"rows": rows, "clouds": [cloud for cloud, _ in HOMES], "sizes_gb": list(GIGABYTES), "turns": turns}
    try:
        told = _ask({**question, "cases": cases})
    except (NotInstalled, subprocess.SubprocessError, ValueError) as problem:
        return f"SkyPilot could not be measured here: {problem}"
    sys.stderr.write(f"SkyPilot {told['version']} has answered\n")
    compared = [
        _compared(case, answer, rows, told["egress"], turns) for case, answer in zip(cases, told["cases"], strict=True)
    ]
    return {"version": told["version"], "rows": len(rows), "cases": compared}


def _ask(question: dict[str, Any]) -> dict[str, Any]:
    python = interpreter(SKYPILOT)
    with tempfile.TemporaryDirectory(prefix="skylift-bench-") as home:
        done = subprocess.run(
            [python, str(HERE / "systems" / SKYPILOT.script)],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            env={**os.environ, "HOME": home},
            timeout=PEER_S,
            check=False,
        )
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def catalogue_rows() -> list[dict[str, Any]]:
    """Of each cloud machines without GPUs of 2 to 64 processors that have both prices, spread over their sizes."""
    from skylift.pricing.catalogue import catalogue
    from skylift.pricing.find import Query

    chosen: list[dict[str, Any]] = []
    for cloud, region in HOMES:
        known = []
        for one in catalogue().find(Query(cloud=cloud, region=region, spot=True, estimates=True, vcpus=2)):
            spot, machine = one.spot_or_estimate, one.machine
            if one.on_demand is None or spot is None or machine.gpus or machine.vcpus > 64:
                continue
            size = {"vcpus": machine.vcpus, "memory_gib": machine.memory_mib / 1024}
            prices = {"price": str(one.on_demand.usd_per_hour), "spot": str(spot.usd_per_hour)}
            known.append({"cloud": cloud, "region": region, "type": machine.name, **size, **prices})
        known.sort(key=lambda row: (row["vcpus"], float(row["price"]), row["type"]))
        chosen += [known[number * (len(known) - 1) // (EACH - 1)] for number in range(EACH)]
    return chosen


def pipelines(rows: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    pick = random.Random(7)
    shapes: list[tuple[str, list[list[int]]]] = [
        ("chain of 8", [[one - 1] if one else [] for one in range(8)]),
        ("chain of 24", [[one - 1] if one else [] for one in range(24)]),
        ("fan of 4 and join, twice", [[], [0], [0], [0], [0], [1, 2, 3, 4], [5], [5], [5], [5], [6, 7, 8, 9]]),
        (
            "random graph of 14",
            [sorted({pick.randrange(max(0, n - 4), n) for _ in range(2)}) if n else [] for n in range(14)],
        ),
    ]
    for name, before in shapes:
        steps = []
        for number, earlier in enumerate(before):
            work, share = pick.uniform(20, 400) * 3600, pick.uniform(0.7, 0.99)
            fit = sorted(pick.sample(range(len(rows)), len(rows) * 2 // 3))  # what it can run on, say
            offers = [
                (row, spot, round(60 + work * (1 - share + share / rows[row]["vcpus"]) * pick.uniform(0.9, 1.1), 3))
                for row in fit
                for spot in (False, True)
            ]
            steps.append({"name": f"s{number}", "after": earlier, "gb": pick.choice(GIGABYTES), "offers": offers})
        yield name, {"steps": steps, "aims": ["cost", "time"]}


def ours(case: dict[str, Any], rows: list[dict[str, Any]], egress: dict[str, Any]) -> tuple[list[Step], list[Edge]]:
    """The same in our terms. What leaves a cloud costs what SkyPilot takes for it."""
    sites = [Site(cloud, region) for cloud, region in HOMES]
    steps, edges = [], []
    for step in case["steps"]:
        offers = tuple(_priced(rows[row], spot, time_s) for row, spot, time_s in step["offers"])
        after = tuple(case["steps"][one]["name"] for one in step["after"])
        steps.append(Step(name=step["name"], after=after, offers=offers))
        for one in step["after"]:
            source = case["steps"][one]
            moves = {
                (here, there): Move(
                    cost=Fraction(str(egress[here.cloud][str(source["gb"])])) * 1_000_000,
                    time_s=source["gb"] * 8 / BANDWIDTH,
                )
                for here in sites
                for there in sites
                if here.cloud != there.cloud
            }
            edges.append(Edge(source=source["name"], target=step["name"], moves=moves))
    return steps, edges


def _priced(row: dict[str, Any], spot: bool, time_s: float) -> Priced:
    way = Way(
        backend=row["cloud"],
        service="batch",
        cloud=row["cloud"],
        region=row["region"],
        instance_type=row["type"],
        vcpus=row["vcpus"],
        memory_mib=int(row["memory_gib"] * 1024),
        market="spot" if spot else "on-demand",
    )
    hourly = Fraction(row["spot" if spot else "price"]) * 1_000_000
    return Priced(offer=way, cost=hourly * Fraction(str(time_s)) / 3600, time_s=time_s)


def _compared(
    case: dict[str, Any], answer: dict[str, Any], rows: list[dict[str, Any]], egress: dict[str, Any], turns: int
) -> dict[str, Any]:
    steps, edges = ours(case, rows, egress)
    if answer["considered"] != len(case["steps"][0]["offers"]):
        raise ValueError(f"SkyPilot took {answer['considered']} of {len(case['steps'][0]['offers'])} offers of a step")
    theirs = {aim: _fixed(steps, edges, answer[aim]["places"]) for aim in ("cost", "time")}
    slow, fast = theirs["cost"].totals.time_s, theirs["time"].totals.time_s
    deadline = round((slow + fast) / 2, 3)
    found: dict[str, Any] = {"name": case["name"], "steps": len(steps), "offers": len(case["steps"][0]["offers"])}
    found["theirs"] = {
        aim: {**_figures(plan), "seconds": answer[aim]["seconds"], "processor_s": answer[aim]["processor_s"]}
        for aim, plan in theirs.items()
    }
    found["ours"] = {
        "cost": _timed(steps, edges, Limits(), "cost", turns),
        "time": _timed(steps, edges, Limits(), "time", turns),
        "deadline": _timed(steps, edges, Limits(deadline_s=deadline), "cost", turns),
    }
    found["deadline_s"] = deadline
    sys.stderr.write(f"{case['name']}: {json.dumps(found['theirs'])} {json.dumps(found['ours'])}\n")
    return found


def _fixed(steps: list[Step], edges: list[Edge], places: list[list[Any]]) -> Plan:
    """Their plan in our cost model: each step has the offer that they chose and no other."""
    chosen = []
    for step, (cloud, region, kind, spot) in zip(steps, places, strict=True):
        market = "spot" if spot else "on-demand"
        wanted = (cloud, region, kind, market)
        offers = [
            one
            for one in step.offers[:]
            if (one.offer.cloud, one.offer.region, one.offer.instance_type, one.offer.market) == wanted
        ]
        chosen.append(Step(name=step.name, after=step.after, offers=tuple(offers)))
    plan = optimise(chosen, edges=edges)
    assert isinstance(plan, Plan)
    return plan


def _timed(steps: list[Step], edges: list[Edge], limits: Limits, objective: str, turns: int) -> dict[str, Any]:
    seconds, processor = [], []
    for _ in range(turns):
        begun, used = time.perf_counter(), time.process_time()
        plan = optimise(steps, limits, objective, edges=edges)  # type: ignore[arg-type]
        seconds.append(time.perf_counter() - begun)
        processor.append(time.process_time() - used)
    assert isinstance(plan, Plan)
    figures = {**_figures(plan), "seconds": seconds, "processor_s": processor}
    return {**figures, "gap": plan.gap, "method": plan.method}


def _figures(plan: Plan) -> dict[str, float]:
    return {"usd": float(plan.totals.cost) / 1e6, "time_s": plan.totals.time_s}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
