"""What figures are made from: the answers and prices of one project, asked for by name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from skylift.advice.amounts import Amount
from skylift.advice.figures import Input, Lack
from skylift.advice.places import Place
from skylift.advice.prices import Prices, Rented
from skylift.advice.project import Project, answers
from skylift.pricing.catalogue import Catalogue


class Book:
    """Of one project at one place of purchase."""

    def __init__(self, project: Project, catalogue: Catalogue, place: Place) -> None:
        self.project = project
        self.place = place
        self.prices = Prices(catalogue, place.cloud, place.region)
        self._answers = answers(project)

    def answer(self, path: str, name: str, unit: str, *, of: Fraction | int = 1) -> Input | Lack:
        """A number that was answered, in units of `of` of what it is kept in (a month of seconds, say)."""
        given = self._answers.get(path)
        if given is None:
            return Lack(needs=(path,))
        value = given.value if isinstance(given, Amount) else Fraction(str(given))
        return Input(name=name, value=value / of, unit=unit, source=f"answer {path}", answers=(path,))

    def has(self, path: str) -> bool:
        return path in self._answers

    def get(self, path: str) -> Any:
        return self._answers.get(path)

    def rented(self, market: str = "on-demand", name: str = "hour") -> Rented:
        """The machines that the heavy part of the work would be rented on."""
        at_once = self.answer("hardware.machines_at_once", "machines", "")
        if isinstance(at_once, Lack):
            at_once = Input(
                name="machines", value=Fraction(1), unit="", source="assumption: one at a time, nobody said how many"
            )
        machine = self.project.hardware.machine
        if machine is not None:
            kind = self.prices.catalogue.machine(machine, cloud=self.place.cloud)
            return Rented(self.prices.machine(machine, market, name), at_once, kind)
        gpu, gpus = self.project.hardware.gpu, self.project.hardware.gpus
        if gpu is None or gpu.lower() == "none" or not gpus:
            without = gpu is not None and gpu.lower() == "none"
            needs = ("hardware.machine",) if without else ("hardware.gpu", "hardware.gpus")
            lack = Lack(needs=tuple(path for path in needs if not self.has(path)) or ("hardware.machine",))
            return Rented(lack, lack, None)
        return self.prices.with_gpus(gpu, gpus, market, name)
