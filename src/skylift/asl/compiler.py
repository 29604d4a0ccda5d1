"""From a document to compiled flows, once per document."""

from __future__ import annotations

from skylift.asl import document as d
from skylift.asl.states.base import CompiledFlow, Step
from skylift.asl.states.distributed import DistributedMapStep
from skylift.asl.states.map import MapStep
from skylift.asl.states.parallel import ParallelStep
from skylift.asl.states.simple import ChoiceStep, FailStep, PassStep, SucceedStep
from skylift.asl.states.task import TaskStep
from skylift.asl.states.wait import WaitStep


def compile_document(document: d.Document) -> list[CompiledFlow]:
    """All flows, numbered in the order of the document; the first is the document's own."""
    flows: list[CompiledFlow] = []
    _compile_flow(document.flow, flows)
    return flows


def _compile_flow(flow: d.Flow, flows: list[CompiledFlow]) -> CompiledFlow:
    compiled = CompiledFlow(len(flows), flow.start_at)
    flows.append(compiled)
    for name, state in flow.states.items():
        compiled.steps[name] = _compile_state(state, flows)
    return compiled


def _compile_state(state: d.State, flows: list[CompiledFlow]) -> Step:
    match state:
        case d.Pass():
            return PassStep(state)
        case d.Task():
            return TaskStep(state)
        case d.Choice():
            return ChoiceStep(state)
        case d.Wait():
            return WaitStep(state)
        case d.Succeed():
            return SucceedStep(state)
        case d.Fail():
            return FailStep(state)
        case d.Parallel():
            return ParallelStep(state, [_compile_flow(branch, flows) for branch in state.branches])
        case d.Map(mode="DISTRIBUTED"):
            return DistributedMapStep(state, _compile_flow(state.item_processor, flows))
        case d.Map():
            return MapStep(state, _compile_flow(state.item_processor, flows))
    raise TypeError(f"not a state of the language: {type(state).__name__}")
