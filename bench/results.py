"""What was measured: samples of each system on each work, or why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.registry import System
from bench.works import Work


@dataclass(slots=True, kw_only=True)
class Cell:
    """One system on one work."""

    samples: list[float] = field(default_factory=list)
    """In the work's unit, as measured."""
    size: int = 1
    """How much of the work was done."""
    scale: float = 1.0
    """What a measured value is multiplied with to stand for the whole work; more than 1 is an extrapolation."""
    problem: str | None = None
    """Why it was not measured, or not further."""

    @property
    def median(self) -> float:
        return median(self.samples) * self.scale

    @property
    def least(self) -> float:
        return min(self.samples) * self.scale

    @property
    def most(self) -> float:
        return max(self.samples) * self.scale

    @property
    def is_extrapolated(self) -> bool:
        return self.scale != 1.0


@dataclass(slots=True, kw_only=True)
class Results:
    """All cells of one run of the benchmark."""

    machine: dict[str, str]
    date: str
    rounds: int
    works: Sequence[Work]
    systems: Sequence[System]
    versions: dict[str, str] = field(default_factory=dict)
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)

    def cell(self, system: System, work: Work) -> Cell:
        key = (system.name, work.name)
        if key not in self.cells:
            size = system.sizes.get(work.name, work.size)
            self.cells[key] = Cell(size=size, scale=scale_of(system, work), problem=system.leaves_out.get(work.name))
        return self.cells[key]

    def limit(self, work: Work) -> float | None:
        """The limit's median, where it does this work."""
        cell = self.cells.get(("limit", work.name))
        return cell.median if cell is not None and cell.samples else None

    def as_json(self) -> dict[str, object]:
        return {
            "date": self.date,
            "machine": self.machine,
            "rounds": self.rounds,
            "versions": self.versions,
            "measured": [
                {
                    "work": work.name,
                    "unit": work.unit,
                    "system": system.name,
                    "size": cell.size,
                    "scale": cell.scale,
                    "samples": cell.samples,
                    "problem": cell.problem,
                }
                for work in self.works
                for system in self.systems
                if (cell := self.cells.get((system.name, work.name))) is not None
            ],
        }


def scale_of(system: System, work: Work) -> float:
    """Steps of the whole work over steps of what was measured: tasks, and those that the system adds by itself."""
    size = system.sizes.get(work.name, work.size)
    if size == work.size or work.name == "call":
        return 1.0
    extra = system.extra_steps.get(work.name, 1 if work.name == "map" else 0)
    return (work.size + extra) / (size + extra)
