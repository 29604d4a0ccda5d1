"""Skylift's own API with ids, names, digests and tokens of another account."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the server is an extra")

from tenants import MINE, REGION, THEIRS, Tenant, issue

from skylift.server.api.routes import TABLE
from skylift.testing.server import running_server

MARK = "s3cr3tmark"
PASS = {"StartAt": "A", "Comment": MARK, "States": {"A": {"Type": "Pass", "Result": MARK, "End": True}}}
WAITS = {"StartAt": "A", "Comment": MARK, "States": {"A": {"Type": "Wait", "Seconds": 3600, "End": True}}}
BLOB = f"content of an artifact {MARK}".encode()


class Vault:
    def __init__(self, owner: Tenant) -> None:
        self.owner = owner
        self.document = owner.put_document(PASS)
        self.blob = hashlib.sha256(BLOB).hexdigest()
        assert owner.send("PUT", f"/v1/blobs/{self.blob}", BLOB).status == 201
        self.run: str = owner.run(pipeline=f"vault-{MARK}", document=PASS, input={"m": MARK})["run_id"]
        request = {"pipeline": f"vault-{MARK}", "document": WAITS, "name": f"n-{MARK}", "input": MARK}
        self.open: str = owner.api("POST", "/v1/runs", request).json["run_id"]
        put = owner.api("PUT", f"/v1/pipelines/vault-{MARK}", {"definition": self.document})
        assert put.status == 201, put.body
        trigger = {"start": f"vault-{MARK}", "source": {"kind": "schedule", "expression": "rate(1 day)"}}
        assert owner.api("PUT", f"/v1/triggers/t-{MARK}", trigger).status == 200

    def state(self) -> Any:
        paths = ("/v1/runs", f"/v1/runs/{self.run}", f"/v1/runs/{self.open}", "/v1/pipelines", "/v1/triggers")
        found = [self.owner.api("GET", path) for path in (*paths, f"/v1/runs/{self.open}/entries")]
        assert [answer.status for answer in found] == [200] * len(found)
        return [answer.body for answer in found]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tenant, Vault]]:
    home, store = tmp_path_factory.mktemp("own-api"), None
    if request.param == "postgres":
        postgres = request.getfixturevalue("_postgres")
        postgres.start()
        store = postgres.create_database()
    mine, theirs = issue(home, MINE, store=store), issue(home, THEIRS, store=store)
    with running_server(home, store=store, auth="required") as server:
        yield Tenant(server.url, mine), Vault(Tenant(server.url, theirs))


BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/runs/{run}/logs"): {"positions": {"1-1": 0}},
    ("PUT", "/v1/pipelines/{name}"): {"definition": "{document}"},
}
SIGNALS = [{"type": "stop"}, {"type": "pause"}, {"type": "resume"}, {"type": "redrive"},
           {"type": "succeed", "token": "1-1", "output": 1}, {"type": "fail", "token": "1-1"}]  # fmt: skip
NOTHING = {"run": "aaaaaaaaaaaaaaaa", "digest": "0" * 64, "name": "n0thing", "token": "1-1"}


def requests(vault: Vault | None) -> list[tuple[str, str, Any]]:
    """Every route with ids of the vault, or with such as nobody has."""
    ids = NOTHING if vault is None else {**NOTHING, "run": vault.open, "name": f"vault-{MARK}"}
    found: list[tuple[str, str, Any]] = []
    for method, path, _, _ in TABLE:
        if "{" not in path or method == "PUT" or path == "/v1/workers/{name}":  # makes it
            continue
        digest = ids["digest"] if vault is None else vault.blob if "blobs" in path else vault.document
        where = path.format(**{**ids, "digest": digest})
        bodies = SIGNALS if path.endswith("/signals") else [BODIES.get((method, path))]
        found += [(method, where, body) for body in bodies]
    name = "n0thing" if vault is None else f"t-{MARK}"
    return [*found, ("GET", f"/v1/triggers/{name}", None), ("DELETE", f"/v1/triggers/{name}", None)]


def test_every_route_answers_as_if_there_were_nothing(world: tuple[Tenant, Vault]) -> None:
    mine, vault = world
    before = vault.state()
    for theirs, none in zip(requests(vault), requests(None), strict=True):
        answer, nothing = mine.api(*theirs), mine.api(*none)
        assert answer.status == nothing.status == 404, (theirs, answer.body, nothing.body)
        shown = answer.body.decode()
        for name, value in (("run", vault.open), ("digest", vault.blob), ("digest", vault.document)):
            shown = shown.replace(value, NOTHING[name])
        shown = shown.replace(f"vault-{MARK}", "n0thing").replace(f"t-{MARK}", "n0thing")
        assert shown == nothing.body.decode()
    assert vault.state() == before


def test_other_ways_to_name_a_run(world: tuple[Tenant, Vault]) -> None:
    mine, vault = world
    arn = f"arn:aws:states:{REGION}:{THEIRS}:stateMachine:vault-{MARK}"
    for text in (vault.open[:8], f"n-{MARK}", "n-", vault.open.upper(), f"{vault.open}%00", f"%20{vault.open}"):
        assert mine.api("GET", f"/v1/runs/{text}").status == 404
    for query in (
        "",
        f"prefix={vault.open[:4]}",
        "prefix=",
        "prefix=%25",
        "prefix=_",
        f"pipeline={arn}",
        f"pipeline={arn}&name=n-{MARK}",
        f"pipeline={arn}&status=RUNNING",
        f"parent={vault.open}:1-1",
        "before=999999999999999-zzzzzzzzzzzzzzzz",
    ):
        answer = mine.api("GET", f"/v1/runs?{query}")
        assert answer.status == 200, (query, answer.body)
        assert MARK not in answer.body.decode() and vault.open not in answer.body.decode(), (query, answer.body)


def test_content_is_not_reached_by_naming_anothers_run(world: tuple[Tenant, Vault]) -> None:
    mine, vault = world
    for kind, digest in (("blobs", vault.blob), ("documents", vault.document)):
        for runs in ("", vault.run, vault.open, f"{vault.open},{vault.run}"):
            for method in ("GET", "HEAD"):
                answer = mine.send(method, f"/v1/{kind}/{digest}?runs={runs}")
                assert answer.status == 404, answer.body
    forged = mine.send("PUT", f"/v1/blobs/{vault.blob}", b"something else")
    assert forged.status == 409
    assert mine.send("GET", f"/v1/blobs/{vault.blob}").status == 404
    assert vault.owner.send("GET", f"/v1/blobs/{vault.blob}").body == BLOB


def test_a_start_cannot_use_what_another_account_put(world: tuple[Tenant, Vault]) -> None:
    mine, vault = world
    own = mine.put_document({"StartAt": "B", "States": {"B": {"Type": "Succeed"}}})
    table = {"bundle": None, "tasks": {}, "machines": {"p": vault.document}}
    bundled = {"bundle": vault.blob, "tasks": {}}
    tables = [mine.put_document(table), mine.put_document(bundled)]
    for request in (
        {"pipeline": "p", "definition": vault.document},
        {"pipeline": "p", "definition": own, "tasks": vault.document},
        {"pipeline": "p", "definition": own, "tasks": tables[0]},
        {"pipeline": "p", "definition": own, "tasks": tables[1]},
    ):
        answer = mine.api("POST", "/v1/runs", request)
        assert answer.status in (400, 409), (request, answer.body)
        assert MARK not in answer.body.decode()
    registered = mine.api("PUT", "/v1/pipelines/p", {"definition": vault.document})
    assert registered.status == 409


@pytest.mark.parametrize("account", [THEIRS, MINE])
def test_triggers_start_machines_of_their_own_account_only(world: tuple[Tenant, Vault], account: str) -> None:
    mine, _ = world
    arn = f"arn:aws:states:{REGION}:{account}:stateMachine:vault-{MARK}"
    for start in (arn, f"{arn}:1", f"vault-{MARK}"):
        source = {"kind": "schedule", "expression": "rate(1 second)"}
        made = mine.api("PUT", "/v1/triggers/steal", {"start": start, "source": source})
        assert made.status in (400, 401, 404), made.body
        assert made.kind == "StateMachineDoesNotExist"
    assert mine.api("GET", "/v1/triggers").json == {"triggers": []}


def test_what_is_about_everybody_says_nothing_of_anybody(world: tuple[Tenant, Vault]) -> None:
    mine, _ = world
    for path in ("/openapi.json", "/v1/pipelines", "/v1/triggers", "/health/live", "/health/ready"):
        answer = mine.send("GET", path)
        assert answer.status == 200
        assert MARK not in answer.body.decode() and THEIRS not in answer.body.decode()
    assert mine.send("GET", "/metrics").status == 401


def test_a_wrong_path_leads_nowhere(world: tuple[Tenant, Vault]) -> None:
    """Signatures are made of the path without `..`; what is answered must not be another path than that."""
    mine, vault = world
    for path in (
        f"/v1/runs/x/../{vault.open}",
        f"//v1/runs/{vault.open}",
        f"/v1/runs/{vault.open}/logs/..%2f..%2f..%2fjournal",
        f"/v1/runs/{vault.open}/logs/%2e%2e",
        "/v1/blobs/..%2f..%2fmaster.key",
        "/v1/documents/../../master.key",
        "/health/live/../../v1/runs",
        "/V1/RUNS",
    ):
        answer = mine.send("GET", path)
        assert answer.status in (400, 404), (path, answer.status, answer.body)
        assert MARK not in answer.body.decode()
