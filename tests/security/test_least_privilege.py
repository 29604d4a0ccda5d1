"""What workers, other users of the machine and readers of logs get to see of a server's secrets."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the server is an extra")

from tenants import MINE, Tenant, issue

from skylift.compute.process.withheld import withheld
from skylift.config import Config
from skylift.server.auth.keys import Keys
from skylift.server.auth.sealing import open_sealer
from skylift.server.caller import Role
from skylift.stores.open import open_store
from skylift.testing.server import running_server

SECRETS = {
    "SKYLIFT_MASTER_KEY": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=",
    "SKYLIFT_STORE": "sqlite:///somewhere",
    "PGPASSWORD": "pgsecret",
    "AWS_ACCESS_KEY_ID": "AKIASERVERSOWN",
    "AWS_SECRET_ACCESS_KEY": "awssecret",
    "AWS_SESSION_TOKEN": "awstoken",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=otelsecret",
}


def test_workers_of_a_server_inherit_none_of_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "privileged.py").write_text("import os\n\n\ndef look():\n    return dict(os.environ)\n")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HARMLESS", "kept")
    store = open_store(None, home=tmp_path)
    key = Keys(store.resources, lambda: open_sealer(tmp_path)).create(account=MINE, role=Role.ADMIN, now_ms=1)
    store.close()
    config = Config(project=tmp_path, home=tmp_path)
    with running_server(tmp_path, config=config, auth="required", allow_code=(MINE,)) as server:
        tenant = Tenant(server.url, key)
        state = {"Type": "Task", "Resource": "arn:aws:states:::skylift:look", "End": True}
        definition = tenant.put_document({"StartAt": "A", "States": {"A": state}})
        tasks = tenant.put_document({"bundle": None, "tasks": {"look": {"name": "look", "target": "privileged:look"}}})
        ended = tenant.run(pipeline="p", definition=definition, tasks=tasks, input={})
    assert ended["status"] == "SUCCEEDED", ended
    assert ended["output"]["HARMLESS"] == "kept"
    assert ended["output"]["PATH"] == os.environ["PATH"]
    assert not SECRETS.keys() & ended["output"].keys()


def test_what_workers_cannot_do_without_is_left_to_them() -> None:
    assert withheld("/home/blobs", []) >= SECRETS.keys()
    assert withheld("file:///blobs", []) >= SECRETS.keys()
    for artifacts, secrets in (("s3://bucket/blobs", []), ("/blobs", ["command:aws ssm get-parameter"])):
        left = SECRETS.keys() - withheld(artifacts, secrets)
        assert left == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert "PGPASSWORD" not in withheld("/blobs", ["env:PGPASSWORD", "file:/x"])


def test_nobody_else_reads_the_home(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        home = tmp_path / "project" / ".skylift"
        config = Config(project=home.parent, home=home)
        with running_server(home, config=config) as server:
            issue(home, MINE)
            assert server.url
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "master.key").stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_a_password_in_the_stores_url_is_told_to_nobody(tmp_path: Path) -> None:
    """Not in errors, not in the log, not where the server announces itself; wrong ones neither."""
    pytest.importorskip("psycopg")
    secret = "hunter2secret"
    for url in (
        f"postgresql://me:{secret}@127.0.0.1:1/db",
        f"postgresql://me:{secret}@nosuchhost.invalid/db",
        f"postgresql://127.0.0.1:1/db?user=me&password={secret}",
        f"postgresql://me:{secret}@127.0.0.1:notaport/db",
        f"postgresql://me:{secret}@127.0.0.1:1/db?nosuch=option",
        f"postgres+nothing://me:{secret}@127.0.0.1:1/db",
        f"me:{secret}@127.0.0.1",
    ):
        done = subprocess.run(
            [sys.executable, "-m", "skylift.cli", "server", "--port", "0", "--log-level", "debug"],
            cwd=tmp_path,
            env={**os.environ, "SKYLIFT_STORE": url},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode != 0
        assert secret not in done.stdout + done.stderr, (url, done.stderr)
