"""State machines of an account that ask for more of a bound job than the administrator meant."""

from __future__ import annotations

import msgspec
import pytest

from skylift.asl.commands import StartTask
from skylift.config.jobs import JobBinding
from skylift.engine.calls import LONGEST_KEPT_MS, keep_of
from skylift.engine.jobs import bound_job
from skylift.engine.places import Places
from skylift.engine.router import Router
from skylift.engine.routes import ActivityRoute, Refused, Route, WorkerRoute
from skylift.ports.compute import Offer, Requirements
from skylift.ports.journal import RunRecord
from skylift.ports.tasks import TaskSpec, TaskTable

TENANT = "111122223333"
BATCH, ECS = "arn:aws:states:::batch:submitJob.sync", "arn:aws:states:::ecs:runTask.sync"
TRAINING = "arn:aws:states:::sagemaker:createTrainingJob.sync"
JOBS = {
    "prepare": JobBinding(command=("python", "prepare.py"), env={"API": "https://internal"}, secrets=("TOKEN",)),
    "safe": JobBinding(handler="crunching:main"),
    "boxed": JobBinding(image="trainer:1"),
}
NO_TASKS = TaskTable(bundle=None, tasks={})


class Anything:
    name = "process"

    def offers(self, requirements: Requirements) -> list[Offer]:
        return [Offer(backend="process", instance_type="here", vcpus=8, memory_mib=8192)]


def router(*, may_run: bool = False, places: Places | None = None, usable: tuple[str, ...] = ("*",)) -> Router:
    backends = {"process": Anything(), "container": Anything()}
    return Router(
        backends,  # type: ignore[arg-type]
        jobs=JOBS,
        functions={"hello": TaskSpec(name="hello", target="lib:hello", convention="handler")},
        may_run=lambda account: may_run,
        may_use=lambda backend: "*" in usable or backend in usable,
        places=places,
    )


def record(account: str = TENANT, **attributes: str) -> RunRecord:
    return RunRecord(
        run_id="a" * 16,
        pipeline=f"arn:aws:states:us-east-1:{account}:stateMachine:m",
        definition="0" * 64,
        name="n",
        input_digest="0" * 64,
        account=account,
        attributes=attributes,
        created_ms=0,
    )


def go(where: Router, resource: str, arguments: object, run: RunRecord, table: TaskTable = NO_TASKS) -> Route:
    command = StartTask(
        token="1-1", path=(), resource=resource, arguments=arguments, state="A", attempt=1, scheduled_ms=0
    )
    return where.route(command, run, table, {})


def job(name: str = "prepare", **more: object) -> dict[str, object]:
    return {"JobName": "j", "JobQueue": "q", "JobDefinition": name, **more}


def training(**more: object) -> dict[str, object]:
    return {"TrainingJobName": "t", "AlgorithmSpecification": {"TrainingImage": "boxed"}, **more}


def channel(uri: object) -> dict[str, object]:
    return {"InputDataConfig": [{"ChannelName": "c", "DataSource": {"S3DataSource": {"S3Uri": uri}}}]}


def override(**keys: object) -> dict[str, object]:
    return {"ContainerOverrides": keys}


def variable(name: str) -> dict[str, object]:
    return {"Environment": [{"Name": name, "Value": "x"}]}


@pytest.mark.parametrize(
    ("resource", "arguments"),
    [
        (BATCH, job(**override(Command=["sh", "-c", "id"]))),
        (BATCH, job("boxed", **override(Command=["sh"]))),
        (ECS, {"TaskDefinition": "prepare", "Overrides": {"ContainerOverrides": [{"Command": ["id"]}]}}),
        (TRAINING, training(AlgorithmSpecification={"TrainingImage": "boxed", "ContainerEntrypoint": ["sh"]})),
    ],
)
def test_another_command_is_code_and_needs_that_code_is_allowed(resource: str, arguments: object) -> None:
    refused = go(router(), resource, arguments, record())
    assert isinstance(refused, Refused) and refused.error == "States.Permissions", refused
    assert "allow_code" in refused.cause
    assert isinstance(go(router(may_run=True), resource, arguments, record()), WorkerRoute)
    assert isinstance(go(router(), resource, arguments, record("")), WorkerRoute), "a run of this project"


@pytest.mark.parametrize(
    "name",
    [
        *("LD_PRELOAD", "PATH", "PYTHONPATH", "PYTHONSTARTUP", "BASH_ENV", "ENV", "HTTPS_PROXY", "https_proxy", "HOME"),
        *("GIT_SSH_COMMAND", "NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "AWS_ENDPOINT_URL", "SSL_CERT_FILE", "API", "TOKEN"),
        *("SKYLIFT_JOB_PARAMETERS", "SKYLIFT_IMAGE_COMMAND", "A=B", "", "GLIBC_TUNABLES", "BASH_FUNC_ls%%"),
    ],
)
def test_variables_that_change_what_a_program_does_are_refused(name: str) -> None:
    for resource, arguments in (
        (BATCH, job(**override(**variable(name)))),
        (ECS, {"TaskDefinition": "prepare", "Overrides": {"ContainerOverrides": [variable(name)]}}),
    ):
        refused = go(router(), resource, arguments, record())
        assert isinstance(refused, Refused) and refused.error == "States.Permissions", (name, refused)
    if name not in JOBS["prepare"].env and name not in JOBS["prepare"].secrets:
        assert isinstance(go(router(), TRAINING, training(Environment={name: "x"}), record()), Refused)


def test_parameters_and_harmless_variables_go_through() -> None:
    fine = job(Parameters={"day": "../../etc"}, **override(**variable("STAGE")))
    assert isinstance(go(router(), BATCH, fine, record()), WorkerRoute)
    assert isinstance(go(router(), BATCH, job("safe", **override(Command=["x"])), record()), WorkerRoute)


@pytest.mark.parametrize(
    "uri",
    [
        *("/etc", "etc", "file:///etc", "file:///data/../etc", "http://169.254.169.254/latest", "memory://x", 5),
        *("s3://bucket/key", "simplecache::s3://b/k", "s3://b::file:///etc/passwd", "local:///etc", "github://a:b@/"),
    ],
)
@pytest.mark.parametrize("where", ["channel", "output", "checkpoints"])
def test_places_of_a_training_job_are_those_that_are_allowed(uri: object, where: str) -> None:
    more = {
        "channel": channel(uri),
        "output": {"OutputDataConfig": {"S3OutputPath": uri}},
        "checkpoints": {"CheckpointConfig": {"S3Uri": uri}},
    }[where]
    few = Places(folders=("/data",))
    assert isinstance(go(router(places=few), TRAINING, training(**more), record()), Refused)


def test_places_that_the_administrator_allows_are_open() -> None:
    places = Places(folders=("/data",), services=("s3:*",))
    for uri in ("file:///data/in", "s3://bucket/key"):
        more = {**channel(uri), "OutputDataConfig": {"S3OutputPath": uri}, "CheckpointConfig": {"S3Uri": uri}}
        assert isinstance(go(router(places=places), TRAINING, training(**more), record()), WorkerRoute)
    reads = Places(services=("s3:getObject",))
    assert isinstance(go(router(places=reads), TRAINING, training(**channel("s3://b/k")), record()), WorkerRoute)
    out = training(OutputDataConfig={"S3OutputPath": "s3://b/k"})
    assert isinstance(go(router(places=reads), TRAINING, out, record()), Refused)


def test_a_jobs_name_does_not_lead_out_of_its_place() -> None:
    assert isinstance(go(router(), TRAINING, training(TrainingJobName="../../x"), record()), Refused)


@pytest.mark.parametrize(
    "arguments",
    [
        job(ContainerOverrides="x"),
        job(**override(Environment=["x"])),
        job(**override(ResourceRequirements=[{"Type": "GPU", "Value": "9" * 5000}])),
        job(**override(ResourceRequirements=[{"Type": "GPU", "Value": "²"}])),
        job(**override(ResourceRequirements=[{"Type": "VCPU", "Value": "nan"}])),
        job(**override(ResourceRequirements=[{"Type": "VCPU", "Value": "-1"}])),
        job(**override(ResourceRequirements=[{"Type": "MEMORY", "Value": "-5"}])),
        job(**override(ResourceRequirements=[{"Type": "MEMORY", "Value": "9" * 5000}])),
    ],
)
def test_parameters_that_are_none_fail_the_state_and_nothing_else(arguments: object) -> None:
    refused = go(router(), BATCH, arguments, record())
    assert isinstance(refused, Refused) and refused.error == "States.Runtime", refused


@pytest.mark.parametrize("value", ["x", "", "-1", "1e9", "9" * 400, "²", "\uff11"])
def test_a_time_to_keep_that_is_none_keeps_nothing(value: str) -> None:
    assert keep_of({"keep_on_failure_ms": value}, TENANT) is None


def test_no_account_keeps_a_place_for_years() -> None:
    assert keep_of({"keep_on_failure_ms": "99999999999"}, TENANT) == LONGEST_KEPT_MS
    assert keep_of({"keep_on_failure_ms": "99999999999"}) == 99_999_999_999


def test_an_account_does_not_move_what_the_administrator_has_bound() -> None:
    """Neither out of a container nor, with its variables, to boxes of its own."""
    for chosen in ("process", "container", "activity:mine", "services"):
        found = go(router(), BATCH, job("boxed"), record(on=chosen))
        assert isinstance(found, WorkerRoute) and found.backend == "container", (chosen, found)
        called = go(router(), "arn:aws:lambda:us-east-1:1:function:hello", {}, record(on=chosen))
        assert isinstance(called, WorkerRoute) and called.backend == "process", (chosen, called)
    here = go(router(), BATCH, job("boxed"), record("", on="process"))
    assert isinstance(here, WorkerRoute) and here.backend == "process", "the user of this machine may"


def test_code_of_accounts_runs_on_the_allowed_backends_only() -> None:
    table = TaskTable(bundle="0" * 64, tasks={"t": TaskSpec(name="t", target="m:t")})
    where = router(may_run=True, usable=("container",))
    task = "arn:aws:states:::skylift:t"
    assert isinstance(go(where, task, {}, record(on="container"), table), WorkerRoute)
    for attributes in ({"on": "process"}, {"on.t": "process"}, {}):
        refused = go(where, task, {}, record(**attributes), table)
        assert isinstance(refused, Refused) and "allow_backends" in refused.cause, refused
    lent = go(where, task, {}, record(on="activity:mine"), table)
    assert isinstance(lent, ActivityRoute), "boxes of its own are its own"


@pytest.mark.parametrize(
    "place", ["activity:arn:x", "activity:arn:", "activity:", "activity:a:b:c", "activity:arn:a:b:c"]
)
def test_places_that_are_none_are_refused(place: str) -> None:
    table = TaskTable(bundle="0" * 64, tasks={"t": TaskSpec(name="t", target="m:t")})
    where = Router({}, has_activity=lambda arn: False)
    assert isinstance(go(where, "arn:aws:states:::skylift:t", {}, record(on=place), table), Refused)


def test_bindings_are_found_as_before() -> None:
    found = bound_job(BATCH, job("prepare:3"), JOBS)
    assert found is not None and found.binding == JOBS["prepare"]
    assert msgspec.to_builtins(found.binding)["env"] == {"API": "https://internal"}
