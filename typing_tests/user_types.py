"""What a user's type checker sees. Checked by mypy, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

from skylift import Retry, Run, parallel, pipeline, task


@dataclass
class Model:
    accuracy: float


@task
def load(source: str) -> list[int]:
    raise NotImplementedError


@task(memory="1 GiB", retry=Retry(attempts=2), timeout="2h")
def train(data: list[int], rate: float = 0.1) -> Model:
    raise NotImplementedError


@pipeline
def flow(source: str, rates: list[float]) -> Model:
    data = load(source)
    assert_type(data, list[int])
    models = [train(data, rate) for rate in rates]
    assert_type(models, list[Model])
    left, right = parallel(train(data), load(source))
    assert_type(left, Model)
    assert_type(right, list[int])
    return models[0]


@pipeline(name="named", timeout="1h")
def named(x: int) -> str:
    raise NotImplementedError


assert_type(flow("a", [0.1]), Model)
assert_type(flow.run("a", rates=[0.1]), Model)
assert_type(flow.start("a", [0.1]), Run[Model])
assert_type(named.run(3), str)
assert_type(train.with_options(gpu="V100")([1], 0.5), Model)


async def later() -> None:
    assert_type(await flow.run_async("a", [0.1]), Model)
    handle = await flow.start_async("a", [0.1])
    assert_type(await handle.result_async(), Model)


flow.run(1, [0.1])  # type: ignore[arg-type]
flow("a")  # type: ignore[call-arg]
train([1], rate="x")  # type: ignore[arg-type]
