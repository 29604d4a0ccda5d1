"""A box that is an EC2 instance."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from typing import Any

from skylift.box.box import Box, BoxTrouble, State
from skylift.config.box import BoxSettings
from skylift.errors import SetupError

WAIT_S = 600.0
POLL_S = 3.0
_STATES: dict[str, State] = {
    "pending": "starting",
    "running": "running",
    "stopping": "stopping",
    "shutting-down": "gone",
    "stopped": "stopped",
    "terminated": "gone",
}
_HINTS = {
    "InsufficientInstanceCapacity": "the zone has no such machine now: try again later, or another type",
    "UnauthorizedOperation": "the credentials may not do this: see the policy in the guide of development boxes",
    "AuthFailure": "the credentials are not valid here",
    "InvalidInstanceID.NotFound": "is it another region's? See [box] id and region",
    "InvalidInstanceID.Malformed": "an id is like i-0123456789abcdef0",
    "VcpuLimitExceeded": "ask AWS for a higher quota, or take a smaller type",
}


class Ec2Box:
    """`BoxProvider` over boto3."""

    def __init__(
        self,
        settings: BoxSettings,
        *,
        sleep: Callable[[float], Any] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if (settings.id is None) == (settings.name is None):
            raise BoxTrouble("[box] must say which machine it is", hint="give one of id and name")
        if importlib.util.find_spec("boto3") is None:
            raise SetupError("a box on EC2 needs boto3, which is not installed", hint="pip install 'skylift[aws]'")
        self._settings = settings
        self._sleep, self._clock = sleep, clock
        self._made: Any = None

    def look(self) -> Box:
        if self._settings.id is not None:
            asked: dict[str, Any] = {"InstanceIds": [self._settings.id]}
        else:
            alive = ["pending", "running", "stopping", "stopped"]
            filters = {"tag:Name": [self._settings.name], "instance-state-name": alive}
            asked = {"Filters": [{"Name": name, "Values": values} for name, values in filters.items()]}
        found = self._call("describe_instances", **asked)
        instances = [one for reservation in found["Reservations"] for one in reservation["Instances"]]
        if len(instances) != 1:
            ids = ", ".join(one["InstanceId"] for one in instances) or "none"
            raise BoxTrouble(
                f"one machine must have the name {self._settings.name!r}; there are: {ids}", hint="set [box] id"
            )
        return _box(instances[0])

    def start(self, box: Box) -> None:
        box = self._until(box, lambda now: now.state != "stopping", "to have stopped")
        if box.state == "stopped":
            self._call("start_instances", InstanceIds=[box.id])
        self._until(box, lambda now: now.state == "running", "to run")

    def stop(self, box: Box) -> None:
        box = self._until(box, lambda now: now.state != "starting", "to have started")
        if box.state == "running":
            self._call("stop_instances", InstanceIds=[box.id])
        self._until(box, lambda now: now.state == "stopped", "to stop")

    def resize(self, box: Box, type: str) -> None:
        self._call("modify_instance_attribute", InstanceId=box.id, InstanceType={"Value": type})

    def check_type(self, box: Box, type: str) -> None:
        """Raises BoxTrouble for a type that there is not, or of another processor architecture."""
        known = self._call("describe_instance_types", InstanceTypes=[box.type])["InstanceTypes"]
        wanted = self._call("describe_instance_types", InstanceTypes=[type])["InstanceTypes"]
        has = set(known[0]["ProcessorInfo"]["SupportedArchitectures"]) if known else set()
        can = set(wanted[0]["ProcessorInfo"]["SupportedArchitectures"]) if wanted else set()
        if has and not has & can:
            raise BoxTrouble(
                f"{type} has processors of {'/'.join(sorted(can))}, the box was made for {'/'.join(sorted(has))}",
                hint=f"choose a type of the same architecture as {box.type}",
            )

    def tag(self, box: Box, tags: Mapping[str, str | None]) -> None:
        given = [{"Key": key, "Value": value} for key, value in tags.items() if value is not None]
        gone = [{"Key": key} for key, value in tags.items() if value is None and key in box.tags]
        if given:
            self._call("create_tags", Resources=[box.id], Tags=given)
        if gone:
            self._call("delete_tags", Resources=[box.id], Tags=gone)

    def _until(self, box: Box, is_so: Callable[[Box], bool], what: str) -> Box:
        end = self._clock() + WAIT_S
        while True:
            now = self.look()
            if now.state == "gone":
                raise BoxTrouble(f"the box {now.name} ({now.id}) was terminated meanwhile")
            if is_so(now):
                return now
            if self._clock() > end:
                raise BoxTrouble(f"the box {box.id} is {now.state} after {WAIT_S:g} s, which it took {what}")
            self._sleep(POLL_S)

    def _call(self, name: str, **members: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        try:
            return getattr(self._client(), name)(**members)
        except ClientError as problem:
            error = problem.response.get("Error", {})
            code, message = error.get("Code", "?"), error.get("Message", str(problem))
            raise BoxTrouble(f"EC2 refused {name}: {code}: {message}", hint=_HINTS.get(code)) from problem
        except ResponseParserError as problem:
            raise BoxTrouble(
                "what answers is not EC2", hint="is [box] region one of AWS, and [box] endpoint_url right?"
            ) from problem
        except (BotoCoreError, ValueError) as problem:  # the latter for an address that is none
            raise BoxTrouble(f"EC2 cannot be asked: {problem}", hint="set credentials and [box] region") from problem

    def _client(self) -> Any:
        if self._made is None:
            import boto3

            settings = self._settings
            self._made = boto3.client("ec2", region_name=settings.region, endpoint_url=settings.endpoint_url)
        return self._made


def _box(found: dict[str, Any]) -> Box:
    tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}
    return Box(
        id=found["InstanceId"],
        name=tags.get("Name", found["InstanceId"]),
        state=_STATES.get(found["State"]["Name"], "gone"),
        type=found["InstanceType"],
        launched_ms=int(found["LaunchTime"].timestamp() * 1000),
        address=found.get("PublicIpAddress") or found.get("PrivateIpAddress"),
        tags=tags,
    )
