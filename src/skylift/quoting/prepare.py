"""What a quote and a plan both begin with: the graph of a run with how often each step is done, and what is known of
each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from skylift.asl.parse import load
from skylift.config import Config
from skylift.engine.functions import find_function
from skylift.history import History
from skylift.ports.compute import Offer, Requirements
from skylift.ports.tasks import TaskSpec, TaskTable
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.places import SERVICE_NAMES
from skylift.quoting.facts import AnswerInvalid, Answers, Known
from skylift.quoting.loads import Share, order, paused_ms, shares
from skylift.quoting.tree import Tree
from skylift.quoting.walk import Kind, outline

OWN = ("process", "container")
OffersOf = Callable[[str, Requirements], Sequence[Offer]]
"""By the name of a backend."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A run that somebody has in mind."""

    pipeline: str
    definition: bytes
    tasks: Mapping[str, TaskSpec]
    """By name; functions by name or ARN."""
    machines: Mapping[str, bytes] = {}
    input: Any = None

    def spec(self, kind: Kind) -> TaskSpec | None:
        """Of a step; None for what no worker of ours does."""
        if kind.task is None:
            return None
        return self.tasks.get(kind.task) or find_function(kind.task, TaskTable(bundle=None, tasks=dict(self.tasks)))


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside it."""

    config: Config
    history: History
    catalogue: Catalogue
    offers: OffersOf
    answers: Answers = Answers()

    @property
    def folder(self) -> Path:
        return self.config.project


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    tree: Tree
    steps: Mapping[str, Kind]
    shares: Mapping[str, Share]
    after: Mapping[str, tuple[str, ...]]
    paused_ms: float
    asks: tuple[str, ...]
    """What nobody knows of waits."""
    notes: tuple[str, ...]


def _check_types(project: Project) -> None:
    """Whether there are the machines that `--work STEP@TYPE=…` names; own ones are called as their backends say."""
    catalogue = project.catalogue
    for step, types in project.answers.work_on_ms.items():
        for name in types:
            own = [offer.instance_type for backend in OWN for offer in project.offers(backend, Requirements())]
            sold = any(catalogue.machine(name, cloud) is not None for cloud in catalogue.clouds)
            if not sold and name not in {*SERVICE_NAMES.values(), *own}:
                near = catalogue.nearest_type(name)
                raise AnswerInvalid(
                    f"--work {step}@{name}: there is no machine of that name",
                    hint=f"did you mean {near[0]}?" if near else "see skylift prices find",
                )


def prepare(subject: Subject, project: Project) -> Prepared:
    """Raises InvalidDefinition, TooLong, or AnswerInvalid for an answer to nothing."""
    known = Known(project.answers, project.history)
    machines = {name: load(msgspec.json.decode(text)) for name, text in subject.machines.items()}
    found = outline(load(msgspec.json.decode(subject.definition)), machines, subject.input, known)
    known.check(found.steps, subject.tasks)
    _check_types(project)
    paused, asks = paused_ms(found.tree)
    entered = shares(found.tree)
    return Prepared(
        tree=found.tree,
        steps={step: kind for step, kind in found.steps.items() if step in entered},
        shares=entered,
        after=order(found.tree),
        paused_ms=paused,
        asks=asks,
        notes=found.notes,
    )
