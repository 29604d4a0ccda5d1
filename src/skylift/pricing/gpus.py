"""How GPUs are asked for and named: `"1"`, `"V100"`, `"V100:2"`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_MAKERS = {"NVIDIA", "TESLA", "GEFORCE", "QUADRO", "AMD", "INSTINCT", "RADEON", "AWS", "GPU"}
_NEAR = 3


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


def nearest_models(wanted: str, known: Iterable[str]) -> list[str]:
    """That somebody may have meant, the likeliest first; none where none is like it. `nvidia-tesla-t4` is what Google
    calls a T4, and `A100 80GB` is how people write A100-80GB."""
    models = sorted(set(known), key=lambda one: (len(one), one))
    words = [word for word in re.split(r"[^A-Z0-9]+", wanted.upper()) if word and word not in _MAKERS]
    same = [one for one in models if _letters(one) == "".join(words)]
    held = [one for one in models if one.upper() in words]
    like = {one.upper(): one for one in models}
    close = get_close_matches("-".join(words), like, n=_NEAR, cutoff=0.5)
    return same or held or [like[one] for one in close]


def _letters(model: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", model.upper())
