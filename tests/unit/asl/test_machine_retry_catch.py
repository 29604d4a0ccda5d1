"""Retry and Catch: who answers which failure, after how long, and what the handler sees."""

import random

import pytest

from skylift.asl.document import Retrier
from skylift.asl.limits import SERVICE
from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.asl.retry import delay_ms, find_retrier, matches
from skylift.asl.state import Failure
from skylift.testing.virtual import START_MS, After, TaskError, VirtualRun, run_document

WORK = "arn:aws:states:::skylift:work"


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reraise", True)


def retrier(*names: str, **more: object) -> Retrier:
    return Retrier(pointer="", error_equals=names, **more)


def task_document(language: str = "JSONata", **more: object) -> object:
    states = {"T": {"Type": "Task", "Resource": WORK, "End": True, **more}}
    if "Catch" in more:
        states["H"] = {"Type": "Pass", "End": True}
    return load({"QueryLanguage": language, "StartAt": "T", "States": states})


def endless_document() -> object:
    rule = {"Variable": "$.stop", "IsPresent": True, "Next": "B"}
    states = {"A": {"Type": "Choice", "Choices": [rule], "Default": "A"}, "B": {"Type": "Succeed"}}
    return load({"StartAt": "A", "States": states})


@pytest.mark.parametrize(
    ("names", "failure", "answer"),
    [
        (["States.ALL"], Failure("Any", None), True),
        (["States.ALL"], Failure(None, None), True),
        (["States.ALL"], Failure("States.Runtime", "x"), False),
        (["States.Runtime"], Failure("States.Runtime", "x"), False),
        (["States.ALL"], Failure("States.DataLimitExceeded", "x", terminal=True), False),
        (["States.DataLimitExceeded"], Failure("States.DataLimitExceeded", "x", terminal=True), True),
        (["States.ALL"], Failure("States.DataLimitExceeded", "x"), True),
        (["States.TaskFailed"], Failure("Any", None), True),
        (["States.TaskFailed"], Failure("States.Timeout", None), False),
        (["States.TaskFailed"], Failure("States.HeartbeatTimeout", None), False),
        (["States.Timeout"], Failure("States.HeartbeatTimeout", None), True),
        (["States.HeartbeatTimeout"], Failure("States.Timeout", None), False),
        (["LookupError"], Failure("KeyError", None, ("LookupError", "Exception")), True),
        (["KeyError"], Failure("LookupError", None, ("Exception",)), False),
    ],
)
def test_matching(names: list[str], failure: Failure, answer: bool) -> None:
    assert matches(names, failure) is answer


def test_only_the_first_retrier_that_matches_counts() -> None:
    retriers = [retrier("A", max_attempts=1), retrier("States.ALL", max_attempts=5)]
    assert find_retrier(retriers, Failure("A", None), None) == 0
    assert find_retrier(retriers, Failure("A", None), [1, 0]) is None
    assert find_retrier(retriers, Failure("B", None), [1, 4]) == 1


def test_delays() -> None:
    rng = random.Random(1)
    plain = retrier("A", interval_seconds=3, backoff_rate=2.0)
    assert [delay_ms(plain, spent, lambda: rng) for spent in range(3)] == [3000, 6000, 12000]
    capped = retrier("A", interval_seconds=3, backoff_rate=2.0, max_delay_seconds=5)
    assert [delay_ms(capped, spent, lambda: rng) for spent in range(3)] == [3000, 5000, 5000]
    jittered = retrier("A", interval_seconds=3, jitter_strategy="FULL")
    assert all(0 <= delay_ms(jittered, 0, lambda: rng) <= 3000 for _ in range(100))
    assert delay_ms(retrier("A", interval_seconds=9, backoff_rate=10.0), 10_000, lambda: rng) > 0


def test_retries_in_virtual_time_then_succeeds() -> None:
    attempts: list[int] = []

    def work(arguments: dict) -> str:
        attempts.append(arguments["retries"])
        if len(attempts) < 3:
            raise KeyError("not yet")
        return "done"

    retry = [{"ErrorEquals": ["LookupError"], "IntervalSeconds": 10, "MaxAttempts": 4}]
    arguments = {"retries": "{% $states.context.State.RetryCount %}"}
    run = run_document(task_document(Arguments=arguments, Retry=retry), {}, {"work": work})
    assert (run.status, run.output, attempts) == ("SUCCEEDED", "done", [0, 1, 2])
    assert run.now_ms - START_MS == 30_000
    assert run.event_types.count("TaskStateEntered") == 1


def test_catch_sees_the_error_output() -> None:
    def work(arguments: object) -> None:
        raise TaskError("Broken", "why")

    catch = [{"ErrorEquals": ["Broken"], "Next": "H", "Output": "{% $states.errorOutput %}", "Assign": {"seen": True}}]
    run = run_document(task_document(Catch=catch), {"in": 1}, {"work": work})
    assert run.output == {"Error": "Broken", "Cause": "why"}
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "H", "ResultPath": "$.error"}]
    run = run_document(task_document("JSONPath", Catch=catch), {"in": 1}, {"work": work})
    assert run.output == {"in": 1, "error": {"Error": "Broken", "Cause": "why"}}


def test_timeouts_and_heartbeats() -> None:
    slow = {"work": lambda arguments: After(100, "late")}
    run = run_document(task_document(TimeoutSeconds=5), {}, slow)
    assert (run.error, run.cause, run.now_ms - START_MS) == ("States.Timeout", None, 5000)
    run = run_document(task_document(TimeoutSeconds=50, HeartbeatSeconds=2), {}, slow)
    assert (run.error, run.now_ms - START_MS) == ("States.HeartbeatTimeout", 2000)
    run = run_document(task_document("JSONPath", TimeoutSecondsPath="$.limit"), {"limit": 7}, slow)
    assert run.now_ms - START_MS == 7000
    run = run_document(task_document(TimeoutSeconds="{% $states.input.limit %}"), {"limit": "soon"}, slow)
    assert (run.status, run.error) == ("FAILED", "States.QueryEvaluationError")


def test_failing_expression_of_a_task_can_be_caught() -> None:
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "H", "Output": "caught"}]
    run = run_document(task_document(Arguments="{% $nothing %}", Catch=catch), {}, {})
    assert (run.status, run.output) == ("SUCCEEDED", "caught")
    assert run.event_types[2:4] == ["EvaluationFailed", "TaskStateExited"]


def test_sibling_branches_are_cancelled() -> None:
    def work(arguments: object) -> object:
        if arguments == "fail":
            raise TaskError("Broken")
        return After(1000)

    branch = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": WORK, "Arguments": "fail", "End": True}}}
    other = {"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": WORK, "Arguments": "stay", "End": True}}}
    catch = [{"ErrorEquals": ["Broken"], "Next": "H", "Output": "caught"}]
    parallel = {"Type": "Parallel", "Branches": [branch, other], "Catch": catch, "End": True}
    states = {"P": parallel, "H": {"Type": "Pass", "End": True}}
    run = run_document(load({"QueryLanguage": "JSONata", "StartAt": "P", "States": states}), {}, {"work": work})
    assert (run.status, run.output) == ("SUCCEEDED", "caught")
    assert run.event_types.count("TaskStateAborted") == 1
    assert "ParallelStateFailed" in run.event_types


def test_variables_reach_inner_flows_and_stay_inside() -> None:
    inner = {
        "StartAt": "I",
        "States": {
            "I": {"Type": "Pass", "Assign": {"local": "{% $outer + $states.input %}"}, "Next": "J"},
            "J": {"Type": "Pass", "Output": "{% [$outer, $local] %}", "End": True},
        },
    }
    states = {
        "A": {"Type": "Pass", "Assign": {"outer": 10}, "Next": "M"},
        "M": {"Type": "Map", "Items": [1, 2], "ItemProcessor": inner, "Next": "Z"},
        "Z": {"Type": "Pass", "Output": {"map": "{% $states.input %}", "outer": "{% $outer %}"}, "End": True},
    }
    run = run_document(load({"QueryLanguage": "JSONata", "StartAt": "A", "States": states}), {})
    assert run.output == {"map": [[10, 11], [10, 12]], "outer": 10}


def test_service_limits() -> None:
    large = {"work": lambda arguments: "x" * 300_000}
    assert run_document(task_document(), {}, large).status == "SUCCEEDED"
    run = run_document(task_document(), {}, large, limits=SERVICE)
    assert (run.status, run.error) == ("FAILED", "States.DataLimitExceeded")
    endless = endless_document()
    run = run_document(endless, {}, limits=SERVICE)
    assert (run.status, run.error) == ("FAILED", "States.Runtime")
    assert "maximum number of history events (25000)" in str(run.cause)


def test_an_endless_loop_lets_others_go_and_can_be_stopped() -> None:
    endless = endless_document()
    run = VirtualRun(endless)
    run.start({})
    assert (run.status, len(list(run.state.pending()))) == ("RUNNING", 1)
    assert run.step()
    assert run.status == "RUNNING"


def test_wide_map_keeps_a_bounded_number_of_frames() -> None:
    inner = {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": WORK, "End": True}}}
    states = {"M": {"Type": "Map", "ItemProcessor": inner, "End": True}}
    run = VirtualRun(load({"QueryLanguage": "JSONata", "StartAt": "M", "States": states}), {"work": lambda n: n})
    run.start(list(range(5_000)))
    most = 0
    while run.step():
        most = max(most, len(run.state.frames))
    assert (run.status, most) == ("SUCCEEDED", 1_001)
    assert run.output == list(range(5_000))
