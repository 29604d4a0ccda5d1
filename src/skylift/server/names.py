"""Names and ARNs of the protocol: what may be a name, and what an ARN says."""

from __future__ import annotations

import re
import unicodedata

import msgspec

from skylift.server.caller import Caller
from skylift.server.errors import ApiError

STATE_MACHINE, EXECUTION, EXPRESS, ACTIVITY, MAP_RUN = "stateMachine", "execution", "express", "activity", "mapRun"
"""Types of resource, as ARNs spell them."""

_PARTITION = re.compile(r"aws(-[a-z]+)*")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_ACCOUNT = re.compile(r"\d{12}")
_ROLE = re.compile(r"arn:aws(-[a-z]+)*:iam::\d{12}:role/.+")
_FORBIDDEN = frozenset(' <>{}[]?*"#%\\^|~`$&,;:/')
_UNPRINTABLE = ("Cc", "Cs", "Cn", "Zs", "Zl", "Zp")
"""Unicode categories: control characters, surrogates, no characters at all, white space."""


class Arn(msgspec.Struct, frozen=True, kw_only=True):
    """An ARN of ours, taken apart."""

    text: str
    region: str
    account: str
    kind: str
    """Type of the resource."""
    name: str
    """Of the state machine, the activity, or the state machine of the execution; without label."""
    label: str | None = None
    """Of a Distributed Map state, where the ARN is `…:NAME/LABEL`."""
    rest: tuple[str, ...] = ()
    """What follows the name: a version's number or an alias, an execution's name."""

    @property
    def machine(self) -> str:
        """The ARN of the state machine that it belongs to."""
        head, _, _ = self.text.partition(f":{self.kind}:")
        return f"{head}:{STATE_MACHINE}:{self.name}"

    @property
    def qualifier(self) -> str | None:
        """A version's number or an alias's name."""
        return self.rest[0] if self.kind == STATE_MACHINE and self.rest else None


def read_arn(text: str, *kinds: str) -> Arn:
    """Raises InvalidArn for what is no ARN of Step Functions, or of none of these types."""
    if not text.startswith("arn:"):
        raise invalid_arn(f"Invalid ARN prefix: {text}")
    parts = text.split(":")
    if len(parts) < 7 or not _is_head(*parts[1:5]):
        raise invalid_arn(text)
    kind, rest = parts[5], tuple(parts[7:])
    if kind not in kinds:
        raise invalid_arn(f"Resource type not valid in this context: {kind}")
    name, slash, label = parts[6].partition("/")
    if len(rest) > _MOST[kind] or not all(map(is_name, (name, *rest, *([label] if slash else [])))):
        raise invalid_arn(text)
    return Arn(text=text, region=parts[3], account=parts[4], kind=kind, name=name, label=label or None, rest=rest)


def _is_head(partition: str, service: str, region: str, account: str) -> bool:
    return (
        service == "states"
        and _PARTITION.fullmatch(partition) is not None
        and _REGION.fullmatch(region) is not None
        and _ACCOUNT.fullmatch(account) is not None
    )


_MOST = {STATE_MACHINE: 1, EXECUTION: 1, EXPRESS: 2, ACTIVITY: 0, MAP_RUN: 1}
"""Parts of an ARN after the name."""


def machine_arn_of(text: str) -> Arn:
    """The ARN of a state machine, a version or an alias; one with a Map's label is refused as the service does."""
    arn = read_arn(text, STATE_MACHINE)
    if arn.label is not None:
        raise ApiError(
            "ValidationException",
            "This API does not support labeled ARNs",
            details={"reason": "API_DOES_NOT_SUPPORT_LABELED_ARNS"},
        )
    return arn


def make_arn(kind: str, region: str, account: str, name: str) -> str:
    return f"arn:{partition(region)}:states:{region}:{account}:{kind}:{name}"


def own_machine_arn(caller: Caller, name: str) -> str:
    """Of the caller's state machine of this name."""
    return make_arn(STATE_MACHINE, caller.region, caller.account, name)


def read_machine(caller: Caller, text: str) -> str:
    """Of a state machine that is named or given by its ARN, which may be another account's."""
    return text if text.startswith("arn:") else own_machine_arn(caller, text)


def partition(region: str) -> str:
    """The family of regions that a region is of."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def check_name(name: str) -> None:
    """Raises InvalidName for what can be no name of a state machine, an activity or an execution."""
    if not is_name(name):
        raise ApiError("InvalidName", f"Invalid Name: '{name}'")


def is_name(name: str) -> bool:
    if not 1 <= len(name) <= 80:
        return False
    if name.isascii():
        return name.isprintable() and _FORBIDDEN.isdisjoint(name)
    return _FORBIDDEN.isdisjoint(name) and not any(unicodedata.category(char) in _UNPRINTABLE for char in name)


def check_role(arn: str) -> None:
    if not _ROLE.fullmatch(arn):
        raise ApiError("InvalidArn", f"Invalid Role Arn: '{arn}'")


def invalid_arn(detail: str) -> ApiError:
    return ApiError("InvalidArn", f"Invalid Arn: '{detail}'")
