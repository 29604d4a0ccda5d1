"""Runs on a server: it goes away and comes back, accounts see nothing of each other, code runs only where allowed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from remote_server import ALONE, ApiServer

pytest.importorskip("uvicorn", reason="the server is an extra")

from skylift.remote.client import ServerClient
from skylift.remote.keys import Signer

PIPELINE = '''
import time
from dataclasses import dataclass
from pathlib import Path

from skylift import approve, pipeline, task


@dataclass
class Settings:
    rate: float
    rounds: int = 1


@task
def gated(gate: str) -> str:
    for number in range(6_000):
        print("tick", number, flush=True)
        if Path(gate).exists():
            return "through"
        time.sleep(0.05)
    raise TimeoutError("the gate stayed shut")


@task
def large(count: int) -> bytes:
    return b"x" * count


@task
def double(x: int) -> int:
    print(f"doubling {x}")
    return 2 * x


@pipeline
def waiting(gate: str) -> str:
    """Waits at a gate.

    gate: a file that opens it
    """
    return gated(gate)


@pipeline
def heavy(count: int = 300_000) -> bytes:
    return large(count)


@pipeline
def doubled(xs: list[int], settings: Settings | None = None) -> list[int]:
    return [double(x) for x in xs]


@pipeline
def outer(x: int) -> int:
    inner = doubled([x, x])
    return inner[0]


@pipeline
def asking(x: int) -> str:
    answer: str = approve("go on?")
    return f"{answer}{x}"
'''
PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    found = ApiServer(tmp_path_factory.mktemp("server")).start()
    yield found
    found.kill()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "flow.py").write_text(PIPELINE)
    (tmp_path / "pass.asl.json").write_text(json.dumps(PASS))
    return tmp_path


def start(project: Path, place: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SKYLIFT_", "AWS_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "skylift.cli", *arguments],
        cwd=project,
        env={**kept, "NO_COLOR": "1", **place},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def call(project: Path, place: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    process = start(project, place, *arguments)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def runs(project: Path, place: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call(project, place, "runs", "--children", "--json").stdout)["runs"]
    return found


_opened: list[ServerClient] = []


def client(server: ApiServer, account: str, role: str = "admin") -> ServerClient:
    opened = ServerClient(server.url, Signer(*server.key(account, role), "us-east-1"))
    _opened.append(opened)
    return opened


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


def ask(client: ServerClient, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
    refused = range(400, 500)
    data = b"" if body is None else json.dumps(body).encode()
    answer = client.request(method, path, query=query, body=data, content_type="application/json", accept=refused)
    return answer.status, json.loads(answer.body) if answer.body else None


def await_line(stream: Any, wanted: str) -> None:
    for line in stream:
        if wanted in line:
            return
    raise AssertionError(f"{wanted!r} never came")


def test_run_and_followed_logs_go_on_when_the_server_is_back(project: Path, tmp_path_factory: Any) -> None:
    server = ApiServer(tmp_path_factory.mktemp("restarted")).start()
    place, gate = server.environment(), project / "gate"
    try:
        process = start(project, place, "run", "flow.py:waiting", "--gate", str(gate))
        await_line(process.stderr, "gated: started")
        run = runs(project, place)[0]["run_id"]
        follower = start(project, place, "logs", "-f", run)
        await_line(follower.stdout, "tick 2")
        server.kill()
        await_line(process.stderr, "warning[SERVER-UNREACHABLE]")
        await_line(follower.stderr, "warning[SERVER-UNREACHABLE]")
        server.start()
        await_line(process.stderr, "the server answers again")
        gate.touch()
        out, err = process.communicate(timeout=120)
        assert (process.returncode, json.loads(out)) == (0, "through"), err
        logged, err = follower.communicate(timeout=120)
        assert follower.returncode == 0, err
        assert "the server answers again" in err
        assert "gated | tick 0" in logged  # the attempt of the dead server was run again
    finally:
        server.kill()


def test_a_server_that_is_not_there_is_said_at_once(project: Path) -> None:
    began = time.monotonic()
    assert call(project, {}, "runs").returncode == 0
    here_s = time.monotonic() - began
    began = time.monotonic()
    done = call(project, {"SKYLIFT_URL": "http://127.0.0.1:9"}, "runs")
    assert done.returncode == 2
    assert "error[SERVER-UNREACHABLE]: http://127.0.0.1:9 does not answer: Connection refused" in done.stderr
    assert time.monotonic() - began < 10 + 3 * here_s


@pytest.mark.parametrize("url", ["127.0.0.1:8083", "ftp://here", "http://"])
def test_an_address_that_is_none(project: Path, url: str) -> None:
    done = call(project, {"SKYLIFT_URL": url}, "runs")
    assert done.returncode == 2
    assert "is not the address of a server" in done.stderr


def test_the_option_wins_over_the_environment_and_the_settings(project: Path, server: ApiServer) -> None:
    place = server.environment()
    (project / "skylift.toml").write_text('[skylift]\nurl = "http://127.0.0.1:9"\n')
    assert call(project, {**place, "SKYLIFT_URL": ""}, "runs").returncode == 2
    assert call(project, place, "runs").returncode == 0
    assert call(project, {**place, "SKYLIFT_URL": ""}, "--server", server.url, "runs").returncode == 0


def test_doctor_asks_the_server(project: Path, server: ApiServer) -> None:
    well = call(project, server.environment(), "doctor")
    assert (well.returncode, f"{server.url} answers" in well.stdout) == (0, True), well.stdout
    ill = call(project, {"SKYLIFT_URL": "http://127.0.0.1:9"}, "doctor")
    assert (ill.returncode, "does not answer" in ill.stdout) == (1, True), ill.stdout


def test_gc_says_where_it_works(project: Path, server: ApiServer) -> None:
    done = call(project, server.environment(), "gc")
    assert done.returncode == 2
    assert "error[ON-SERVER-ONLY]" in done.stderr


def test_nothing_is_left_in_the_project(project: Path, server: ApiServer) -> None:
    place = server.environment()
    assert call(project, place, "run", "flow.py:doubled", "--xs", "3").returncode == 0
    assert not (project / ".skylift").exists()


def test_nested_runs_belong_to_the_account(project: Path, server: ApiServer) -> None:
    place = server.environment()
    done = call(project, place, "run", "flow.py:outer", "--x", "4")
    assert (done.returncode, json.loads(done.stdout)) == (0, 8), done.stderr
    found = {run["pipeline"]: run for run in runs(project, place)}
    assert sorted(found) == ["doubled", "outer"]
    logged = call(project, place, "logs", found["outer"]["run_id"])
    assert (logged.returncode, logged.stdout.count("doubling 4")) == (0, 2), logged


def test_an_approval(project: Path, server: ApiServer) -> None:
    place = server.environment()
    process = start(project, place, "run", "flow.py:asking", "--x", "7")
    await_line(process.stderr, "started")
    run = runs(project, place)[0]["run_id"]
    assert "skylift answer" in call(project, place, "show", run).stdout
    answered = call(project, place, "answer", run, "--output", '"yes"')
    assert answered.returncode == 0, answered.stderr
    out, err = process.communicate(timeout=120)
    assert json.loads(out) == "yes7", err
    again = call(project, place, "answer", run)
    assert (again.returncode, "waits for no answer" in again.stderr) == (2, True)


def test_leaving_does_not_stop_the_run(project: Path, server: ApiServer) -> None:
    place, gate = server.environment(), project / "gate"
    process = start(project, place, "run", "flow.py:waiting", "--gate", str(gate))
    await_line(process.stderr, "gated: started")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    gate.touch()
    run = runs(project, place)[0]["run_id"]
    resumed = call(project, place, "resume", run)
    assert (resumed.returncode, json.loads(resumed.stdout)) == (0, "through"), resumed.stderr


def test_accounts_see_nothing_of_each_other(project: Path, server: ApiServer) -> None:
    mine, other = server.environment("111111111111"), server.environment("222222222222")
    done = call(project, mine, "run", "flow.py:heavy", "--name", "secret-run", "--json")
    shown = json.loads(done.stdout)
    run, artifact = shown["run_id"], shown["output"]["skylift:artifact"].removeprefix("sha256:")
    assert runs(project, other) == []
    for command in (["show", run], ["show", "secret-run"], ["logs", run], ["events", run], ["stop", run]):
        refused = call(project, other, *command)
        assert (refused.returncode, "error[RUN-NOT-FOUND]" in refused.stderr) == (2, True), command
    own, foreign = client(server, "111111111111"), client(server, "222222222222")
    record = ask(own, "GET", f"/v1/runs/{run}")[1]
    for path in (
        f"/v1/runs/{run}",
        f"/v1/runs/{run}/wait",
        f"/v1/runs/{run}/entries",
        f"/v1/runs/{run}/logs/t1",
        f"/v1/documents/{record['definition']}",
        f"/v1/documents/{record['tasks']}",
        f"/v1/blobs/{artifact}",
    ):
        assert ask(foreign, "GET", path, runs=run)[0] == 404, path
    assert ask(foreign, "POST", f"/v1/runs/{run}/signals", {"type": "stop"})[0] == 404
    assert ask(foreign, "POST", f"/v1/runs/{run}/logs", {"positions": {}})[0] == 404
    assert ask(foreign, "GET", "/v1/runs", pipeline=record["machine_arn"])[1]["runs"] == []
    assert ask(foreign, "GET", "/v1/runs", pipeline=record["machine_arn"], name="secret-run")[1]["runs"] == []
    assert ask(foreign, "GET", "/v1/runs", prefix="secret")[1]["runs"] == []
    assert ask(foreign, "GET", "/v1/runs", prefix=run)[1]["runs"] == []
    taken = {"pipeline": "heavy", "document": PASS, "run_id": run}
    assert ask(foreign, "POST", "/v1/runs", taken)[0] == 409
    same = call(project, other, "run", "pass.asl.json", "--name", "secret-run")
    assert same.returncode == 0, same.stderr


def test_artifacts_are_read_by_whoever_put_them_or_has_a_run_with_them(project: Path, server: ApiServer) -> None:
    mine = server.environment("333333333333")
    shown = json.loads(call(project, mine, "run", "flow.py:heavy", "--json").stdout)
    artifact = shown["output"]["skylift:artifact"].removeprefix("sha256:")
    own = client(server, "333333333333")
    refused = (404,)
    assert own.request("GET", f"/v1/blobs/{artifact}", query={"runs": shown["run_id"]}).body == b"x" * 300_000
    assert own.request("GET", f"/v1/blobs/{artifact}", accept=refused).status == 404
    foreign = client(server, "444444444444")
    forged = {"pipeline": "p", "document": PASS, "input": shown["output"]}
    assert ask(foreign, "POST", "/v1/runs", forged) == (
        400,
        {
            "error": {
                "code": "BLOB-MISSING",
                "message": f"the input refers to an artifact {artifact} that was not put",
                "hint": None,
            }
        },
    )
    foreign.request("PUT", f"/v1/blobs/{artifact}", body=b"x" * 300_000)
    assert foreign.request("HEAD", f"/v1/blobs/{artifact}").headers["content-length"] == "300000"
    wrong = foreign.request("PUT", f"/v1/blobs/{'0' * 64}", body=b"x", accept=(409,))
    assert json.loads(wrong.body)["error"]["code"] == "DIGEST"


def test_code_runs_only_where_an_administrator_allows_it(project: Path, tmp_path_factory: Any) -> None:
    server = ApiServer(tmp_path_factory.mktemp("strict"), allowed='["555555555555"]').start()
    try:
        refused = call(project, server.environment(ALONE), "run", "flow.py:doubled", "--xs", "1")
        assert refused.returncode == 2
        assert f"error[CODE-NOT-ALLOWED]: this server runs no code of account {ALONE}" in refused.stderr
        assert f'[server] allow_code = ["{ALONE}"]' in refused.stderr
        assert call(project, server.environment(ALONE), "register", "flow.py:doubled").returncode == 2
        assert call(project, server.environment(ALONE), "run", "pass.asl.json").returncode == 0
        allowed = call(project, server.environment("555555555555"), "run", "flow.py:doubled", "--xs", "1")
        assert (allowed.returncode, json.loads(allowed.stdout)) == (0, [2]), allowed.stderr
    finally:
        server.kill()


def test_roles(project: Path, server: ApiServer) -> None:
    account = "666666666666"
    viewer, operator = server.environment(account, "viewer"), server.environment(account, "operator")
    refused = call(project, viewer, "run", "pass.asl.json")
    assert refused.returncode == 2
    assert "error[NOT-ALLOWED]: this needs the role operator, and the key has the role viewer" in refused.stderr
    assert call(project, operator, "run", "pass.asl.json").returncode == 0
    assert len(runs(project, viewer)) == 1
    assert "role admin" in call(project, operator, "register", "pass.asl.json").stderr


def test_a_registered_pipeline_is_started_over_http(project: Path, server: ApiServer) -> None:
    account = "777777777777"
    place, http = server.environment(account), client(server, account)
    registered = call(project, place, "register", "flow.py:doubled", "--json")
    assert json.loads(registered.stdout) == {
        "name": "doubled",
        "arn": f"arn:aws:states:us-east-1:{account}:stateMachine:doubled",
        "url": "/pipelines/doubled/runs",
    }
    status, ended = ask(http, "POST", "/pipelines/doubled/runs", {"xs": [1, 2]}, wait=60)
    assert (status, ended["status"], ended["output"]) == (200, "SUCCEEDED", [2, 4])
    status, begun = ask(http, "POST", "/pipelines/doubled/runs", {"xs": [3]})
    assert (status, begun["output"], begun["url"]) == (202, None, f"/v1/runs/{begun['run_id']}")
    assert begun["execution_arn"].startswith(f"arn:aws:states:us-east-1:{account}:execution:doubled:")
    status, body = ask(http, "POST", "/pipelines/doubled/runs", {"xs": ["three"]})
    assert (status, body["error"]) == (
        400,
        {
            "code": "PARAMETER",
            "message": "doubled: xs[0] must be of type integer, not 'three'",
            "hint": "it takes doubled(xs, settings)",
        },
    )
    assert ask(http, "POST", "/pipelines/doubled/runs", {})[1]["error"]["message"] == "doubled: xs is missing"
    assert ask(http, "POST", "/pipelines/nothing/runs", {})[1]["error"]["code"] == "PIPELINE-NOT-FOUND"
    assert ask(client(server, "888888888888"), "POST", "/pipelines/doubled/runs", {"xs": [1]})[0] == 404
    status, settled = ask(http, "POST", "/pipelines/doubled/runs", {"xs": [], "settings": {"rate": 1}}, wait=60)
    assert (status, settled["output"]) == (200, [])


def test_an_idempotency_key_names_the_run(project: Path, server: ApiServer) -> None:
    account = "999999999999"
    call(project, server.environment(account), "register", "pass.asl.json", "--name", "echo")
    first, second, other = (_post(server, account, "monday", value) for value in ({"a": 1}, {"a": 1}, {"a": 2}))
    assert first == second
    assert first[1]["name"] == "monday"
    assert (other[0], other[1]["error"]["code"]) == (409, "RUN-EXISTS")


def _post(server: ApiServer, account: str, key: str, value: Any) -> tuple[int, Any]:
    import http.client

    body = json.dumps(value).encode()
    signer = Signer(*server.key(account, "operator"), "us-east-1")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    target, headers = "/pipelines/echo/runs?wait=60", {"host": f"127.0.0.1:{server.port}", "idempotency-key": key}
    connection.request("POST", target, body, signer.sign("POST", target, headers, body))
    response = connection.getresponse()
    found = json.loads(response.read())
    connection.close()
    return response.status, found


def test_the_description_names_every_pipeline_with_its_parameters(project: Path, server: ApiServer) -> None:
    account = "121212121212"
    call(project, server.environment(account), "register", "flow.py:doubled")
    call(project, server.environment(account), "register", "flow.py:waiting")
    _, document = ask(client(server, account), "GET", "/openapi.json")
    schemas = document["components"]["schemas"]
    assert document["paths"]["/pipelines/waiting/runs"]["post"]["description"] == "Waits at a gate."
    assert schemas["pipeline.waiting.input"] == {
        "type": "object",
        "properties": {"gate": {"type": "string", "description": "a file that opens it"}},
        "required": ["gate"],
        "additionalProperties": False,
    }
    settings = schemas["pipeline.doubled.input"]["properties"]["settings"]
    assert {"$ref": "#/components/schemas/pipeline.doubled.input/$defs/Settings"} in settings["anyOf"]
    assert schemas["pipeline.doubled.input"]["$defs"]["Settings"]["required"] == ["rate"]
    assert "/pipelines/doubled/runs" not in ask(client(server, "131313131313"), "GET", "/openapi.json")[1]["paths"]


BAD = [
    ("GET", "/v1/runs?limit=0", b"", 400, "QUERY"),
    ("GET", "/v1/runs?limit=²", b"", 400, "QUERY"),
    ("GET", "/v1/runs?status=DONE", b"", 400, "QUERY"),
    ("GET", "/v1/runs?before=1-x", b"", 400, "QUERY"),
    ("GET", "/v1/runs/aaaaaaaaaaaaaaaa/wait?timeout=-1", b"", 400, "QUERY"),
    ("GET", "/v1/runs/aaaaaaaaaaaaaaaa/wait?timeout=nan", b"", 400, "QUERY"),
    ("GET", "/v1/runs/aaaaaaaaaaaaaaaa/entries", b"", 404, "RUN-NOT-FOUND"),
    ("GET", "/v1/runs/aaaaaaaaaaaaaaaa/logs/..%2F..%2Fx", b"", 404, None),
    ("GET", "/v1/runs/aaaaaaaaaaaaaaaa/logs/..", b"", 400, "TOKEN"),
    ("GET", "/v1/blobs/zz", b"", 400, "DIGEST"),
    ("POST", "/v1/runs", b"{", 400, "BODY"),
    ("POST", "/v1/runs", b"\xff", 400, "BODY"),
    ("POST", "/v1/runs", b"[" * 100_000, 400, "BODY"),
    ("POST", "/v1/runs", b"{}", 400, "BODY"),
    ("POST", "/v1/runs", b'{"pipeline": "a b", "document": {}}', 400, "NAME"),
    ("POST", "/v1/runs", b'{"pipeline": "p"}', 400, "BODY"),
    ("POST", "/v1/runs", b'{"pipeline": "p", "document": {}}', 400, "INVALID-DEFINITION"),
    ("POST", "/v1/runs", b'{"pipeline": "p", "definition": "' + b"0" * 64 + b'"}', 409, "DOCUMENT-MISSING"),
    ("POST", "/v1/runs", b'{"pipeline": "p", "document": {}, "run_id": "../x"}', 400, "BODY"),
    ("PUT", "/v1/pipelines/p", b'{"definition": "' + b"0" * 64 + b'", "parameters": {"type": "array"}}', 400, "SCHEMA"),
    (
        "PUT",
        "/v1/pipelines/p",
        b'{"definition": "' + b"0" * 64 + b'", "parameters": {"$ref": "#/$defs/x"}}',
        400,
        "SCHEMA",
    ),
    ("PUT", "/v1/documents/" + "0" * 64, b"x", 409, "DIGEST"),
    ("PUT", "/v1/documents/" + "0" * 64, b"x" * 9_000_000, 413, "TOO-LONG"),
]


@pytest.mark.parametrize(("method", "target", "body", "status", "code"), BAD, ids=[f"{r[0]} {r[1][:50]}" for r in BAD])
def test_bad_requests(server: ApiServer, method: str, target: str, body: bytes, status: int, code: str) -> None:
    import http.client
    from urllib.parse import quote

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    path, signer = quote(target, safe="/?=&%.-"), Signer(*server.key("161616161616"), "us-east-1")
    connection.request(method, path, body, signer.sign(method, path, {"host": f"127.0.0.1:{server.port}"}, body))
    response = connection.getresponse()
    found = response.read()
    connection.close()
    assert response.status == status, found
    if code is not None:
        assert json.loads(found)["error"]["code"] == code, found


def test_a_task_table_is_checked(project: Path, server: ApiServer) -> None:
    http = client(server, "141414141414")
    definition = _put(http, json.dumps(PASS).encode())
    for table, code in (
        (b"[]", "TASKS"),
        (b'{"bundle": null, "tasks": {"a": {"name": "b", "target": "m:f"}}}', "TASKS"),
        (b'{"bundle": null, "tasks": {"a": {"name": "a", "target": "no target"}}}', "TASKS"),
        (b'{"bundle": null, "tasks": {}, "machines": {"m": "' + b"1" * 64 + b'"}}', "DOCUMENT-MISSING"),
        (b'{"bundle": "' + b"1" * 64 + b'", "tasks": {}}', "BUNDLE-MISSING"),
    ):
        start = {"pipeline": "p", "definition": definition, "tasks": _put(http, table)}
        assert ask(http, "POST", "/v1/runs", start)[1]["error"]["code"] == code, table


def _put(http: ServerClient, text: bytes) -> str:
    digest = hashlib.sha256(text).hexdigest()
    http.request("PUT", f"/v1/documents/{digest}", body=text)
    return digest


def test_a_start_sent_twice_is_one_start(server: ApiServer) -> None:
    http = client(server, "151515151515")
    start = {"pipeline": "p", "document": PASS, "input": {"a": 1}, "run_id": "abcdefgh22223333"}
    first, second = ask(http, "POST", "/v1/runs", start), ask(http, "POST", "/v1/runs", start)
    assert first[1]["run_id"] == second[1]["run_id"] == "abcdefgh22223333"
    assert len(ask(http, "GET", "/v1/runs")[1]["runs"]) == 1


def test_wrong_and_missing_keys(project: Path, server: ApiServer) -> None:
    place = server.environment("171717171717")
    wrong = call(project, {**place, "SKYLIFT_SECRET_ACCESS_KEY": "wrong"}, "runs")
    missing = call(project, {"SKYLIFT_URL": server.url}, "runs")
    for refused in (wrong, missing):
        assert refused.returncode == 2
        assert "error[SERVER-ACCESS]" in refused.stderr
        assert "skylift keys create" in refused.stderr
    half = call(project, {"SKYLIFT_URL": server.url, "AWS_ACCESS_KEY_ID": "AKIA"}, "runs")
    assert "error[KEY]: AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not" in half.stderr


def test_step_functions_clients_see_and_start_what_is_registered(project: Path, server: ApiServer) -> None:
    boto3 = pytest.importorskip("boto3")
    account = "181818181818"
    call(project, server.environment(account), "register", "flow.py:doubled")
    key_id, secret = server.key(account)
    sfn = boto3.client(
        "stepfunctions",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    )
    machine = sfn.list_state_machines()["stateMachines"][0]
    assert (machine["name"], machine["type"]) == ("doubled", "STANDARD")
    execution = sfn.start_execution(stateMachineArn=machine["stateMachineArn"], name="one", input='{"xs": [4]}')
    assert sfn.describe_execution(executionArn=execution["executionArn"])["input"] == '{"xs": [4]}'
    place = server.environment(account)
    waited = call(project, place, "resume", "one", "--json")
    assert json.loads(waited.stdout)["output"] == [8], waited.stderr
    again = sfn.describe_execution(executionArn=execution["executionArn"])
    assert (again["status"], json.loads(again["output"])) == ("SUCCEEDED", [8])
    assert "doubling 4" in call(project, place, "logs", "one").stdout
    made = sfn.create_state_machine(
        name="quick", definition=json.dumps(PASS), roleArn=f"arn:aws:iam::{account}:role/r", type="EXPRESS"
    )
    http = client(server, account)
    status, ended = ask(http, "POST", "/pipelines/quick/runs", {"any": "thing"}, wait=60)
    assert (status, ended["status"], ended["output"]) == (200, "SUCCEEDED", {"any": "thing"})
    assert ended["execution_arn"].startswith(made["stateMachineArn"].replace(":stateMachine:", ":express:"))
    assert {one["name"] for one in ask(http, "GET", "/v1/pipelines")[1]["pipelines"]} == {"doubled", "quick"}
    assert ask(http, "POST", "/pipelines/quick/runs", "x" * 300_000)[0] == 413
    assert ask(http, "DELETE", "/v1/pipelines/doubled")[0] == 204
    assert [one["name"] for one in sfn.list_state_machines()["stateMachines"]] == ["quick"]
    sfn.close()
