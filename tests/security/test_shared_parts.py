"""What accounts share inside the server - results of tasks, versions, names of runs - must not lead across."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn", reason="the server is an extra")

from tenants import MINE, THEIRS, Tenant, issue

from skylift.config import Config
from skylift.testing.server import running_server

CODE = """
import uuid


def stamp(x):
    return uuid.uuid4().hex
"""


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tenant, Tenant]]:
    home = tmp_path_factory.mktemp("shared")
    (home / "shared_code.py").write_text(CODE)
    mine, theirs = issue(home, MINE), issue(home, THEIRS)
    config = Config(project=home, home=home)
    with running_server(home, config=config, auth="required", allow_code=("*",)) as server:
        yield Tenant(server.url, mine), Tenant(server.url, theirs)


def task(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "target": f"shared_code:{name}", **more}


def one_task(name: str) -> dict[str, object]:
    state = {"Type": "Task", "Resource": f"arn:aws:states:::skylift:{name}", "End": True}
    return {"StartAt": "A", "States": {"A": state}}


def test_a_cached_result_is_of_its_account(tenants: tuple[Tenant, Tenant]) -> None:
    """The fingerprint of the code is the client's word: another account could name the same."""
    mine, theirs = tenants
    table = {"bundle": None, "tasks": {"stamp": task("stamp", cache=True, fingerprint="known")}}

    def stamped(tenant: Tenant) -> str:
        definition, tasks = tenant.put_document(one_task("stamp")), tenant.put_document(table)
        ended = tenant.run(pipeline="p", definition=definition, tasks=tasks, input={"x": 1})
        assert ended["status"] == "SUCCEEDED", ended
        return str(ended["output"])

    first = stamped(theirs)
    assert stamped(theirs) == first, "the cache does not work at all"
    assert stamped(mine) != first


def test_a_run_cannot_pretend_to_be_of_anothers_version(tenants: tuple[Tenant, Tenant]) -> None:
    mine, theirs = tenants
    passing = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    machine = theirs.machine("hidden", passing, publish=True, tracingConfiguration={"enabled": True})
    version = f"{machine}:1"
    attributes = {"version": version, "alias": version, "revision": "r"}
    made = mine.api("POST", "/v1/runs", {"pipeline": "p", "document": passing, "attributes": attributes})
    assert made.status == 400, made.body
    assert made.kind == "ATTRIBUTES"


def test_nobody_can_take_the_run_of_anothers_idempotency_key(tenants: tuple[Tenant, Tenant]) -> None:
    """Run ids that clients choose must not be those that the server would give to others."""
    from skylift.engine.names import child_run_id

    mine, theirs = tenants
    passing = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    machine = theirs.machine("keyed", passing)
    guessed = child_run_id(f"{machine}:order-1")
    taken = mine.api("POST", "/v1/runs", {"pipeline": "p", "document": passing, "run_id": guessed})
    assert taken.status == 201, taken.body
    started = theirs.send("POST", "/pipelines/keyed/runs", b"{}", {"idempotency-key": "order-1"})
    assert started.status == 202, started.body
    again = theirs.send("POST", "/pipelines/keyed/runs", b"{}", {"idempotency-key": "order-1"})
    assert again.status == 202 and again.json["run_id"] == started.json["run_id"]
    assert (
        mine.api("POST", "/v1/runs", {"pipeline": "p", "document": passing, "run_id": started.json["run_id"]}).status
        == 409
    )
