"""The rounds: every system in turn, each in a process of its own, so that what disturbs the machine disturbs all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import processes
from bench.environments import NotInstalled, interpreter, version
from bench.loopback import NOT_ALLOWED
from bench.processes import Ended, Figure
from bench.registry import System
from bench.results import Results
from bench.works import Work

HERE = Path(__file__).resolve().parent
OWN_SCRIPTS = {
    "memory": "ours_memory.py",
    "restart": "ours_restart.py",
    "commit": "ours_commit.py",
    "commit-full": "ours_commit.py",
    "catalogue": "ours_catalogue.py",
    "checkpoint": "ours_checkpoint.py",
    "checkpoint-torch": "ours_checkpoint.py",
    "checkpoint-stored": "ours_checkpoint.py",
    "container": "ours_container.py",
    "container-bare": "ours_container.py",
    "container-added": "ours_container.py",
    "split": "ours_split.py",
    "split-cut": "ours_split.py",
    "split-one": "ours_split.py",
}
OWN_TIMEOUT_S = 180.0
IMPORTS_A_ROUND = 3

Say = Callable[[str], None]


class Bench:
    """Measures into `results`; what systems keep on disk is below `folder`."""

    def __init__(self, results: Results, folder: Path, say: Say) -> None:
        self._results = results
        self._folder = folder
        self._say = say
        self._alone = _own_network()
        """What goes before a peer's command; None where it cannot be had."""
        self._short = Path(tempfile.mkdtemp(prefix="bench-"))
        """Ray puts sockets there, whose paths may have 107 characters."""

    def prepare(self) -> None:
        """Install what is missing; a peer that cannot be used is left out of all works, with the reason."""
        for system in self._results.systems:
            try:
                interpreter(system)
                self._results.versions[system.name] = version(system)
            except NotInstalled as problem:
                self._leave_out(system, str(problem))
                continue
            if system.needs_loopback and self._alone is None:
                self._leave_out(system, "it needs a network of its own, which cannot be made here")
            self._say(f"{system.title} {self._results.versions[system.name]}")

    def round(self, number: int) -> None:
        for system in self._results.systems:
            for kind, do in (("warm", self._warm), ("cold", self._cold), ("import", self._import), ("own", self._own)):
                works = self._open_works(system, kind)
                if works:
                    self._say(f"round {number}: {system.title}: {', '.join(work.name for work in works)}")
                    do(system, works)

    def _open_works(self, system: System, kind: str) -> list[Work]:
        works = [work for work in self._results.works if work.kind == kind]
        if (kind == "import" and system.imports is None) or (kind == "own" and system.name != "skylift"):
            return []
        return [work for work in works if self._results.cell(system, work).problem is None]

    def close(self) -> None:
        shutil.rmtree(self._short, ignore_errors=True)

    # -- kinds of work -------------------------------------------------------------------------------------------------

    def _warm(self, system: System, works: Sequence[Work]) -> None:
        """One process does them all; a work that breaks it is not tried again, those after it are."""
        asked = [f"{work.name}={self._results.cell(system, work).size}" for work in works]
        ended = processes.run(
            self._command(system, *asked), self._environment(system), self._place(system), system.timeout_s
        )
        self._keep(system, ended.figures)
        if ended.problem is not None:
            missing = [work for work in works if work.name not in {figure.work for figure in ended.figures}]
            for work in missing[:1]:
                self._results.cell(system, work).problem = ended.problem

    def _cold(self, system: System, works: Sequence[Work]) -> None:
        command = self._command(system, "cold")
        if system.name == "skylift":
            command = [
                str(Path(sys.executable).with_name("skylift")),
                "run",
                str(HERE / "systems" / "ours_flow.py") + ":first",
            ]
        ended = processes.run_until_stamped(command, self._environment(system), self._place(system), system.timeout_s)
        self._settle(system, works[0], ended)

    def _import(self, system: System, works: Sequence[Work]) -> None:
        python, env, folder = interpreter(system), self._environment(system), self._place(system)
        try:
            for _ in range(IMPORTS_A_ROUND):
                bare = processes.time_once([python, "-c", "pass"], env, folder)
                full = processes.time_once([python, "-c", system.imports or "pass"], env, folder)
                self._results.cell(system, works[0]).samples.append((full - bare) * 1_000)
        except subprocess.SubprocessError as problem:
            self._results.cell(system, works[0]).problem = str(problem)

    def _own(self, system: System, works: Sequence[Work]) -> None:
        for work in works:
            command = [sys.executable, str(HERE / "systems" / OWN_SCRIPTS[work.name]), f"{work.name}={work.size}"]
            folder = self._place(system, work.name)
            ended = processes.run(command, self._environment(system, work.name), folder, OWN_TIMEOUT_S)
            self._settle(system, work, ended)

    # -- what came of it -----------------------------------------------------------------------------------------------

    def _settle(self, system: System, work: Work, ended: Ended) -> None:
        self._keep(system, ended.figures)
        if ended.problem is not None and not ended.figures:
            self._results.cell(system, work).problem = ended.problem

    def _keep(self, system: System, figures: Sequence[Figure]) -> None:
        for figure in figures:
            work = next(work for work in self._results.works if work.name == figure.work)
            self._results.cell(system, work).samples.append(figure.value)

    def _leave_out(self, system: System, reason: str) -> None:
        self._say(f"{system.title} is left out: {reason}")
        for work in self._results.works:
            if work.kind != "own":
                self._results.cell(system, work).problem = reason

    # -- processes -----------------------------------------------------------------------------------------------------

    def _command(self, system: System, *arguments: str) -> list[str]:
        before = self._alone if system.is_peer and self._alone is not None else []
        return [*before, interpreter(system), str(HERE / "systems" / system.script), *arguments]

    def _place(self, system: System, part: str = "") -> Path:
        place = self._folder / system.name / part
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _environment(self, system: System, part: str = "") -> dict[str, str]:
        """Ours, less what steers Python and Skylift; each system keeps its things in its own folder and reports home
        to nobody."""
        place = str(self._place(system, part))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SKYLIFT", "VIRTUAL_ENV"))}
        return {
            **kept,
            "BENCH_FOLDER": place,
            "SKYLIFT_HOME": f"{place}/home",
            "SKYLIFT_WORKERS": "2",
            "USER": "bench",
            "DO_NOT_TRACK": "1",
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(self._short),
            "DAGSTER_HOME": place,
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "METAFLOW_HOME": place,
            "METAFLOW_USER": "bench",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": place,
            "PREFECT_HOME": place,
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }


def _own_network() -> list[str] | None:
    before = [sys.executable, str(HERE / "loopback.py")]
    tried = subprocess.run([*before, sys.executable, "-c", "pass"], capture_output=True, check=False)
    return None if tried.returncode == NOT_ALLOWED else before
