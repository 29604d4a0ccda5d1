"""Why a backend cannot run a task, in words: what the task needs beside the largest that the backend has."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from skylift.ports.compute import Backend, Offer, Requirements

_MEND = "Lower what the task asks for, or choose another backend (--on, [placement])."


def no_offer(task: str, name: str, backend: Backend | None, requirements: Requirements) -> str:
    """Of a backend without an offer for these requirements."""
    lacking = list(_lacking(name, backend, requirements))
    said = lacking or [f"it needs {needs(requirements)}, and {_largest(name, backend, requirements)}"]
    return f"Backend {name} cannot run task {task}: {'; '.join(said)}. {_MEND}"


def not_honoured(task: str, backend: Backend, requirements: Requirements) -> str:
    """Of a backend that could run it, but not on what the run's plan has bought."""
    have = sorted({f"{o.service} {o.instance_type}, {o.market} in {o.region}" for o in backend.offers(requirements)})
    said = "; ".join(have[:4]) + (f" and {len(have) - 4} more" if len(have) > 4 else "")
    return (
        f"The plan of this run has bought {requirements.place} for task {task}, and {backend.name} offers {said}. "
        "Make a new plan (skylift plan), or run without one."
    )


def needs(requirements: Requirements) -> str:
    """For people: `512 processors, 40 GiB of memory`."""
    parts = [_processors(requirements.cpus)]
    if requirements.memory_mib is not None:
        parts.append(_memory(requirements.memory_mib))
    if requirements.gpu is not None:
        parts.append(f"gpu={requirements.gpu!r}")
    if requirements.nodes > 1:
        parts.append(f"nodes={requirements.nodes}")
    if requirements.image is not None:
        parts.append(f"image={requirements.image!r}")
    if requirements.place is not None:
        parts.append(f"the {requirements.place} of its plan")
    return ", ".join(parts)


def _lacking(name: str, backend: Backend | None, requirements: Requirements) -> Iterator[str]:
    if backend is None:
        return
    able = backend.capabilities
    if requirements.image is not None and not able.images:
        yield f"it wants image {requirements.image!r}, and {name} runs no images"
    if requirements.nodes > 1 and not able.gangs:
        yield f"it wants nodes={requirements.nodes}, and {name} runs no gangs"
    if requirements.environment is not None and not able.environments:
        yield f"it wants an environment of its own, and {name} makes none"


def _largest(name: str, backend: Backend | None, requirements: Requirements) -> str:
    plain = Requirements(image=requirements.image, environment=requirements.environment)
    offers: list[Offer] = []
    if backend is not None and requirements.gpu is not None:
        offers = list(backend.offers(msgspec.structs.replace(plain, gpu="1")))
    if backend is not None and not offers:
        offers = list(backend.offers(plain))
    if not offers:
        return f"{name} has nothing to run it on now"
    return f"what {name} has is at most {_processors(max(o.vcpus for o in offers))} and {_most(offers)}"


def _most(offers: list[Offer]) -> str:
    models = {f"{o.gpu or 'GPU'}:{o.gpu_count}" for o in offers if o.gpu_count}
    gpus = f"GPUs {', '.join(sorted(models))}" if models else "no GPU"
    return f"{_memory(max(o.memory_mib for o in offers))}, {gpus}"


def _processors(count: float) -> str:
    return f"{count:g} processor{'' if count == 1 else 's'}"


def _memory(mib: int) -> str:
    return f"{round(mib / 1024, 1):,g} GiB of memory" if mib >= 1024 else f"{mib} MiB of memory"
