"""`split` as a task of a pipeline: it runs where tasks run, never where the graph is compiled or driven."""

from __future__ import annotations

from skylift.blocks.split import split as _split
from skylift.sdk.task import Task

split = Task(_split, name="split")
"""`skylift.blocks.split.split`, as a step. `split.with_options(retry=2, memory="1 GiB")` gives it other needs."""
