"""Stop, pause, resume, redrive: what a person does to a run."""

from skylift.asl import commands, events
from skylift.asl.parse import load
from skylift.testing.virtual import VirtualRun

WORK = "arn:aws:states:::skylift:"


def task(name: str, **more: object) -> dict:
    return {"Type": "Task", "Resource": WORK + name, "End": True, **more}


def flow(**states: dict) -> dict:
    return {"StartAt": next(iter(states)), "States": states}


def machine(**states: dict) -> object:
    return load({"QueryLanguage": "JSONata", **flow(**states)})


def mapped(processor: dict, **more: object) -> dict:
    return {"Type": "Map", "Items": "{% $states.input %}", "ItemProcessor": processor, "End": True, **more}


class Unsteady:
    """Fails for the items named until it is mended; remembers every call."""

    def __init__(self, *broken: object) -> None:
        self.broken = set(broken)
        self.calls: list[object] = []

    def __call__(self, arguments: object) -> object:
        self.calls.append(arguments)
        if arguments in self.broken:
            raise ValueError(arguments)
        return arguments


def test_redrive_of_a_map_keeps_what_succeeded() -> None:
    work = Unsteady(3)
    run = VirtualRun(machine(M=mapped(flow(T=task("work")))), {"work": work}).run([1, 2, 3, 4])
    assert (run.status, run.error) == ("FAILED", "ValueError")
    work.broken.clear()
    work.calls.clear()
    run.take(events.RedriveRequested())
    run.go_on()
    assert (run.status, run.output) == ("SUCCEEDED", [1, 2, 3, 4])
    assert 1 not in work.calls
    assert 2 not in work.calls
    assert run.event_types.count("ExecutionRedriven") == 1
    assert run.event_types.count("MapStateEntered") == 1


def test_redrive_of_a_task_schedules_it_again_without_entering_it_again() -> None:
    work = Unsteady("x")
    run = VirtualRun(machine(T=task("work")), {"work": work}).run("x")
    assert run.status == "FAILED"
    work.broken.clear()
    given = run.take(events.RedriveRequested())
    assert [(command.token, command.attempt) for command in given] == [("1-2", 1)]
    run.go_on()
    assert run.status == "SUCCEEDED"
    assert run.event_types.count("TaskStateEntered") == 1
    assert run.event_types.count("TaskScheduled") == 2


def test_redrive_of_a_parallel_inside_a_parallel() -> None:
    work = Unsteady("x")
    inner = {"Type": "Parallel", "End": True, "Branches": [flow(A=task("work")), flow(B={"Type": "Pass", "End": True})]}
    outer = {"Type": "Parallel", "End": True, "Branches": [flow(I=inner), flow(C=task("other"))]}
    other = Unsteady()
    run = VirtualRun(machine(P=outer), {"work": work, "other": other}).run("x")
    assert run.status == "FAILED"
    work.broken.clear()
    run.take(events.RedriveRequested())
    run.go_on()
    assert (run.status, run.output) == ("SUCCEEDED", [["x", "x"], "x"])


def test_redriven_run_counts_in_the_context_object() -> None:
    work = Unsteady("x")
    last = {"Type": "Pass", "Output": "{% $states.context.Execution.RedriveCount %}", "End": True}
    first = {"Type": "Task", "Resource": WORK + "work", "Next": "L"}
    run = VirtualRun(machine(T=first, L=last), {"work": work}).run("x")
    work.broken.clear()
    run.take(events.RedriveRequested())
    run.go_on()
    assert run.output == 1


def test_stop_cancels_everything_in_flight() -> None:
    run = VirtualRun(machine(M=mapped(flow(T=task("work")))), {"work": Unsteady()})
    run.start([1, 2, 3])
    given = run.take(events.StopRequested(error="Enough", cause="asked to"))
    assert sum(isinstance(command, commands.CancelTask) for command in given) == 3
    assert given[-1] == commands.FinishRun(status="ABORTED", error="Enough", cause="asked to")
    assert run.event_types[-1] == "ExecutionAborted"
    assert list(run.state.pending()) == []
    run.go_on()
    assert run.status == "ABORTED"


def test_pause_holds_new_tasks_and_records_what_runs() -> None:
    first = {"Type": "Task", "Resource": WORK + "work", "Next": "B"}
    run = VirtualRun(machine(A=first, B=task("work")), {"work": Unsteady()})
    run.start(1)
    run.take(events.PauseRequested())
    run.go_on()
    assert run.status == "PAUSED"
    assert list(run.state.pending()) == []
    given = run.take(events.ResumeRequested())
    assert [type(command) for command in given] == [commands.StartTask]
    run.go_on()
    assert (run.status, run.output) == ("SUCCEEDED", 1)


def test_late_and_repeated_outcomes_change_nothing() -> None:
    run = VirtualRun(machine(A={"Type": "Task", "Resource": WORK + "work", "Next": "B"}, B=task("work")))
    run.tasks["work"] = Unsteady()
    run.start(1)
    run.step()
    before = run.state.output, len(run.history)
    for token in ("1-1", "1-9", "9-1", "x", "", "-", "1"):
        assert run.take(events.TaskSucceeded(token=token, output="late")) == []
    assert run.take(events.TimerFired(timer=99)) == []
    assert (run.state.output, len(run.history)) == before


def test_run_timeout() -> None:
    document = load({**flow(W={"Type": "Wait", "Seconds": 100, "End": True}), "TimeoutSeconds": 10})
    run = VirtualRun(document).run({})
    assert (run.status, run.error, run.event_types[-1]) == ("TIMED_OUT", "States.Timeout", "ExecutionTimedOut")
