"""Which services Step Functions knows by which name, and what its optimized integrations can do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from skylift.compute.services.dialect import Dialect
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.resource import Target

_RENAMED = {
    "applicationdiscovery": "discovery",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "costandusagereport": "cur",
    "costexplorer": "ce",
    "databasemigration": "dms",
    "directory": "ds",
    "directoryservicedata": "ds-data",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "elasticsearch": "es",
    "eventbridge": "events",
    "iotdataplane": "iot-data",
    "iotjobsdataplane": "iot-jobs-data",
    "lexmodelbuilding": "lex-models",
    "lexmodelsv2": "lexv2-models",
    "lexruntimev2": "lexv2-runtime",
    "marketplacemetering": "meteringmarketplace",
    "migrationhub": "mgh",
    "pinpointsmsvoice": "sms-voice",
    "serverlessapplicationrepository": "serverlessrepo",
    "sfn": "stepfunctions",
    "simpledb": "sdb",
}
"""Where the name in an ARN is not the one boto3 uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimized:
    """An optimized integration: its actions, and its words."""

    boto: str
    actions: frozenset[str]
    sync: frozenset[str] = frozenset()
    dialect: Dialect


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _optimized(boto: str, prefix: str, product: str, actions: str, sync: str = "") -> Optimized:
    base = "AmazonDynamoDB" if product == "AmazonDynamoDBv2" else product
    dialect = Dialect(prefix=prefix, service=product, base=f"{base}Exception", first=True)
    return Optimized(boto=boto, actions=_words(actions), sync=_words(sync), dialect=dialect)


OPTIMIZED: dict[str, Optimized] = {
    "athena": _optimized(
        "athena", "Athena", "AmazonAthena",
        "startQueryExecution stopQueryExecution getQueryExecution getQueryResults", "startQueryExecution",
    ),
    "batch": _optimized("batch", "Batch", "AWSBatch", "submitJob", "submitJob"),
    "codebuild": _optimized(
        "codebuild", "CodeBuild", "AWSCodeBuild", "startBuild stopBuild batchDeleteBuilds batchGetReports", "startBuild"
    ),
    "dynamodb": _optimized(
        "dynamodb", "DynamoDB", "AmazonDynamoDBv2", "getItem putItem updateItem deleteItem"
    ),
    "ecs": _optimized("ecs", "ECS", "AmazonECS", "runTask", "runTask"),
    "events": _optimized("events", "EventBridge", "AmazonEventBridge", "putEvents"),
    "glue": _optimized("glue", "Glue", "AWSGlue", "startJobRun", "startJobRun"),
    "lambda": _optimized("lambda", "Lambda", "AWSLambda", "invoke"),
    "sagemaker": _optimized(
        "sagemaker", "SageMaker", "AmazonSageMaker",
        "createEndpoint createEndpointConfig createHyperParameterTuningJob createLabelingJob createModel "
        "createProcessingJob createTrainingJob createTransformJob updateEndpoint",
        "createHyperParameterTuningJob createLabelingJob createProcessingJob createTrainingJob createTransformJob",
    ),
    "sns": _optimized("sns", "SNS", "AmazonSNS", "publish"),
    "sqs": _optimized("sqs", "SQS", "AmazonSQS", "sendMessage"),
}  # fmt: skip

SDK_SHAPED = {"s3": _words("getObject putObject headObject listObjectsV2 copyObject deleteObject")}
"""Accepted without `aws-sdk:`, with the results of the SDK integration."""


def optimized(target: Target) -> Optimized:
    """Raises ServiceFailure where there is no such integration."""
    found = OPTIMIZED.get(target.service)
    if found is None or target.action not in found.actions:
        raise ServiceFailure("States.Runtime", f"The resource '{target.arn}' is not a service integration")
    if target.pattern == "sync" and target.action not in found.sync:
        raise ServiceFailure("States.Runtime", f"The resource '{target.arn}': this action cannot be waited for")
    return found


def boto_name(service: str, available: list[str]) -> str | None:
    """boto3's name of a service that Step Functions calls `service`."""
    wanted = service.lower()
    if wanted in _RENAMED:
        return _RENAMED[wanted]
    return next((name for name in available if re.sub(r"[^a-z0-9]", "", name) == wanted), None)
