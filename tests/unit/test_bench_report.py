"""The benchmark's own arithmetic: what it writes down must follow from what it measured."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import __main__ as command  # noqa: E402
from bench import processes  # noqa: E402
from bench.registry import SYSTEMS, find_system  # noqa: E402
from bench.report import as_markdown, value_of  # noqa: E402
from bench.results import Cell, Results, scale_of  # noqa: E402
from bench.works import WORKS, Budget, find_work  # noqa: E402


def results_with(samples: dict[tuple[str, str], list[float]]) -> Results:
    results = Results(machine={"processor": "two cores"}, date="2026-01-01", rounds=5, works=WORKS, systems=SYSTEMS)
    for (system, work), values in samples.items():
        results.cell(find_system(system), find_work(work)).samples.extend(values)
    return results


def row_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


def test_every_system_has_its_script_and_every_peer_pinned_requirements() -> None:
    for system in SYSTEMS:
        assert (ROOT / "bench" / "systems" / system.script).exists()
        if system.is_peer:
            lines = (ROOT / "bench" / "requirements" / f"{system.name}.txt").read_text().split()
            assert lines and all("==" in line and "/" not in line for line in lines)


def test_sizes_and_reasons_name_works_that_there_are() -> None:
    names = {work.name for work in WORKS}
    for system in SYSTEMS:
        assert {*system.sizes, *system.leaves_out, *system.extra_steps} <= names


def test_every_budget_of_the_issue_is_measured() -> None:
    assert {w.name: w.budget for w in WORKS if w.budget} == {
        "map": Budget(most=2.3, of="limit"),
        "chain": Budget(most=5, of="limit"),
        "call": Budget(most=0.6, of="unit"),
        "cold": Budget(most=0.4, of="unit"),
        "import": Budget(most=60, of="unit"),
        "memory": Budget(most=250, of="unit"),
        "restart": Budget(most=2, of="unit"),
        "catalogue": Budget(most=50, of="unit"),
        "container-added": Budget(most=20, of="unit"),
    }


@pytest.mark.parametrize(
    ("budget", "value", "limit", "met"),
    [
        (Budget(most=2.3, of="limit"), 2.29, 1.0, True),
        (Budget(most=2.3, of="limit"), 2.31, 1.0, False),
        (Budget(most=2.3, of="limit"), 1.0, None, None),
        (Budget(most=0.6, of="unit"), 0.6, None, True),
        (Budget(most=0.6, of="unit"), 0.61, 0.1, False),
    ],
)
def test_budgets(budget: Budget, value: float, limit: float | None, met: bool | None) -> None:
    assert budget.allows(value, limit) is met


def test_a_cell_gives_median_least_and_most_of_the_whole_work() -> None:
    cell = Cell(samples=[3.0, 1.0, 2.0], scale=10.0)
    assert (cell.median, cell.least, cell.most, cell.is_extrapolated) == (20.0, 10.0, 30.0, True)


def test_extrapolation_counts_the_steps_that_a_system_adds() -> None:
    metaflow = find_system("metaflow")
    n = metaflow.sizes["map"]
    assert scale_of(metaflow, find_work("map")) == pytest.approx((10_000 + 3) / (n + 3))
    assert scale_of(metaflow, find_work("chain")) == 100 / metaflow.sizes["chain"]
    assert scale_of(find_system("ray"), find_work("map")) == 1.0


def test_a_median_of_fewer_calls_is_no_extrapolation() -> None:
    assert scale_of(find_system("dagster"), find_work("call")) == 1.0


def test_the_summary_tells_ratio_and_whether_the_budget_is_met() -> None:
    text = as_markdown(results_with({("limit", "map"): [1.0], ("skylift", "map"): [2.0, 2.2, 2.1]}))
    row = row_of(text, "| Map of 10,000")
    assert "**2.10 s**" in row and "2.00" in row and "2.20 s" in row and "| 2.10 |" in row and row.endswith("| yes |")


def test_a_missed_budget_is_said() -> None:
    text = as_markdown(results_with({("limit", "map"): [1.0], ("skylift", "map"): [2.4]}))
    assert row_of(text, "| Map of 10,000").endswith("| **no** |")


def test_what_failed_is_shown_with_its_reason_and_as_not_met() -> None:
    results = results_with({})
    results.cell(find_system("skylift"), find_work("restart")).problem = "exit status 1: boom"
    row = row_of(as_markdown(results), "| Restart")
    assert "exit status 1: boom" in row and row.endswith("| **no** |")


def test_peers_are_sorted_and_those_left_out_are_named_with_the_reason() -> None:
    results = results_with({("limit", "chain"): [0.02], ("ray", "chain"): [0.2], ("skylift", "chain"): [0.03]})
    results.cell(find_system("dask"), find_work("chain")).problem = "it cannot be installed here: no wheel"
    text = as_markdown(results).partition("### Chain")[2].partition("###")[0]
    assert text.index("(the limit)") < text.index("**Skylift**") < text.index("| Ray")
    assert "- Dask distributed: not measured: it cannot be installed here: no wheel." in text


def test_an_extrapolated_figure_never_looks_measured() -> None:
    results = results_with({("metaflow", "chain"): [3.0]})
    assert "≈ 60.0 s, extrapolated from 5" in as_markdown(results)


@pytest.mark.parametrize(
    ("value", "work", "shown"),
    [(0.0123, "map", "0.012 s"), (1.234, "map", "1.23 s"), (12.34, "call", "12.3 ms"), (6_000, "map", "100 min")],
)
def test_values_have_three_digits(value: float, work: str, shown: str) -> None:
    assert value_of(value, find_work(work)) == shown


def test_samples_are_kept_in_the_json() -> None:
    told = json.loads(json.dumps(results_with({("ray", "map"): [6.5, 7.0]}).as_json()))
    assert [cell["samples"] for cell in told["measured"]] == [[6.5, 7.0]]


def test_an_unknown_work_or_system_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--only", "flight"]) == 2
    assert "no work 'flight'" in capsys.readouterr().err
    assert command.main(["--system", "airflow"]) == 2
    assert "no system 'airflow'" in capsys.readouterr().err


def test_figures_told_before_a_failure_are_kept(tmp_path: Path) -> None:
    program = 'print(\'{"work": "map", "size": 1, "value": 2.5}\', flush=True); raise SystemExit("boom")'
    ended = processes.run([sys.executable, "-c", program], {}, tmp_path, 30)
    assert [figure.value for figure in ended.figures] == [2.5]
    assert ended.problem == "exit status 1: boom"


def test_a_process_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True); "
        "open('child', 'w').write(str(child.pid)); child.wait()"
    )
    ended = processes.run([sys.executable, "-c", program], {}, tmp_path, 6)
    assert ended.problem == "took longer than 6 s"
    import psutil

    pid = int((tmp_path / "child").read_text())
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_limit_measures_itself(tmp_path: Path) -> None:
    script = str(ROOT / "bench" / "systems" / "limit.py")
    done = subprocess.run([sys.executable, script, "chain=3", "call=5"], capture_output=True, text=True, check=True)
    assert [json.loads(line)["work"] for line in done.stdout.splitlines()] == ["chain", "call"]
    ended = processes.run_until_stamped([sys.executable, script, "cold"], {}, tmp_path, 30)
    assert 0 < ended.figures[0].value < 30
