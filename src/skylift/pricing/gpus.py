"""How GPUs are asked for and named: `"1"`, `"V100"`, `"V100:2"`."""

from __future__ import annotations


def gpus_of(wanted: str | None) -> tuple[str | None, int]:
    """Model and number of `"1"`, `"V100"` or `"V100:2"`."""
    if wanted is None:
        return None, 0
    model, _, count = wanted.partition(":")
    if model.isdigit():
        return None, int(model)
    return model, int(count) if count.isdigit() else 1


def same_model(gpu: str | None, wanted: str) -> bool:
    """A variant with more memory is one of its model: `V100` is also what `V100-32GB` is."""
    return gpu is not None and (gpu.lower() == wanted.lower() or gpu.lower().startswith(f"{wanted.lower()}-"))


def is_gpu(model: str | None) -> bool:
    """Inferentia and Trainium run what is compiled for them, and nothing that is written for GPUs."""
    return model is not None and not model.startswith(("inferentia", "trainium"))
