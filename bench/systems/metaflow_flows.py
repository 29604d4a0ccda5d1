"""Metaflow's flows that are measured, chosen by the environment: `python metaflow_flows.py run`."""

from __future__ import annotations

import os

from measuring import stamp
from metaflow import FlowSpec, step
from trivial import increment, total

N = int(os.environ.get("BENCH_N", "1"))


class Fan(FlowSpec):
    @step
    def start(self):
        self.numbers = list(range(N))
        self.next(self.increment, foreach="numbers")

    @step
    def increment(self):
        self.result = increment(self.input)
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.result = total([branch.result for branch in inputs])
        self.next(self.end)

    @step
    def end(self):
        pass


class Chain(FlowSpec):
    @step
    def start(self):
        self.x = increment(0)
        self.next(self.second)

    @step
    def second(self):
        self.x = increment(self.x)
        self.next(self.third)

    @step
    def third(self):
        self.x = increment(self.x)
        self.next(self.fourth)

    @step
    def fourth(self):
        self.x = increment(self.x)
        self.next(self.end)

    @step
    def end(self):
        self.x = increment(self.x)


class First(FlowSpec):
    @step
    def start(self):
        stamp()
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    {"fan": Fan, "chain": Chain, "first": First}[os.environ["BENCH_FLOW"]]()
