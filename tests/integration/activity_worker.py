"""A worker of an activity, with nothing but boto3: `python activity_worker.py URL ACTIVITY TASKS`."""

import json
import sys

import boto3
import botocore.config


def main(url: str, activity: str, tasks: str) -> None:
    client = boto3.client(
        "stepfunctions",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(read_timeout=70, retries={"total_max_attempts": 1}),
    )
    done = 0
    while done < int(tasks):
        task = client.get_activity_task(activityArn=activity, workerName="apart")
        if not task.get("taskToken"):
            continue
        given = json.loads(task["input"])
        client.send_task_heartbeat(taskToken=task["taskToken"])
        if given["n"] % 5 == 4:
            client.send_task_failure(taskToken=task["taskToken"], error="Four", cause=str(given["n"]))
        else:
            client.send_task_success(taskToken=task["taskToken"], output=json.dumps({"squared": given["n"] ** 2}))
        done += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
