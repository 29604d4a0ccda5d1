"""What of a server's environment its workers do not inherit: they run the code of accounts."""

from __future__ import annotations

from collections.abc import Collection

_OWN = frozenset(
    {
        "SKYLIFT_MASTER_KEY",
        "SKYLIFT_STORE",
        "SKYLIFT_ACCESS_KEY_ID",
        "SKYLIFT_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "PGPASSFILE",
        "PGSERVICEFILE",
        "PGSSLKEY",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    }
)
_CLOUD = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_PROFILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_CONFIG_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "AZURE_STORAGE_CONNECTION_STRING",
        "AZURE_STORAGE_KEY",
        "AZURE_CLIENT_SECRET",
    }
)


def withheld(artifacts: str, secrets: Collection[str]) -> frozenset[str]:
    """Names of variables. What workers cannot do without is left to them: the cloud's credentials where artifacts lie
    in one or a command gives secrets, and what a secret is said to be read from. `secrets` are sources as workers are
    told them, `env:NAME`."""
    asked = {source.removeprefix("env:") for source in secrets if source.startswith("env:")}
    scheme, found, _ = artifacts.partition("://")
    needs_cloud = (found and scheme != "file") or any(source.startswith("command:") for source in secrets)
    return (_OWN if needs_cloud else _OWN | _CLOUD) - asked
