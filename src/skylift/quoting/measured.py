"""From samples of the history, and from what somebody says, to what is known of a step's work."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from skylift.history import History, Sample
from skylift.placement.spread import Spread, declared, spread_of
from skylift.placement.work import Measured, Work, gpu_of
from skylift.ports.compute import Requirements
from skylift.pricing.catalogue import Catalogue
from skylift.quoting.facts import Answers, of_names
from skylift.quoting.walk import Kind

SIMULATED = "simulated"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a step, wherever it will run."""

    work: Work
    memory_mib: Spread | None = None
    failed: float = 0.0
    """Share of attempts that failed and are tried again."""
    repeats: int = 0
    """As `Kind` has it."""
    in_bytes: float | None = None
    notes: tuple[str, ...] = ()


def evidence(
    step: str,
    kind: Kind,
    needs: Requirements,
    answers: Answers,
    history: History,
    catalogue: Catalogue,
    *,
    plays: bool,
) -> Evidence:
    """`plays`: it is for the simulated cloud, in which declared work takes as long as it says, and everything else as
    long as it was measured, on places of any size."""
    task = kind.task
    samples, where = history.of_step(step), ""
    if not samples and task is not None:
        samples, where = history.of_task(task), f", in other steps of {task}"
    data = of_names(answers.data_bytes, step, task)
    peaks = _peaks(samples)
    read = [one.in_bytes for one in samples if one.in_bytes is not None and one.ended == "succeeded"]
    return Evidence(
        work=_work(step, task, needs, answers, samples, where, catalogue, plays=plays),
        memory_mib=spread_of(peaks) if peaks else None,
        failed=_failed(samples) if kind.repeats else 0.0,
        repeats=kind.repeats,
        in_bytes=float(data) if data is not None else sum(read) / len(read) if read else None,
        notes=() if peaks or needs.memory_mib is not None else ("the memory it needs is not known: none is asked for",),
    )


def _work(
    step: str,
    task: str | None,
    needs: Requirements,
    answers: Answers,
    samples: Sequence[Sample],
    where: str,
    catalogue: Catalogue,
    *,
    plays: bool,
) -> Work:
    said = of_names(answers.work_ms, step, task)
    on_types = of_names(answers.work_on_ms, step, task) or {}
    typed = {name: float(ms) for name, ms in on_types.items()}
    if needs.work_ms is not None:  # what the simulated cloud played says what was declared, and nothing else
        samples = [sample for sample in samples if sample.backend != SIMULATED]
    measured = tuple(_measured(samples, catalogue))
    if said is not None:
        return Work(declared_ms=float(said), on_type_ms=typed, cpus=needs.cpus, why="as you say", stretches=not plays)
    if plays and needs.work_ms is not None:
        why = "@task(work=…), which the simulated cloud plays"
        return Work(declared_ms=float(needs.work_ms), on_type_ms=typed, cpus=needs.cpus, why=why, stretches=False)
    if measured:
        many = "" if len(measured) == 1 else "s"
        why = f"{len(measured)} attempt{many} before{where}"
        return Work(measured=measured, on_type_ms=typed, cpus=needs.cpus, why=why, stretches=not plays)
    if needs.work_ms is not None:
        return Work(declared_ms=float(needs.work_ms), on_type_ms=typed, cpus=needs.cpus, why="@task(work=…)")
    why = "as you say" if typed else f'how long it takes is not known: --work "{step}=10m"'
    return Work(on_type_ms=typed, cpus=needs.cpus, why=why)


def _measured(samples: Sequence[Sample], catalogue: Catalogue) -> list[Measured]:
    """One for each attempt that succeeded: its last delivery, and the work that checkpoints had kept before."""
    attempts: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        attempts.setdefault((sample.run_id, sample.token), []).append(sample)
    found = []
    for deliveries in attempts.values():
        last = deliveries[-1]
        if last.ended != "succeeded" or last.duration_ms is None:
            continue
        kept = max((one.saved_ms or 0.0 for one in deliveries[:-1]), default=0.0)
        machine = None if last.instance_type is None else catalogue.machine(last.instance_type)
        gpu, gpus = gpu_of(last.gpu, None if machine is None else machine.gpu)
        found.append(
            Measured(
                duration_ms=last.duration_ms + kept,
                cpu_ms=None if kept else last.cpu_ms,
                vcpus=last.vcpus,
                gpu=gpu,
                gpus=gpus,
                where=f"{last.backend} {last.instance_type or ''}".strip(),
            )
        )
    return found


def _peaks(samples: Sequence[Sample]) -> list[float]:
    """What ran out of memory needed at least what it was given, and then some: half as much again."""
    found = [one.peak_mib for one in samples if one.peak_mib is not None and one.ended != "out-of-memory"]
    return found + [1.5 * one.memory_mib for one in samples if one.ended == "out-of-memory" and one.memory_mib]


def _failed(samples: Sequence[Sample]) -> float:
    """The share of attempts whose code failed. What no backend would take has never begun: nothing is repeated."""
    began = [one for one in samples if one.backend is not None or one.duration_ms is not None]
    ended = [one for one in began if one.ended in ("succeeded", "failed", "timed-out")]
    return sum(one.ended != "succeeded" for one in ended) / len(ended) if ended else 0.0


def asked_memory(needs: Requirements, known: Spread | None) -> tuple[int | None, Spread | None]:
    """What a place must have, and what an attempt uses of it. Without a measurement the author's word counts."""
    if needs.memory_mib is None:
        return (None if known is None else round(known.quantile(0.95)), known)
    return needs.memory_mib, known if known is not None else declared(float(needs.memory_mib) * 0.999)
