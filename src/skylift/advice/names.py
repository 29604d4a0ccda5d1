"""Names in the answers that the catalogue must know: a GPU or machine that nobody rents out has no price, and whoever
misspelt it would only read so in a note."""

from __future__ import annotations

from skylift.advice.places import Place
from skylift.advice.project import Project
from skylift.advice.reading import ProjectInvalid
from skylift.advice.told import told
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.gpus import same_model
from skylift.pricing.missing import models_of, unknown_gpu

NONE = "none"
"""That no GPU is needed."""


def check_names(project: Project, place: Place, catalogue: Catalogue) -> None:
    """Raises ProjectInvalid with the nearest right name."""
    if project.hardware.gpu is not None and project.hardware.gpu.lower() != NONE:
        _check_gpu(project.hardware.gpu, catalogue)
    machines = {"hardware.machine": project.hardware.machine, "requests.instance": project.requests.instance}
    for path, type in machines.items():
        if type is not None:
            _check_machine(path, type, project, place, catalogue)


def _check_gpu(gpu: str, catalogue: Catalogue) -> None:
    if not any(same_model(known, gpu) for known in models_of(catalogue.clouds, catalogue)):
        problem = unknown_gpu(gpu, catalogue.clouds, catalogue)
        raise ProjectInvalid(f"hardware.gpu is {told(gpu)}: no cloud has machines with it", hint=problem.hint)


def _check_machine(path: str, type: str, project: Project, place: Place, catalogue: Catalogue) -> None:
    having = [cloud for cloud in catalogue.clouds if catalogue.machine(type, cloud) is not None]
    if place.cloud in having:
        return
    if not having:
        near = catalogue.nearest_type(type, place.cloud) or catalogue.nearest_type(type)
        hint = f"did you mean {', '.join(near)}?" if near else "`skylift prices find` lists the types that there are"
        raise ProjectInvalid(f"{path} is {told(type)}: there is no such machine type", hint=hint)
    said = f"cloud is {place.cloud}" if project.cloud is not None else f"{place.cloud} is taken where no cloud is named"
    raise ProjectInvalid(
        f"{path} is {told(type)}, a machine of {' and '.join(having)}, but {said}",
        hint=f"say cloud: {having[0]}, or name a machine of {place.cloud}",
    )
