"""Attributes of runs that an account makes up, through the server's own API."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the server is an extra")

from tenants import MINE, Tenant, issue

from skylift.testing.server import running_server

PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}


def test_attributes_that_make_no_sense_are_refused_and_the_engine_goes_on(tmp_path: Path) -> None:
    key = issue(tmp_path, MINE)
    with running_server(tmp_path, auth="required", allow_code=(MINE,)) as server:
        tenant = Tenant(server.url, key)
        for attributes in (
            {"keep_on_failure_ms": "x"},
            {"keep_on_failure_ms": "-1"},
            {"keep_on_failure_ms": "9" * 500},
            {"keep_on_failure_ms": "86400001"},
            {"speed": "max"},
        ):
            asked = {"pipeline": "p", "document": PASS, "input": {}, "attributes": attributes}
            refused = tenant.api("POST", "/v1/runs", asked)
            assert (refused.status, refused.kind) == (400, "ATTRIBUTES"), refused.body
        state = {"Type": "Task", "Resource": "arn:aws:states:::skylift:t", "End": True}
        task = {"name": "t", "target": "m:t"}
        definition = tenant.put_document({"StartAt": "A", "States": {"A": state}})
        tasks = tenant.put_document({"bundle": None, "tasks": {"t": task}})
        for place in ("activity:arn:x", "nothing", "services:x"):
            ended = tenant.run(pipeline="p", definition=definition, tasks=tasks, input={}, attributes={"on": place})
            assert ended["status"] == "FAILED" and ended["error"] == "Skylift.NoBackend", ended
        apart = {**task, "requirements": {"environment": "0" * 64}}
        tasks = tenant.put_document({"bundle": None, "tasks": {"t": apart}})
        asked = {"pipeline": "p", "definition": definition, "tasks": tasks, "input": {}}
        assert tenant.api("POST", "/v1/runs", asked).kind == "BUNDLE-MISSING", "packages of somebody else"
        fine = tenant.run(pipeline="p", document=PASS, input={}, attributes={"keep_on_failure_ms": "86400000"})
        assert fine["status"] == "SUCCEEDED", fine
