"""Kills engines, workers, containers and machines at random while a run goes on, and looks at what is left of it.

python -m tests.faults.chaos_campaign --backend container --tasks 500 --seed 3
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import psutil

from skylift.compute.batch.local_files import MachineFolder

HERE = Path(__file__).parent
MARK = "SKYLIFT_CHAOS"
"""In the environment of everything that a campaign starts, so that what is left behind can be found."""

_SPARED = 0.9
"""Share of Ray's kills that spare the supervisor."""

_STRIKES = 2
"""Blows that one attempt gets. The engine tries three times again; the third is for what an engine's end does to it."""

Kill = Callable[[random.Random, "Campaign"], str | None]
"""Kills something of the backend; what, or None when there was nothing to kill."""


class Found(msgspec.Struct, kw_only=True):
    """What a campaign found."""

    backend: str
    tasks: int
    seconds: float
    engines: int
    """Lives of the engine."""
    killed: dict[str, int]
    status: str
    cause: str | None
    output: int | None
    recorded: int
    """Outcomes of steps in the journal."""
    twice: int
    """Steps with more than one recorded outcome."""
    redelivered: dict[str, int]
    left: list[str]
    """What still runs after the end and a sweep."""

    @property
    def fine(self) -> bool:
        right = sum(number * number for number in range(self.tasks))
        return self.status == "SUCCEEDED" and self.output == right and not self.twice and not self.left


class Campaign:
    """One run under fire."""

    def __init__(
        self,
        backend: str,
        tasks: int,
        seed: int,
        *,
        project: Path,
        kill: Kill,
        settings: str = "",
        seconds: float = 0.05,
        every_s: tuple[float, float] = (0.4, 2.0),
        engine_share: float = 0.3,
        environ: Mapping[str, str] | None = None,
        command: list[str] | None = None,
        limit_s: float = 600,
    ) -> None:
        """`kill` takes something of the backend's down; with `engine_share` of all kills it is the engine instead.
        `command` goes before Python's; others go first unless it says otherwise."""
        self.backend = backend
        self.project = project
        self._tasks = tasks
        self._seconds = seconds
        self._random = random.Random(seed)
        self._kill = kill
        self._every_s = every_s
        self._engine_share = engine_share
        self.mark = f"{os.getpid()}-{seed}-{time.time_ns()}"
        self.environ = {**os.environ, **(environ or {}), MARK: self.mark}
        self.command = command or ["nice", "-n", "5"]
        self._limit_s = limit_s
        self.struck: Counter[str] = Counter()
        """Blows by token of the attempt, where its token can be seen."""
        (project / "skylift.toml").write_text(f"[skylift]\nworkers = 3\n{settings}", encoding="utf-8")

    def run(self) -> Found:
        began = time.monotonic()
        killed: Counter[str] = Counter()
        lives = 0
        said: list[object] = []
        while not said:
            lives += 1
            said = self._one_life(killed, began)
        found = self._look(*said)
        return msgspec.structs.replace(
            found, seconds=round(time.monotonic() - began, 1), engines=lives, killed=dict(killed)
        )

    def _one_life(self, killed: Counter[str], began: float) -> list[object]:
        """Until the engine is killed (nothing is said) or the run has ended."""
        arguments = [str(self.project), self.backend, str(self._tasks), str(self._seconds)]
        with (self.project / "engine.log").open("ab") as log:
            engine = subprocess.Popen(
                [*self.command, sys.executable, str(HERE / "chaos_engine.py"), *arguments],
                cwd=HERE,
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert engine.stdout is not None
        try:
            if not engine.stdout.readline().startswith("driving"):
                engine.wait()
                raise AssertionError((self.project / "engine.log").read_text()[-3000:])
            while engine.poll() is None:
                if self._ended(engine, self._random.uniform(*self._every_s)):
                    break
                assert time.monotonic() - began < self._limit_s, f"not ended after {self._limit_s} s: {dict(killed)}"
                if self._random.random() < self._engine_share:
                    engine.kill()
                    killed["engine"] += 1
                    break
                what = self._kill(self._random, self)
                if what is not None:
                    killed[what] += 1
            last = engine.stdout.read()
            return list(json.loads(last.removeprefix("ended "))) if last.startswith("ended ") else []
        finally:
            engine.kill()
            engine.wait()
            engine.stdout.close()

    def _ended(self, engine: subprocess.Popen[str], seconds: float) -> bool:
        try:
            engine.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _look(self, status: object, output: object, cause: object) -> Found:
        """At the journal, and at what is left."""
        from skylift.asl.events import TaskRedelivered, TaskSucceeded
        from skylift.config import load_config
        from skylift.runtime import Runtime

        outcomes: Counter[str] = Counter()
        again: Counter[str] = Counter()
        with Runtime(load_config(self.project)) as runtime:
            for record in runtime.journal.runs(limit=10):
                for entry in runtime.journal.entries(record.run_id):
                    if isinstance(entry.event, TaskSucceeded):
                        outcomes[entry.event.token] += 1
                    elif isinstance(entry.event, TaskRedelivered):
                        again[f"{entry.event.reason}: {entry.event.cause[:120]}"] += 1
        return Found(
            backend=self.backend,
            tasks=self._tasks,
            seconds=0,
            engines=0,
            killed={},
            status=str(status),
            cause=None if cause is None else str(cause),
            output=output if isinstance(output, int) else None,
            recorded=len(outcomes),
            twice=sum(count > 1 for count in outcomes.values()),
            redelivered=dict(again),
            left=self.left(),
        )

    def processes(self) -> list[psutil.Process]:
        """Everything that runs with this campaign's mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def left(self, patience_s: float = 45) -> list[str]:
        """What still runs or exists, once the sweeper has had its turn."""
        end = time.monotonic() + patience_s
        while True:
            swept = subprocess.run(
                [*self.command, sys.executable, "-m", "skylift.cli", "sweep", "--list", "--json"],
                cwd=self.project,
                env={key: value for key, value in self.environ.items() if key != MARK},
                capture_output=True,
                text=True,
            )
            assert swept.returncode == 0, swept.stderr
            told = json.loads(swept.stdout)
            left = [f"{one['backend']} {one['kind']} {one['id']} {one['note']}" for one in told["over"] + told["left"]]
            left += [f"process {one.pid} {_command(one)[:120]}" for one in self.processes() if one.is_running()]
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.5)


def kill_worker(rng: random.Random, campaign: Campaign) -> str | None:
    """Of the process backend."""
    workers = [one for one in campaign.processes() if "skylift.compute.worker" in _command(one)]
    if not workers:
        return None
    rng.choice(workers).kill()
    return "worker"


def kill_container(rng: random.Random, campaign: Campaign) -> str | None:
    """As an operator, or a machine out of memory, would."""
    row = '{{.ID}} {{index .Labels "skylift.token"}}'
    listed = subprocess.run(["podman", "ps", "--format", row], env=campaign.environ, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    running = [(name, token) for name, token in map(str.split, listed.stdout.splitlines())]
    open_to_blows = [name for name, token in running if campaign.struck[token] < _STRIKES]
    if not open_to_blows:
        return None
    chosen = rng.choice(open_to_blows)
    campaign.struck[dict(running)[chosen]] += 1
    subprocess.run(["podman", "kill", chosen], env=campaign.environ, capture_output=True)
    return "container"


def kill_machine(rng: random.Random, campaign: Campaign) -> str | None:
    """A machine of the batch backend's local pool, with everything on it."""
    agents = [process for process in campaign.processes() if "skylift.compute.batch" in _command(process)]
    on_them = [(agent, _tokens_on(agent)) for agent in agents]
    open_to_blows = [one for one in on_them if all(campaign.struck[token] < _STRIKES for token in one[1])]
    if not open_to_blows:
        return None
    agent, tokens = rng.choice(open_to_blows)
    campaign.struck.update(tokens)
    for process in (*agent.children(recursive=True), agent):
        with contextlib.suppress(psutil.Error):
            process.kill()
    return "machine"


def _tokens_on(agent: psutil.Process) -> list[str]:
    """Of the attempts on this agent's machine. Its folder is the last word but one of its command line."""
    try:
        folder = Path(agent.cmdline()[-2])
    except (psutil.Error, IndexError):
        return []
    return [assignment.held.token for assignment in MachineFolder(folder).assignments().values()]


def _command(process: psutil.Process) -> str:
    """Empty for one that has just ended."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def kill_ray_worker(rng: random.Random, campaign: Campaign) -> str | None:
    """A worker process of the cluster; seldom the supervisor, with which all attempts go."""
    folder = campaign.environ.get("RAY_TMPDIR")
    workers = []
    for process in psutil.process_iter(["name", "cmdline"]):
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if line.startswith("ray::") and "Agent" not in line and process.environ().get("RAY_TMPDIR") == folder:
                workers.append(process)
    if not workers:
        return None
    places = [process for process in workers if "Supervisor" not in _command(process)]
    if places and rng.random() < _SPARED:
        rng.choice(places).kill()
        return "ray worker"
    rng.choice(workers).kill()
    return "ray worker or supervisor"


KILLS: dict[str, Kill] = {"process": kill_worker, "container": kill_container, "batch": kill_machine}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="process", choices=sorted(KILLS))
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skylift-chaos-") as folder:
        found = Campaign(given.backend, given.tasks, given.seed, project=Path(folder), kill=KILLS[given.backend]).run()
    print(msgspec.json.format(msgspec.json.encode(found)).decode())
    return 0 if found.fine else 1


if __name__ == "__main__":
    sys.exit(main())
