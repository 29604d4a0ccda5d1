"""What is measured, in which unit, and what we want to reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that Skylift may take: in the work's unit, or as a multiple of the limit's median."""

    most: float
    of: Literal["unit", "limit"]

    def allows(self, value: float, limit: float | None) -> bool | None:
        """None where the limit it refers to was not measured."""
        if self.of == "unit":
            return value <= self.most
        return None if limit is None else value <= self.most * limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One thing that is measured the same way on every system that can do it."""

    name: str
    title: str
    how: str
    unit: Literal["s", "ms", "µs", "MiB", "1/s"]
    size: int = 1
    """Tasks, items or runs it consists of."""
    budget: Budget | None = None
    kind: Literal["warm", "cold", "import", "own"] = "warm"
    """warm: many works in one process whose workers are up. cold, import: a process each. own: Skylift only."""


WORKS = (
    Work(
        name="map",
        title="Map of 10,000 tasks and one gather",
        how="Each task adds one to a number; one more task sums the 10,000 results. Two warm worker processes.",
        unit="s",
        size=10_000,
        budget=Budget(most=2.3, of="limit"),
    ),
    Work(
        name="chain",
        title="Chain of 100 tasks",
        how="Each task adds one to the result of the one before. Two warm worker processes.",
        unit="s",
        size=100,
        budget=Budget(most=5, of="limit"),
    ),
    Work(
        name="call",
        title="One warm call, p50",
        how="Start one task from Python and wait for its result; the median of 300 in a row. Skylift: `pipeline.run()` "
        "of a pipeline with one task, a durable run each. DBOS: a workflow with one step. Dagster: a job with one op, "
        "in-process. Prefect: a task in a running flow. moto: an execution with one state, over HTTP.",
        unit="ms",
        size=300,
        budget=Budget(most=0.6, of="unit"),
    ),
    Work(
        name="cold",
        title="A cold process to the first step done",
        how="From just before the process is started until the first task has written the time into a file. "
        "Skylift: `skylift run`. What a system keeps on disk is there from the first round on.",
        unit="s",
        budget=Budget(most=0.4, of="unit"),
        kind="cold",
    ),
    Work(
        name="import",
        title="Import time beyond bare Python",
        how="`python -c 'import …'` less `python -c pass`, in turn. Skylift: `from skylift import pipeline, task`.",
        unit="ms",
        budget=Budget(most=60, of="unit"),
        kind="import",
    ),
    Work(
        name="memory",
        title="Engine memory at a map of 100,000 items",
        how="Peak resident memory (`ru_maxrss`) of the process that holds the engine.",
        unit="MiB",
        size=100_000,
        budget=Budget(most=250, of="unit"),
        kind="own",
    ),
    Work(
        name="restart",
        title="Restart with 1,000 runs in flight, until all move again",
        how="1,000 runs stand at their first task when engine and workers get SIGKILL. A new process takes them over; "
        "measured from just before its start until each run has recorded that its task is done.",
        unit="s",
        size=1_000,
        budget=Budget(most=2, of="unit"),
        kind="own",
    ),
    Work(
        name="commit",
        title="One commit on this disk",
        how="SQLite, WAL, one small row; the median of 500. Compare the durable figures above with it.",
        unit="ms",
        size=500,
        kind="own",
    ),
    Work(
        name="commit-full",
        title="One commit on this disk, kept through power loss",
        how='The same with synchronous full, which is `durability = "full"`.',
        unit="ms",
        size=200,
        kind="own",
    ),
    Work(
        name="catalogue",
        title="The price catalogue, read and searched",
        how="In a fresh process, beyond what every command imports: the machines of four clouds with a V100 in the "
        "United States that have a spot price. The median of 9 processes.",
        unit="ms",
        size=9,
        budget=Budget(most=50, of="unit"),
        kind="own",
    ),
    Work(
        name="checkpoint",
        title="What a checkpoint of 120 MiB keeps a training waiting for",
        how="`checkpoint.session` over a model with its AdamW state, PyTorch on the processor, one thread: the end of "
        "a step at which the state is saved, the upload before being through. The median of 8.",
        unit="ms",
        size=120,
        kind="own",
    ),
    Work(
        name="checkpoint-torch",
        title="torch.save of the same state",
        how="Into two files in turn, without fsync: what the training would wait for.",
        unit="ms",
        size=120,
        kind="own",
    ),
    Work(
        name="checkpoint-stored",
        title="The same checkpoint until it is stored",
        how="Digest, fsync, manifest and retention included: what goes on beside the training.",
        unit="ms",
        size=120,
        kind="own",
    ),
    Work(
        name="container",
        title="An attempt in a container",
        how="From giving out a call to its outcome, on an image that is there; the median. No network.",
        unit="ms",
        size=15,
        kind="own",
    ),
    Work(
        name="container-bare",
        title="podman run of the same image importing the same module",
        how="`podman run --rm` until it returns: what the figure above stands beside.",
        unit="ms",
        size=15,
        kind="own",
    ),
    Work(
        name="container-added",
        title="What Skylift adds to a container",
        how="The median of the differences of both, run in turn. Below zero: the outcome is there before the container "
        "is put away, and `podman run` returns after.",
        unit="ms",
        size=15,
        budget=Budget(most=20, of="unit"),
        kind="own",
    ),
    Work(
        name="split",
        title="Counting the records of a CSV of 100 MiB, block by block",
        how='`[count(block) for block in split(path, block="8 MiB")]`, a durable run with warm workers, one for each '
        "processor. Half of the records hold quotes, some of them newlines inside, so `split` reads every byte once.",
        unit="s",
        size=100,
        kind="own",
    ),
    Work(
        name="split-cut",
        title="The cutting alone",
        how='`split(path, block="8 MiB")` called plainly on the same file.',
        unit="s",
        size=100,
        kind="own",
    ),
    Work(
        name="split-one",
        title="The same file in one process",
        how="`csv.DictReader` from beginning to end: what the first figure stands beside.",
        unit="s",
        size=100,
        kind="own",
    ),
)


def find_work(name: str) -> Work:
    """Raises KeyError naming the works there are."""
    for work in WORKS:
        if work.name == name:
            return work
    raise KeyError(f"no work {name!r}; there are {', '.join(work.name for work in WORKS)}")
