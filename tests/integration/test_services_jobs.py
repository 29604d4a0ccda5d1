"""`.sync` integrations against moto: accepted, watched, ended, stopped, found again after a restart."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_stub import Asked, Reply, http_stub
from moto_server import Aws, unique
from service_calls import STATES, Services, resubmitted, service_call

from skylift.config import Config, ServerSettings, ServiceSettings
from skylift.engine.inputs import StartRun
from skylift.ports.compute import Cancelled, Failed, Succeeded
from skylift.runtime import Runtime

_ROLE = "arn:aws:iam::123456789012:role/worker"


@pytest.fixture(scope="module")
def services(aws: Aws) -> Iterator[Services]:
    found = Services(ServiceSettings(endpoint_url=aws.url))
    yield found
    found.backend.close()


def _post(url: str, body: Any) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=60).close()


def _slow(aws: Aws, model: str, looks: int) -> None:
    """Jobs of this kind take so many looks to go on by one state."""
    transition = {"progression": "manual", "times": looks}
    _post(f"{aws.url}/moto-api/state-manager/set-transition", {"model_name": model, "transition": transition})


# -- AWS Batch ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def queue(aws: Aws) -> str:
    _post(f"{aws.url}/moto-api/config", {"batch": {"use_docker": False}})
    name = unique("batch")
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    batch = aws.client("batch")
    environment = batch.create_compute_environment(
        computeEnvironmentName=name, type="UNMANAGED", state="ENABLED", serviceRole=role
    )["computeEnvironmentArn"]
    order = [{"order": 1, "computeEnvironment": environment}]
    batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)
    container = {"image": "busybox", "vcpus": 1, "memory": 64, "command": ["true"]}
    batch.register_job_definition(jobDefinitionName="job", type="container", containerProperties=container)
    return name


def test_a_batch_job_is_waited_for(services: Services, queue: str) -> None:
    call = service_call(f"{STATES}batch:submitJob.sync", {"JobName": "a", "JobQueue": queue, "JobDefinition": "job"})
    services.backend.submit([call])
    outcome = services.wait(call)
    submitted = services.submitted[call.token]
    assert submitted["JobName"] == "a" and submitted["SdkHttpMetadata"]["HttpStatusCode"] == 200
    assert isinstance(outcome, Succeeded)
    assert outcome.output["Status"] == "SUCCEEDED"
    assert outcome.output["JobId"] == submitted["JobId"]
    assert "SdkHttpMetadata" not in outcome.output


def test_a_batch_job_is_only_submitted_without_sync(services: Services, queue: str) -> None:
    arguments = {"JobName": "b", "JobQueue": queue, "JobDefinition": "job"}
    outcome = services.ask(f"{STATES}batch:submitJob", arguments)
    assert isinstance(outcome, Succeeded)
    assert set(outcome.output) == {"JobArn", "JobId", "JobName", "SdkHttpMetadata", "SdkResponseMetadata"}


def test_a_batch_job_for_a_queue_that_is_not_there_fails_at_once(services: Services, queue: str) -> None:
    arguments = {"JobName": "c", "JobQueue": "no-queue", "JobDefinition": "job"}
    outcome = services.ask(f"{STATES}batch:submitJob.sync", arguments)
    assert isinstance(outcome, Failed)
    assert outcome.error == "Batch.ClientException"
    assert "(Service: AWSBatch; Status Code: 400; Error Code: ClientException; Request ID: " in outcome.cause


# -- ECS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(aws: Aws) -> str:
    ecs, name = aws.client("ecs"), unique("cluster")
    ecs.create_cluster(clusterName=name)
    container = {"name": "c", "image": "busybox", "cpu": 1, "memory": 64, "essential": True}
    ecs.register_task_definition(
        family="job",
        containerDefinitions=[container],
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
    )
    return name


def _run_task(aws: Aws, cluster: str) -> dict[str, Any]:
    subnet = aws.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    network = {"AwsvpcConfiguration": {"Subnets": [subnet], "SecurityGroups": []}}
    return {"Cluster": cluster, "TaskDefinition": "job", "LaunchType": "FARGATE", "NetworkConfiguration": network}


def test_a_cancelled_container_is_stopped(aws: Aws, services: Services, cluster: str) -> None:
    _slow(aws, "ecs::task", 1_000)
    call = service_call(f"{STATES}ecs:runTask.sync", _run_task(aws, cluster))
    services.backend.submit([call])
    services.until(lambda: call.token in services.submitted)
    task = services.submitted[call.token]["Tasks"][0]
    assert task["StartedBy"] == "AWS Step Functions"
    assert services.backend.poll([call.token]) == {call.token: "running"}
    services.backend.cancel([call.token])
    assert services.wait(call) == Cancelled()
    ecs, stopped = aws.client("ecs"), threading.Event()
    for _ in range(500):
        now = ecs.describe_tasks(cluster=cluster, tasks=[task["TaskArn"]])["tasks"][0]
        if now.get("desiredStatus") == "STOPPED":
            break
        stopped.wait(0.02)
    assert now["desiredStatus"] == "STOPPED"
    assert services.backend.poll([call.token]) == {}


# -- SageMaker ---------------------------------------------------------------------------------------------------------


def _training(name: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        "RoleArn": _ROLE,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }


def test_a_training_job_ends_with_its_description(services: Services) -> None:
    name = unique("train")
    outcome = services.ask(f"{STATES}sagemaker:createTrainingJob.sync", _training(name))
    assert isinstance(outcome, Succeeded)
    assert outcome.output["TrainingJobName"] == name
    assert outcome.output["TrainingJobStatus"] == "Completed"
    assert isinstance(outcome.output["CreationTime"], int), "milliseconds, as the SDK's first version writes times"


def test_a_missing_part_is_told_before_anything_is_sent(services: Services) -> None:
    outcome = services.ask(f"{STATES}sagemaker:createTrainingJob.sync", {"TrainingJobName": "x"})
    assert isinstance(outcome, Failed)
    assert outcome.error == "SageMaker.AmazonSageMakerException"
    assert "Value null at 'outputDataConfig' failed to satisfy constraint: Member must not be null" in outcome.cause


def test_model_and_endpoint_configuration(services: Services) -> None:
    name = unique("model")
    model = {"ModelName": name, "ExecutionRoleArn": _ROLE, "PrimaryContainer": {"Image": "image"}}
    made = services.ask(f"{STATES}sagemaker:createModel", model)
    assert isinstance(made, Succeeded) and made.output["ModelArn"].endswith(name)
    variant = {"VariantName": "v", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.t2.medium"}
    config = {"EndpointConfigName": name, "ProductionVariants": [variant]}
    assert isinstance(services.ask(f"{STATES}sagemaker:createEndpointConfig", config), Succeeded)
    endpoint = services.ask(f"{STATES}sagemaker:createEndpoint", {"EndpointName": name, "EndpointConfigName": name})
    assert isinstance(endpoint, Succeeded) and "EndpointArn" in endpoint.output


# -- What moto cannot be brought to do: a stub plays the service -------------------------------------------------------


class FakeBatch:
    """Jobs whose statuses the test says one by one; the last one stays."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.trouble: list[Reply] = []
        self.submitted: list[dict[str, Any]] = []
        self.terminated: list[dict[str, Any]] = []
        self.looks = 0

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == "/v1/submitjob":
            self.submitted.append(asked.json)
            return Reply(200, {"jobId": "j-1", "jobName": "a", "jobArn": "arn:aws:batch:us-east-1:1:job/j-1"})
        if asked.path == "/v1/terminatejob":
            self.terminated.append(asked.json)
            return Reply(200, {})
        self.looks += 1
        if self.trouble:
            return self.trouble.pop(0)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        job = {"jobId": "j-1", "status": status, "statusReason": "because", "createdAt": 1543274283450}
        return Reply(200, {"jobs": [job] if status else []})


_JOB = {"JobName": "a", "JobQueue": "q", "JobDefinition": "d"}


@pytest.fixture
def batch(aws: Aws) -> Iterator[Any]:
    with http_stub() as stub:
        services = Services(ServiceSettings(endpoint_url=stub.url), threads=2)

        def play(*statuses: str) -> tuple[FakeBatch, Services]:
            fake = FakeBatch(*statuses)
            stub.answer = fake
            return fake, services

        yield play
        services.backend.close()


def test_a_failed_job_fails_the_task_with_its_description(batch: Any) -> None:
    _, services = batch("RUNNABLE", "RUNNING", "FAILED")
    outcome = services.ask(f"{STATES}batch:submitJob.sync", _JOB)
    assert isinstance(outcome, Failed) and outcome.error == "States.TaskFailed"
    assert json.loads(outcome.cause) == {
        "JobId": "j-1",
        "Status": "FAILED",
        "StatusReason": "because",
        "CreatedAt": 1543274283450,
    }


def test_trouble_of_the_service_while_a_job_runs_is_waited_out(batch: Any) -> None:
    fake, services = batch("RUNNING", "SUCCEEDED")
    fake.trouble = [
        Reply(503, {"message": "down"}),
        Reply(429, {"message": "slow down"}, {"x-amzn-errortype": "TooManyRequestsException"}),
        *[Reply(500, {})] * 12,
    ]
    outcome = services.ask(f"{STATES}batch:submitJob.sync", _JOB)
    assert isinstance(outcome, Succeeded) and outcome.output["Status"] == "SUCCEEDED"
    assert fake.looks == 16


def test_a_job_that_the_service_never_knows_ends_the_task(batch: Any) -> None:
    fake, services = batch("")
    outcome = services.ask(f"{STATES}batch:submitJob.sync", _JOB)
    assert isinstance(outcome, Failed) and outcome.error == "States.TaskFailed"
    assert "does not know the job" in outcome.cause and fake.looks > 3


def test_after_a_restart_a_job_is_waited_for_and_not_started_again(batch: Any) -> None:
    fake, services = batch("RUNNING")
    call = service_call(f"{STATES}batch:submitJob.sync", _JOB)
    services.backend.submit([call])
    services.until(lambda: call.token in services.submitted)
    services.backend.close()
    assert call.token not in services.outcomes and not fake.terminated, "closing leaves the job alone"

    again = Services(ServiceSettings(endpoint_url=services.backend._clients.endpoint("batch")))
    fake.statuses = ["RUNNING", "SUCCEEDED"]
    again.backend.submit([resubmitted(call, services.submitted[call.token])])
    outcome = again.wait(call)
    again.backend.close()
    assert isinstance(outcome, Succeeded) and outcome.output["JobId"] == "j-1"
    assert len(fake.submitted) == 1 and call.token not in again.submitted


def test_cancelling_terminates_the_job_and_the_token_may_run_anew(batch: Any) -> None:
    fake, services = batch("RUNNING")
    call = service_call(f"{STATES}batch:submitJob.sync", _JOB)
    services.backend.submit([call, call])
    services.until(lambda: call.token in services.submitted)
    services.backend.sweep(live=[])
    assert services.wait(call) == Cancelled()
    pause = threading.Event()
    while not fake.terminated:
        pause.wait(0.01)
    assert fake.terminated[0]["jobId"] == "j-1"
    del services.submitted[call.token]
    services.backend.submit([call])
    services.until(lambda: call.token in services.submitted)
    assert len(fake.submitted) == 2


def test_thousands_of_jobs_wait_on_few_threads(batch: Any) -> None:
    fake, services = batch("RUNNING")
    first = threading.active_count()
    output = {"JobId": "j-1"}
    calls = [resubmitted(service_call(f"{STATES}batch:submitJob.sync", _JOB), output) for _ in range(2_000)]
    services.backend._pace = type(services.backend._pace)(first_s=60.0)
    services.backend.submit(calls)
    assert len(services.backend.poll([call.token for call in calls])) == 2_000
    assert threading.active_count() - first <= 3
    assert not fake.submitted


def test_an_idempotent_request_carries_a_token_made_of_the_attempt(aws: Aws) -> None:
    with http_stub() as stub:
        stub.answer = lambda asked: Reply(200, {"tasks": [], "failures": [{"arn": "a", "reason": "RESOURCE:MEMORY"}]})
        services = Services(ServiceSettings(endpoint_url=stub.url))
        call = service_call(f"{STATES}ecs:runTask.sync", {"TaskDefinition": "job"}, token="run:7")
        services.backend.submit([call])
        outcome = services.wait(call)
        other = Services(ServiceSettings(endpoint_url=stub.url))
        other.backend.submit([call])
        other.wait(call)
        services.backend.close()
        other.backend.close()
        tokens = {asked.json["clientToken"] for asked in stub.asked}
    assert len(stub.asked) == 2 and len(tokens) == 1
    assert outcome == Failed(
        error="AmazonECS.Unknown", cause='{"Failures":[{"Arn":"a","Reason":"RESOURCE:MEMORY"}],"Tasks":[]}'
    )


def test_a_glue_job_goes_through_its_states(aws: Aws) -> None:
    states = iter(["STARTING", "RUNNING", "STOPPED"])

    def answer(asked: Asked) -> Reply:
        if asked.action == "StartJobRun":
            return Reply(200, {"JobRunId": "jr_1"})
        assert asked.action == "GetJobRun" and asked.json == {"JobName": "job", "RunId": "jr_1"}
        return Reply(200, {"JobRun": {"Id": "jr_1", "JobName": "job", "JobRunState": next(states)}})

    with http_stub() as stub:
        stub.answer = answer
        services = Services(ServiceSettings(endpoint_url=stub.url))
        outcome = services.ask(f"{STATES}glue:startJobRun.sync", {"JobName": "job"})
        services.backend.close()
    cause = '{"Id":"jr_1","JobName":"job","JobRunState":"STOPPED"}'
    assert outcome == Failed(error="States.TaskFailed", cause=cause)


# -- On the engine -----------------------------------------------------------------------------------------------------


def _start(runtime: Runtime, resource: str, arguments: dict[str, Any], account: str = "") -> StartRun:
    state = {"Type": "Task", "Resource": resource, "Parameters": arguments, "End": True}
    document = {"StartAt": "Job", "States": {"Job": state}}
    definition = runtime.journal.put_document(json.dumps(document).encode())
    return StartRun(definition=definition, pipeline="jobs", input={}, account=account)


def test_a_run_goes_on_waiting_for_its_job_in_the_next_engine(aws: Aws, tmp_path: Path) -> None:
    with http_stub() as stub:
        fake = stub.answer = FakeBatch("RUNNING")
        services = ServiceSettings(endpoint_url=stub.url)
        config = Config(project=tmp_path, home=tmp_path / "home", services=services)
        with Runtime(config) as first:
            run_id = first.engine.start(_start(first, f"{STATES}batch:submitJob.sync", _JOB))
            pause = threading.Event()
            while not fake.looks:
                pause.wait(0.02)
        assert not fake.terminated, "the job outlives the engine"
        fake.statuses = ["SUCCEEDED"]
        with Runtime(config) as second:
            second.engine.recover([run_id])
            record = second.engine.wait(run_id, 30)
            history = [event.type for event in second.reader.history(record)]
    assert (record.status, record.output["Status"], len(fake.submitted)) == ("SUCCEEDED", "SUCCEEDED", 1)
    assert history.count("TaskSubmitted") == 1


def test_a_stopped_run_stops_its_job(aws: Aws, tmp_path: Path) -> None:
    with http_stub() as stub:
        fake = stub.answer = FakeBatch("RUNNING")
        services = ServiceSettings(endpoint_url=stub.url)
        with Runtime(Config(project=tmp_path, home=tmp_path / "home", services=services)) as runtime:
            run_id = runtime.engine.start(_start(runtime, f"{STATES}batch:submitJob.sync", _JOB))
            pause = threading.Event()
            while not fake.looks:
                pause.wait(0.02)
            runtime.engine.stop(run_id)
            assert runtime.engine.wait(run_id, 30).status == "ABORTED"
            while not fake.terminated:
                pause.wait(0.02)
    assert fake.terminated[0]["jobId"] == "j-1"


def test_a_run_of_an_account_calls_nothing_that_is_not_allowed(aws: Aws, tmp_path: Path) -> None:
    services = ServiceSettings(endpoint_url=aws.url)
    server = ServerSettings(allow_services=("batch:describe*",))
    with Runtime(Config(project=tmp_path, home=tmp_path / "home", services=services, server=server)) as runtime:
        start = _start(runtime, f"{STATES}batch:submitJob.sync", _JOB, account="123456789012")
        record = runtime.engine.execute(start, 30)
    assert (record.status, record.error) == ("FAILED", "States.Permissions")
    assert "allow_services" in (record.cause or "")
