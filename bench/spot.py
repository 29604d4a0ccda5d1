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
from bench.spot_folds import OURS, Fold, sections
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
OTHERS = "preemption/aws-04-"
"""Nothing was fitted to them."""
STARTS = 40
STARTS_HELD_OUT = 10
"""Of each trace: every fold has to be fitted and solved anew."""
RATIOS = ("0.3", "0.1")
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
    results: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "machine": facts(), "published": published}
    results |= measure([Fold(judged=traces, policies=POLICIES)], 4 if options.quick else STARTS)
    results |= {"held_out": []}
    if published:
        _measure_held_out(results, traces)
    else:
        sys.stdout.write(as_markdown(results))
    return 0


def _measure_held_out(results: dict[str, Any], traces: Sequence[Trace]) -> None:
    """What was measured is kept after each section."""
    _write(results)
    for section in sections(traces, select_traces(TRACES, OTHERS).traces):
        _say(section.title)
        found = measure(section.folds, STARTS_HELD_OUT)
        results["held_out"].append({"title": section.title, "what": section.what, "published": False, **found})
        results["machine"]["load at the end"] = load()
        _write(results)


def measure(folds: Sequence[Fold], starts: int) -> dict[str, Any]:
    prices = []
    for ratio in RATIOS:
        rows, costs = _at_price(folds, ratio, starts)
        prices.append({"spot_ratio": float(ratio), "configurations": rows, **_over_all(rows, costs)})
    return {"traces": [trace.name for fold in folds for trace in fold.judged], "starts": starts, "prices": prices}


def jobs(ratio: str) -> Iterator[Job]:
    """Work of 12, 24 and 48 h, deadlines of 1.25, 1.5 and 2 times that, changeovers of 0.1, 0.2 and 0.5 h."""
    for work in (360, 720, 1440):
        for deadline in (work * 5 // 4, work * 3 // 2, work * 2):
            for changeover in (3, 6, 15):
                yield Job(work=work, deadline=deadline, changeover=changeover, ratio=Fraction(ratio))


def _at_price(folds: Sequence[Fold], ratio: str, starts: int) -> tuple[list[dict[str, Any]], list[dict[str, Costs]]]:
    """Of each configuration its row, and the cost of every window by policy."""
    rows, costs = [], []
    for job in jobs(ratio):
        begun = time.process_time()
        found = [evaluate(fold.judged, job, starts, fold.policies) for fold in folds]
        seconds = time.process_time() - begun
        windows = {name: [trace for one in found for trace in one.costs[name]] for name in found[0].costs}
        best = min(PUBLISHED, key=lambda name: mean(windows[name]))
        windows[BAR] = windows[best]
        row = {
            "work_hours": job.work / 30,
            "deadline_hours": job.deadline / 30,
            "restart_hours": job.changeover / 30,
            "costs": {name: mean(each) for name, each in windows.items()},
            "late": {name: max(one.policies[name].late for one in found) for name in found[0].policies},
            "slices": [one.policies["time_sliced"].slices for one in found],
            "bar": best,
            "seconds": seconds,
        }
        rows.append(row)
        costs.append(windows)
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
