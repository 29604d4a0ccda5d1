"""`python -m bench.spot`: spot policies on the published traces; write `bench/SPOT.md`,
`bench/spot.json` and the table in `bench/RESULTS.md`.

python -m bench.spot                  27 configurations at two prices, 40 starts on each of eight traces
python -m bench.spot --quick          4 starts; printed, not written
python -m bench.spot --traces FILE    on other traces; printed, not written

The traces have no licence: they lie beside the project (`../shared/data`), and without them nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from bench.beside import with_tables_of_others
from bench.machine import facts, load
from bench.spot_report import as_markdown
from skylift.pricing.spot.evaluate import evaluate
from skylift.pricing.spot.intervals import Costs, interval_of_mean, interval_of_ratio, mean
from skylift.pricing.spot.model import Job
from skylift.pricing.spot.named import OMNISCIENT, POLICIES, PUBLISHED
from skylift.pricing.spot.selection import select_traces
from skylift.pricing.spot.traces import Trace

HERE = Path(__file__).resolve().parent
TRACES = HERE.parents[1] / "shared" / "data" / "spot_traces.json"
MATCH = "availability/aws-10-26-2022/"
ELSEWHERE = (
    (
        "Other zones, machines and months",
        "preemption/aws-04-",
        "machines that ran in spring 2023, of kind preemption",
    ),
)
"""Title, what the names of the traces have in them, and what they are."""
STARTS = 40
RATIOS = ("0.3", "0.1")
OURS = "skylift"
BAR = "bar"
"""The best of the published policies, chosen for each configuration in hindsight."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.spot", description=__doc__.partition("\n")[0])
    parser.add_argument("--traces", type=Path, default=TRACES, help="file or folder of traces")
    parser.add_argument("--match", default=MATCH, help="only traces whose name has this in it")
    parser.add_argument("--quick", action="store_true", help="4 starts; printed, not written")
    options = parser.parse_args(arguments)
    if not options.traces.exists():
        sys.stderr.write(f"bench: spot is skipped, for there are no traces at {options.traces}\n")
        return 0
    traces = select_traces(options.traces, options.match).traces
    published = not options.quick and (options.traces, options.match) == (TRACES, MATCH)
    results = {**measure(traces, 4 if options.quick else STARTS), "published": published, "elsewhere": []}
    if published:
        results["elsewhere"] = [_elsewhere(*one) for one in ELSEWHERE]
        results["machine"]["load at the end"] = load()
        _write(results)
    else:
        sys.stdout.write(as_markdown(results))
    return 0


def measure(traces: Sequence[Trace], starts: int) -> dict[str, Any]:
    results: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": facts(), "starts": starts}
    results |= {"traces": [trace.name for trace in traces], "prices": _prices(traces, starts)}
    results["machine"]["load at the end"] = load()
    return results


def _elsewhere(title: str, match: str, what: str) -> dict[str, Any]:
    traces = select_traces(TRACES, match).traces
    found = {"title": title, "what": what, "traces": [trace.name for trace in traces], "published": False}
    return {**found, "starts": STARTS, "prices": _prices(traces, STARTS)}


def _prices(traces: Sequence[Trace], starts: int) -> list[dict[str, Any]]:
    found = []
    for ratio in RATIOS:
        rows, costs = _at_price(traces, ratio, starts)
        found.append({"spot_ratio": float(ratio), "configurations": rows, **_over_all(rows, costs)})
    return found


def jobs(ratio: str) -> Iterator[Job]:
    """Work of 12, 24 and 48 h, deadlines of 1.25, 1.5 and 2 times that, changeovers of 0.1, 0.2 and 0.5 h."""
    for work in (360, 720, 1440):
        for deadline in (work * 5 // 4, work * 3 // 2, work * 2):
            for changeover in (3, 6, 15):
                yield Job(work=work, deadline=deadline, changeover=changeover, ratio=Fraction(ratio))


def _at_price(traces: Sequence[Trace], ratio: str, starts: int) -> tuple[list[dict[str, Any]], list[dict[str, Costs]]]:
    """Of each configuration its row, and the cost of every window by policy."""
    rows, costs = [], []
    for job in jobs(ratio):
        begun = time.perf_counter()
        found = evaluate(traces, job, starts, POLICIES)
        seconds = time.perf_counter() - begun
        best = min(PUBLISHED, key=lambda name: found.policies[name].cost)
        rows.append(
            {
                "work_hours": job.work / 30,
                "deadline_hours": job.deadline / 30,
                "restart_hours": job.changeover / 30,
                "costs": {name: result.cost for name, result in found.policies.items()}
                | {BAR: mean(found.costs[best])},
                "late": {name: result.late for name, result in found.policies.items()},
                "slices": found.policies["time_sliced"].slices,
                "bar": best,
                "seconds": seconds,
            }
        )
        costs.append({**found.costs, BAR: found.costs[best]})
        _say(f"spot at {ratio}: {len(rows)} of 27 configurations, {seconds:.1f} s")
    return rows, costs


def _over_all(rows: list[dict[str, Any]], costs: list[dict[str, Costs]]) -> dict[str, Any]:
    """Means over the configurations, with intervals: a window is a trace and a start, and has all configurations."""
    names = [*POLICIES, BAR, OMNISCIENT]
    windows = {name: _window_means([one[name] for one in costs]) for name in names}
    found: dict[str, Any] = {"means": {}, "against": {}}
    for name in names:
        interval = interval_of_mean(windows[name])
        late = max(row["late"].get(name, 0.0) for row in rows)
        found["means"][name] = {"cost": mean(windows[name]), "low": interval.low, "high": interval.high, "late": late}
    if OURS not in POLICIES:
        return found
    for name in (BAR, *PUBLISHED, OMNISCIENT):
        interval = interval_of_ratio(windows[OURS], windows[name])
        below = sum(row["costs"][OURS] < row["costs"][name] for row in rows)
        ratio = mean(windows[OURS]) / mean(windows[name])
        found["against"][name] = {"ratio": ratio, "low": interval.low, "high": interval.high, "below": below}
    return found


def _window_means(costs: Sequence[Costs]) -> Costs:
    traces, starts = len(costs[0]), len(costs[0][0])
    return [
        [sum(one[trace][start] for one in costs) / len(costs) for start in range(starts)] for trace in range(traces)
    ]


def _write(results: dict[str, Any]) -> None:
    (HERE / "SPOT.md").write_text(as_markdown(results))
    (HERE / "spot.json").write_text(json.dumps(results, indent=1) + "\n")
    report = HERE / "RESULTS.md"
    report.write_text(with_tables_of_others(report.read_text(), HERE))
    _say("written: bench/SPOT.md, bench/spot.json, and the table in bench/RESULTS.md")


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
