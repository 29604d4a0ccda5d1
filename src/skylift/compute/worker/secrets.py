"""Secrets: found in the worker, by name, and masked in everything the attempt writes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from skylift.errors import SetupError

_MASKED = "***"
_COMMAND_TIMEOUT_S = 30
GIVEN = "given"
"""Kind of a source whose place is the value itself: for workers that are where its own source is not."""


class SecretMissing(SetupError):
    """A secret that the task names is found nowhere."""

    code = "SECRET-MISSING"


class Mask:
    """Replaces secret values by `***`, also in the forms in which they turn up in logs: escaped as JSON or a Python
    string, quoted for a URL, in base64, and line by line where a value has several lines."""

    __slots__ = ("_bytes", "_text", "longest", "values")

    def __init__(self, values: Sequence[str] = ()) -> None:
        self.values = tuple(value for value in values if value)
        forms = sorted({form for value in self.values for form in _forms(value)}, key=len, reverse=True)
        self._text = re.compile("|".join(map(re.escape, forms))) if forms else None
        encoded = [form.encode("utf-8", "surrogateescape") for form in forms]
        self._bytes = re.compile(b"|".join(map(re.escape, encoded))) if forms else None
        self.longest = max(map(len, encoded), default=0)

    def __call__(self, text: str) -> str:
        return text if self._text is None else self._text.sub(_MASKED, text)

    def of_bytes(self, text: bytes) -> bytes:
        return text if self._bytes is None else self._bytes.sub(_MASKED.encode(), text)


NO_MASK = Mask()


class Secrets:
    """Finds secrets. `sources` names for each where it comes from; see `WorkerConfig.secrets`."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = dict(sources)

    def find(self, name: str) -> str:
        source = self._sources.get(name)
        value = _search(name) if source is None else _from(name, source)
        if value is None:
            where = (
                "not in the environment, not in SKYLIFT_SECRETS_DIR, not in the keyring" if source is None else source
            )
            raise SecretMissing(
                f"secret {name} was not found ({where})",
                hint=f"set the environment variable {name}, or name its source under [secrets] in skylift.toml",
            )
        return value


def _search(name: str) -> str | None:
    value = os.environ.get(name)
    if value is None:
        folder = os.environ.get("SKYLIFT_SECRETS_DIR")
        value = _from_file(Path(folder) / name) if folder else None
    return value if value is not None else _from_keyring("skylift", name)


def _from(name: str, source: str) -> str | None:
    kind, _, place = source.partition(":")
    if kind == GIVEN:
        return place
    if kind == "env":
        return os.environ.get(place or name)
    if kind == "file":
        return _from_file(Path(place).expanduser())
    if kind == "keyring":
        service, _, user = place.partition("/")
        return _from_keyring(service or "skylift", user or name)
    if kind == "command":
        return _from_command(name, place)
    raise SecretMissing(
        f"secret {name} has the source {source!r}, which is of no known kind",
        hint="use env:NAME, file:PATH, keyring:SERVICE/USER or command:COMMAND LINE",
    )


def _from_file(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SecretMissing(f"the secret file {path} cannot be read: {error}") from None


def _from_keyring(service: str, user: str) -> str | None:
    try:
        import keyring  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    try:
        value = keyring.get_password(service, user)
    except Exception as error:  # noqa: BLE001 - keyring backends raise their own classes
        raise SecretMissing(f"the keyring gave no secret {service}/{user}: {error}") from None
    return None if value is None else str(value)


def _from_command(name: str, command: str) -> str:
    import shlex
    import subprocess

    try:
        done = subprocess.run(
            shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise SecretMissing(f"the command for secret {name} did not run: {error}") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-200:]
        raise SecretMissing(f"the command for secret {name} ended with status {done.returncode}: {said}")
    return done.stdout.decode(errors="replace").rstrip("\r\n")


def _forms(value: str) -> set[str]:
    import base64
    import json
    from urllib.parse import quote

    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
    if len(value) >= 6:
        forms |= {quote(value, safe=""), base64.b64encode(value.encode()).decode()}
    forms |= {line.strip() for line in value.splitlines() if len(line.strip()) >= 4}
    return {form for form in forms if form}
