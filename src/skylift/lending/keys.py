"""Which keys a worker signs with: those for a Skylift server, or the credentials of this machine for AWS."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Mapping

from skylift.errors import SetupError
from skylift.lending.api import ActivityApi, Away, Keys
from skylift.remote.keys import DEFAULT_REGION, PAIRS

_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")


def server_api(url: str, environ: Mapping[str, str] = os.environ) -> ActivityApi:
    """Of a Skylift server: a key from the environment, or none where the server wants none."""
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    keys = environment_keys(environ)
    return ActivityApi(url, region, lambda: keys)


def aws_api(region: str, environ: Mapping[str, str] = os.environ) -> ActivityApi:
    """Of AWS itself, in a region; AWS_ENDPOINT_URL_SFN and AWS_ENDPOINT_URL name another place for it."""
    if not _REGION.fullmatch(region):
        raise SetupError(f"{region!r} is no region of AWS", hint="use one like eu-central-1")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = environ.get("AWS_ENDPOINT_URL_SFN") or environ.get("AWS_ENDPOINT_URL") or f"https://states.{region}.{suffix}"
    return ActivityApi(url, region, _aws_keys(environ))


def environment_keys(environ: Mapping[str, str]) -> Keys | None:
    """Raises SetupError where one of a pair is missing."""
    for pair in PAIRS:
        key, secret = (environ.get(name) for name in pair)
        if key and secret:
            return Keys(key_id=key, secret=secret)
        if key or secret:
            there, lacking = pair if key else reversed(pair)
            raise SetupError(f"{there} is set but {lacking} is not", code="KEY")
    return None


def _aws_keys(environ: Mapping[str, str]) -> Callable[[], Keys]:
    """Those of the environment, else with botocore those of profiles, containers and instances, which it renews."""
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        keys = Keys(key_id=key, secret=secret, token=environ.get("AWS_SESSION_TOKEN"))
        return lambda: keys
    return _botocore_keys()


def _botocore_keys() -> Callable[[], Keys]:
    if importlib.util.find_spec("botocore") is None:
        raise SetupError(
            "there are no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and nothing that finds other credentials",
            hint="set them, or pip install 'skylift[aws]' for profiles and the roles of instances",
            code="KEY",
        )
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    try:
        found = Session().get_credentials()
    except BotoCoreError as problem:  # a profile that there is not, half of a pair, a file that is none
        raise SetupError(
            f"AWS credentials cannot be found: {problem}", hint="see `aws configure`", code="KEY"
        ) from None
    if found is None:
        raise SetupError("AWS credentials are nowhere to be found", hint="see `aws configure`", code="KEY")

    def renewed() -> Keys:
        """What gives them may be away for a while, or wait for somebody to log in again."""
        try:
            now = found.get_frozen_credentials()
        except (BotoCoreError, ClientError, RuntimeError) as problem:  # the last: renewed, and over already
            raise Away(f"the AWS credentials cannot be renewed: {problem}") from problem
        return Keys(key_id=now.access_key, secret=now.secret_key, token=now.token)

    return renewed
