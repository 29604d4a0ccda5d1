"""The requests of every action: their members, which of them are required, and what their values must satisfy."""

from __future__ import annotations

from skylift.server.stepfunctions.wire import Items, Members, Number, Text, Truth

NAME = Text(least=1, most=80)
TAG_KEY = Text(least=1, most=128)
TAG_VALUE = Text(least=0, most=256)
TAG = Members(name="Tag", of={"key": TAG_KEY, "value": TAG_VALUE})
TAG_LIST = Items(of=TAG)
KMS_KEY_ID = Text(least=1, most=2_048)
KMS_DATA_KEY_REUSE_PERIOD_SECONDS = Number(least=60, most=900)
ENCRYPTION_TYPE = Text(
    choices=(
        "AWS_OWNED_KEY",
        "CUSTOMER_MANAGED_KMS_KEY",
    )
)
ENCRYPTION_CONFIGURATION = Members(
    name="EncryptionConfiguration",
    of={
        "kmsKeyId": KMS_KEY_ID,
        "kmsDataKeyReusePeriodSeconds": KMS_DATA_KEY_REUSE_PERIOD_SECONDS,
        "type": ENCRYPTION_TYPE,
    },
    required=("type",),
)
DEFINITION = Text(least=1, most=1_048_576, sensitive=True)
ARN = Text(least=1, most=256)
STATE_MACHINE_TYPE = Text(
    choices=(
        "STANDARD",
        "EXPRESS",
    )
)
LOG_LEVEL = Text(
    choices=(
        "ALL",
        "ERROR",
        "FATAL",
        "OFF",
    )
)
INCLUDE_EXECUTION_DATA = Truth()
CLOUD_WATCH_LOGS_LOG_GROUP = Members(name="CloudWatchLogsLogGroup", of={"logGroupArn": ARN})
LOG_DESTINATION = Members(name="LogDestination", of={"cloudWatchLogsLogGroup": CLOUD_WATCH_LOGS_LOG_GROUP})
LOG_DESTINATION_LIST = Items(of=LOG_DESTINATION)
LOGGING_CONFIGURATION = Members(
    name="LoggingConfiguration",
    of={"level": LOG_LEVEL, "includeExecutionData": INCLUDE_EXECUTION_DATA, "destinations": LOG_DESTINATION_LIST},
)
ENABLED = Truth()
TRACING_CONFIGURATION = Members(name="TracingConfiguration", of={"enabled": ENABLED})
PUBLISH = Truth()
VERSION_DESCRIPTION = Text(most=256, sensitive=True)
ALIAS_DESCRIPTION = Text(most=256, sensitive=True)
CHARACTER_RESTRICTED_NAME = Text(least=1, most=80, pattern=r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$")
VERSION_WEIGHT = Number(least=0, most=100)
ROUTING_CONFIGURATION_LIST_ITEM = Members(
    name="RoutingConfigurationListItem",
    of={"stateMachineVersionArn": ARN, "weight": VERSION_WEIGHT},
    required=(
        "stateMachineVersionArn",
        "weight",
    ),
)
ROUTING_CONFIGURATION_LIST = Items(of=ROUTING_CONFIGURATION_LIST_ITEM, least=1, most=2)
LONG_ARN = Text(least=1, most=2_000)
INCLUDED_DATA = Text(
    choices=(
        "ALL_DATA",
        "METADATA_ONLY",
    )
)
PAGE_SIZE = Number(least=0, most=1000)
REVERSE_ORDER = Truth()
PAGE_TOKEN = Text(least=1, most=1_024)
INCLUDE_EXECUTION_DATA_GET_EXECUTION_HISTORY = Truth()
EXECUTION_STATUS = Text(
    choices=(
        "RUNNING",
        "SUCCEEDED",
        "FAILED",
        "TIMED_OUT",
        "ABORTED",
        "PENDING_REDRIVE",
    )
)
LIST_EXECUTIONS_PAGE_TOKEN = Text(least=1, most=3_096)
EXECUTION_REDRIVE_FILTER = Text(
    choices=(
        "REDRIVEN",
        "NOT_REDRIVEN",
    )
)
REVISION_ID = Text()
CLIENT_TOKEN = Text(least=1, most=64, pattern=r"[!-~]+")
TASK_TOKEN = Text(least=1, most=2_048, sensitive=True)
SENSITIVE_ERROR = Text(least=0, most=256, sensitive=True)
SENSITIVE_CAUSE = Text(least=0, most=32_768, sensitive=True)
SENSITIVE_DATA = Text(most=262_144, sensitive=True)
TRACE_HEADER = Text(least=0, most=256, pattern=r"\p{ASCII}*")
INSPECTION_LEVEL = Text(
    choices=(
        "INFO",
        "DEBUG",
        "TRACE",
    )
)
REVEAL_SECRETS = Truth()
TEST_STATE_STATE_NAME = Text(least=1, most=80, sensitive=True)
MOCK_ERROR_OUTPUT = Members(name="MockErrorOutput", of={"error": SENSITIVE_ERROR, "cause": SENSITIVE_CAUSE})
MOCK_RESPONSE_VALIDATION_MODE = Text(
    choices=(
        "STRICT",
        "PRESENT",
        "NONE",
    )
)
MOCK_INPUT = Members(
    name="MockInput",
    of={
        "result": SENSITIVE_DATA,
        "errorOutput": MOCK_ERROR_OUTPUT,
        "fieldValidationMode": MOCK_RESPONSE_VALIDATION_MODE,
    },
)
RETRIER_RETRY_COUNT = Number(least=0)
MAP_ITERATION_FAILURE_COUNT = Number(least=0)
TEST_STATE_CONFIGURATION = Members(
    name="TestStateConfiguration",
    of={
        "retrierRetryCount": RETRIER_RETRY_COUNT,
        "errorCausedByState": TEST_STATE_STATE_NAME,
        "mapIterationFailureCount": MAP_ITERATION_FAILURE_COUNT,
        "mapItemReaderData": SENSITIVE_DATA,
    },
)
TAG_KEY_LIST = Items(of=TAG_KEY)
MAX_CONCURRENCY = Number(least=0)
TOLERATED_FAILURE_PERCENTAGE = Number(least=0, most=100, whole=False)
TOLERATED_FAILURE_COUNT = Number(least=0)
VALIDATE_STATE_MACHINE_DEFINITION_SEVERITY = Text(
    choices=(
        "ERROR",
        "WARNING",
    )
)
VALIDATE_STATE_MACHINE_DEFINITION_MAX_RESULT = Number(least=0, most=100)

REQUESTS = {
    "CreateActivity": Members(
        name="CreateActivityInput",
        of={"name": NAME, "tags": TAG_LIST, "encryptionConfiguration": ENCRYPTION_CONFIGURATION},
        required=("name",),
    ),
    "CreateStateMachine": Members(
        name="CreateStateMachineInput",
        of={
            "name": NAME,
            "definition": DEFINITION,
            "roleArn": ARN,
            "type": STATE_MACHINE_TYPE,
            "loggingConfiguration": LOGGING_CONFIGURATION,
            "tags": TAG_LIST,
            "tracingConfiguration": TRACING_CONFIGURATION,
            "publish": PUBLISH,
            "versionDescription": VERSION_DESCRIPTION,
            "encryptionConfiguration": ENCRYPTION_CONFIGURATION,
        },
        required=(
            "name",
            "definition",
            "roleArn",
        ),
    ),
    "CreateStateMachineAlias": Members(
        name="CreateStateMachineAliasInput",
        of={
            "description": ALIAS_DESCRIPTION,
            "name": CHARACTER_RESTRICTED_NAME,
            "routingConfiguration": ROUTING_CONFIGURATION_LIST,
        },
        required=(
            "name",
            "routingConfiguration",
        ),
    ),
    "DeleteActivity": Members(name="DeleteActivityInput", of={"activityArn": ARN}, required=("activityArn",)),
    "DeleteStateMachine": Members(
        name="DeleteStateMachineInput", of={"stateMachineArn": ARN}, required=("stateMachineArn",)
    ),
    "DeleteStateMachineAlias": Members(
        name="DeleteStateMachineAliasInput", of={"stateMachineAliasArn": ARN}, required=("stateMachineAliasArn",)
    ),
    "DeleteStateMachineVersion": Members(
        name="DeleteStateMachineVersionInput",
        of={"stateMachineVersionArn": LONG_ARN},
        required=("stateMachineVersionArn",),
    ),
    "DescribeActivity": Members(name="DescribeActivityInput", of={"activityArn": ARN}, required=("activityArn",)),
    "DescribeExecution": Members(
        name="DescribeExecutionInput",
        of={"executionArn": ARN, "includedData": INCLUDED_DATA},
        required=("executionArn",),
    ),
    "DescribeMapRun": Members(name="DescribeMapRunInput", of={"mapRunArn": LONG_ARN}, required=("mapRunArn",)),
    "DescribeStateMachine": Members(
        name="DescribeStateMachineInput",
        of={"stateMachineArn": ARN, "includedData": INCLUDED_DATA},
        required=("stateMachineArn",),
    ),
    "DescribeStateMachineAlias": Members(
        name="DescribeStateMachineAliasInput", of={"stateMachineAliasArn": ARN}, required=("stateMachineAliasArn",)
    ),
    "DescribeStateMachineForExecution": Members(
        name="DescribeStateMachineForExecutionInput",
        of={"executionArn": ARN, "includedData": INCLUDED_DATA},
        required=("executionArn",),
    ),
    "GetActivityTask": Members(
        name="GetActivityTaskInput", of={"activityArn": ARN, "workerName": NAME}, required=("activityArn",)
    ),
    "GetExecutionHistory": Members(
        name="GetExecutionHistoryInput",
        of={
            "executionArn": ARN,
            "maxResults": PAGE_SIZE,
            "reverseOrder": REVERSE_ORDER,
            "nextToken": PAGE_TOKEN,
            "includeExecutionData": INCLUDE_EXECUTION_DATA_GET_EXECUTION_HISTORY,
        },
        required=("executionArn",),
    ),
    "ListActivities": Members(name="ListActivitiesInput", of={"maxResults": PAGE_SIZE, "nextToken": PAGE_TOKEN}),
    "ListExecutions": Members(
        name="ListExecutionsInput",
        of={
            "stateMachineArn": ARN,
            "statusFilter": EXECUTION_STATUS,
            "maxResults": PAGE_SIZE,
            "nextToken": LIST_EXECUTIONS_PAGE_TOKEN,
            "mapRunArn": LONG_ARN,
            "redriveFilter": EXECUTION_REDRIVE_FILTER,
        },
    ),
    "ListMapRuns": Members(
        name="ListMapRunsInput",
        of={"executionArn": ARN, "maxResults": PAGE_SIZE, "nextToken": PAGE_TOKEN},
        required=("executionArn",),
    ),
    "ListStateMachineAliases": Members(
        name="ListStateMachineAliasesInput",
        of={"stateMachineArn": ARN, "nextToken": PAGE_TOKEN, "maxResults": PAGE_SIZE},
        required=("stateMachineArn",),
    ),
    "ListStateMachineVersions": Members(
        name="ListStateMachineVersionsInput",
        of={"stateMachineArn": ARN, "nextToken": PAGE_TOKEN, "maxResults": PAGE_SIZE},
        required=("stateMachineArn",),
    ),
    "ListStateMachines": Members(name="ListStateMachinesInput", of={"maxResults": PAGE_SIZE, "nextToken": PAGE_TOKEN}),
    "ListTagsForResource": Members(name="ListTagsForResourceInput", of={"resourceArn": ARN}, required=("resourceArn",)),
    "PublishStateMachineVersion": Members(
        name="PublishStateMachineVersionInput",
        of={"stateMachineArn": ARN, "revisionId": REVISION_ID, "description": VERSION_DESCRIPTION},
        required=("stateMachineArn",),
    ),
    "RedriveExecution": Members(
        name="RedriveExecutionInput", of={"executionArn": ARN, "clientToken": CLIENT_TOKEN}, required=("executionArn",)
    ),
    "SendTaskFailure": Members(
        name="SendTaskFailureInput",
        of={"taskToken": TASK_TOKEN, "error": SENSITIVE_ERROR, "cause": SENSITIVE_CAUSE},
        required=("taskToken",),
    ),
    "SendTaskHeartbeat": Members(name="SendTaskHeartbeatInput", of={"taskToken": TASK_TOKEN}, required=("taskToken",)),
    "SendTaskSuccess": Members(
        name="SendTaskSuccessInput",
        of={"taskToken": TASK_TOKEN, "output": SENSITIVE_DATA},
        required=(
            "taskToken",
            "output",
        ),
    ),
    "StartExecution": Members(
        name="StartExecutionInput",
        of={"stateMachineArn": ARN, "name": NAME, "input": SENSITIVE_DATA, "traceHeader": TRACE_HEADER},
        required=("stateMachineArn",),
    ),
    "StartSyncExecution": Members(
        name="StartSyncExecutionInput",
        of={
            "stateMachineArn": ARN,
            "name": NAME,
            "input": SENSITIVE_DATA,
            "traceHeader": TRACE_HEADER,
            "includedData": INCLUDED_DATA,
        },
        required=("stateMachineArn",),
    ),
    "StopExecution": Members(
        name="StopExecutionInput",
        of={"executionArn": ARN, "error": SENSITIVE_ERROR, "cause": SENSITIVE_CAUSE},
        required=("executionArn",),
    ),
    "TagResource": Members(
        name="TagResourceInput",
        of={"resourceArn": ARN, "tags": TAG_LIST},
        required=(
            "resourceArn",
            "tags",
        ),
    ),
    "TestState": Members(
        name="TestStateInput",
        of={
            "definition": DEFINITION,
            "roleArn": ARN,
            "input": SENSITIVE_DATA,
            "inspectionLevel": INSPECTION_LEVEL,
            "revealSecrets": REVEAL_SECRETS,
            "variables": SENSITIVE_DATA,
            "stateName": TEST_STATE_STATE_NAME,
            "mock": MOCK_INPUT,
            "context": SENSITIVE_DATA,
            "stateConfiguration": TEST_STATE_CONFIGURATION,
        },
        required=("definition",),
    ),
    "UntagResource": Members(
        name="UntagResourceInput",
        of={"resourceArn": ARN, "tagKeys": TAG_KEY_LIST},
        required=(
            "resourceArn",
            "tagKeys",
        ),
    ),
    "UpdateMapRun": Members(
        name="UpdateMapRunInput",
        of={
            "mapRunArn": LONG_ARN,
            "maxConcurrency": MAX_CONCURRENCY,
            "toleratedFailurePercentage": TOLERATED_FAILURE_PERCENTAGE,
            "toleratedFailureCount": TOLERATED_FAILURE_COUNT,
        },
        required=("mapRunArn",),
    ),
    "UpdateStateMachine": Members(
        name="UpdateStateMachineInput",
        of={
            "stateMachineArn": ARN,
            "definition": DEFINITION,
            "roleArn": ARN,
            "loggingConfiguration": LOGGING_CONFIGURATION,
            "tracingConfiguration": TRACING_CONFIGURATION,
            "publish": PUBLISH,
            "versionDescription": VERSION_DESCRIPTION,
            "encryptionConfiguration": ENCRYPTION_CONFIGURATION,
        },
        required=("stateMachineArn",),
    ),
    "UpdateStateMachineAlias": Members(
        name="UpdateStateMachineAliasInput",
        of={
            "stateMachineAliasArn": ARN,
            "description": ALIAS_DESCRIPTION,
            "routingConfiguration": ROUTING_CONFIGURATION_LIST,
        },
        required=("stateMachineAliasArn",),
    ),
    "ValidateStateMachineDefinition": Members(
        name="ValidateStateMachineDefinitionInput",
        of={
            "definition": DEFINITION,
            "type": STATE_MACHINE_TYPE,
            "severity": VALIDATE_STATE_MACHINE_DEFINITION_SEVERITY,
            "maxResults": VALIDATE_STATE_MACHINE_DEFINITION_MAX_RESULT,
        },
        required=("definition",),
    ),
}
"""By action."""
