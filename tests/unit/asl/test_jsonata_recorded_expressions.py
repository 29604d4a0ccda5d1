"""Recorded machines of one Pass or Choice state, through the evaluators alone."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from skylift.asl.choice import compile_rule
from skylift.asl.document import BooleanRule, ChoiceRule, Comparison
from skylift.asl.jsonpath import compile_path, compile_reference
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.template import compile_template

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "conformance" / "cases.jsonl"
FOLDERS = ("choice_operators", "intrinsic_functions", "outputdecl", "evaluate_jsonata", "assign")


class Vars(dict):
    def as_mapping(self) -> dict:
        return self


def single_states() -> list[Any]:
    if not RECORDED.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason="the recorded cases are not beside this checkout"))]
    cases = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    return [pytest.param(case, id=case["name"]) for case in cases if case["folder"] in FOLDERS and first(case)]


def first(case: dict) -> dict | None:
    states = case["definition"]["States"]
    state = states[case["definition"]["StartAt"]]
    wanted = state["Type"] == "Choice" or (state["Type"] == "Pass" and len(states) == 1)
    return state if wanted and not case["placeholders"] else None


def rule(value: dict) -> Comparison | BooleanRule:
    for name in ("And", "Or", "Not"):
        if name in value:
            operands = value[name] if name != "Not" else [value[name]]
            return BooleanRule(pointer="", operator=name, operands=tuple(rule(one) for one in operands))
    (operator,) = [key for key in value if key not in ("Variable", "Next")]
    return Comparison(pointer="", variable=value["Variable"], operator=operator, operand=value[operator])


@pytest.mark.parametrize("case", single_states())
def test_recorded_answer(case: dict) -> None:
    state = first(case)
    scope = Scope(
        input=case["input"],
        context=lambda: {"Execution": {"Input": case["input"]}},
        variables=Vars(),
        random=lambda: random.Random(1),
    )
    if state["Type"] == "Choice":
        assert chosen(case, state, scope)
        return
    language = state.get("QueryLanguage") or case["definition"].get("QueryLanguage", "JSONPath")
    if language == "JSONata":
        for field in ("Assign", "Output"):
            if field not in state:
                continue
            template = compile_template(state[field], "JSONata", field)
            if case["expected"]["status"] == "FAILED":
                with pytest.raises(EvaluationFailed) as failed:
                    template.evaluate(scope)
                assert failed.value.error == case["expected"]["error"]
                assert case["expected"]["cause"].endswith(failed.value.cause)
            else:
                assert template.evaluate(scope) == case["expected"]["output"]
        return
    result = compile_template(state["Parameters"], "JSONPath", "Parameters").evaluate(scope)
    if "ResultPath" in state:
        result = compile_reference(state["ResultPath"]).write(scope.input, result)
    if "OutputPath" in state:
        scope.input = result
        result = compile_path(state["OutputPath"]).read(scope)
    if "RandomNumberGenerated" in json.dumps(case["expected"]["output"]):
        assert isinstance(result["FunctionResult"], int)
    elif "ResultPath" not in state:
        assert result == case["expected"]["output"]


def chosen(case: dict, state: dict, scope: Scope) -> bool:
    choice = state["Choices"][0]
    condition = choice.get("Condition", UNSET)
    compiled = compile_rule(
        ChoiceRule(
            pointer="/States/S/Choices/0",
            next="",
            rule=None if condition is not UNSET else rule(choice),
            condition=condition,
        )
    )
    wanted = json.dumps(case["expected"])
    if "ConditionTrue" in wanted or "ConditionFalse" in wanted:
        return compiled(scope) is ("ConditionTrue" in json.dumps(case["expected"]["output"]))
    return isinstance(compiled(scope), bool) if "input" in case and "Variable" not in choice else True
