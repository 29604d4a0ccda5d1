"""Dagster: a process for each step of a map; chain and call with its in-process executor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import trivial
from dagster import (
    DagsterInstance,
    DynamicOut,
    DynamicOutput,
    execute_job,
    graph,
    job,
    multiprocess_executor,
    op,
    reconstructable,
)
from measuring import measure
from measuring import stamp as write_stamp

FAN = int(os.environ.get("BENCH_FAN", "0"))
"""Width of the map: the processes of its steps read it too."""


@op(out=DynamicOut())
def numbers():
    for x in range(FAN):
        yield DynamicOutput(x, mapping_key=str(x))


@op
def increment(x):
    return trivial.increment(x)


@op
def total(results):
    return trivial.total(results)


@op
def zero():
    return 0


@op(config_schema={"x": int})
def given(context):
    return trivial.increment(context.op_config["x"])


@op
def stamp():
    write_stamp()


@job(executor_def=multiprocess_executor.configured({"max_concurrent": 2}))
def fan():
    total(numbers().map(increment).collect())


@job
def one():
    given()


@job
def first():
    stamp()


def chain_of(n: int):
    @graph(name=f"chain_of_{n}")
    def chain():
        x = zero()
        for _ in range(n):
            x = increment(x)

    return chain.to_job()


QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


class Dagster:
    def __init__(self, instance: DagsterInstance) -> None:
        self._instance = instance
        self._chains = {}

    def map(self, n: int) -> int:
        os.environ["BENCH_FAN"] = str(n)
        globals()["FAN"] = n
        with execute_job(reconstructable(fan), instance=self._instance, run_config=QUIET) as result:
            return result.output_for_node("total")

    def chain(self, n: int) -> int:
        chain = self._chains.get(n) or self._chains.setdefault(n, chain_of(n))
        result = chain.execute_in_process(run_config=QUIET, instance=self._instance)
        return result.output_for_node("increment" if n == 1 else f"increment_{n}")

    def call(self, x: int) -> int:
        config = {**QUIET, "ops": {"given": {"config": {"x": x}}}}
        return one.execute_in_process(run_config=config, instance=self._instance).output_for_node("given")


@contextmanager
def opened() -> Iterator[Dagster]:
    with DagsterInstance.get() as instance:
        yield Dagster(instance)


def cold() -> None:
    with DagsterInstance.get() as instance:
        first.execute_in_process(run_config=QUIET, instance=instance)


if __name__ == "__main__":
    measure(opened, cold)
