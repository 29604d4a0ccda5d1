"""The failure of a service integration: the error name and cause that the state ends with."""

from __future__ import annotations


class ServiceFailure(Exception):
    """Ends the attempt. `passing` says that asking the service again may well help: it throttled, or broke."""

    def __init__(self, error: str, cause: str, *, passing: bool = False) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.passing = passing


def not_startable(parameters: str, problems: list[str]) -> ServiceFailure:
    """Parameters that cannot become a request: found before anything is sent."""
    shown = parameters if len(parameters) <= 1_000 else parameters[:1_000] + "…"
    return ServiceFailure(
        "States.Runtime", f"The Parameters '{shown}' could not be used to start the Task: [{', '.join(problems)}]"
    )


def refused(what: str, setting: str, value: str) -> ServiceFailure:
    """The administrator of this server has not allowed it."""
    return ServiceFailure(
        "States.Permissions", f"{what} is not allowed on this server: add {value!r} to `{setting}` in [server]"
    )
