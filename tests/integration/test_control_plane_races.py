"""Two servers on one database change the same state machine at once: nothing is lost, no number is used twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from in_process import HEAD, PASS, ROLE, Api, Refused

from skylift.stores.open import open_store

ARN = f"{HEAD}:stateMachine:m"


@pytest.fixture(params=["sqlite", "postgres"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Api]]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    stores = [open_store(url, home=tmp_path) for _ in range(2)]
    apis = [Api(store) for store in stores]
    yield apis
    for api in apis:
        api.close()
    for store in stores:
        store.close()


def at_once(servers: list[Api], tasks: int, do: Callable[[Api, int], Any]) -> list[Any]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda number: do(servers[number % len(servers)], number), range(tasks)))


def test_creations(servers: list[Api]) -> None:
    made = at_once(servers, 16, lambda api, _: api("CreateStateMachine", name="m", definition=PASS, roleArn=ROLE))
    assert all(one == made[0] for one in made)
    definitions = [PASS.replace('"A"', f'"S{number}"') for number in range(16)]

    def create(api: Api, number: int) -> bool:
        try:
            api("CreateStateMachine", name="n", definition=definitions[number], roleArn=ROLE)
        except Refused as refused:
            assert refused.code == "StateMachineAlreadyExists"
            return False
        return True

    assert at_once(servers, 16, create).count(True) == 1


def test_tags_of_all_are_kept(servers: list[Api]) -> None:
    servers[0].create("m")
    tags = [{"key": f"k{number}", "value": str(number)} for number in range(24)]
    at_once(servers, 24, lambda api, number: api("TagResource", resourceArn=ARN, tags=[tags[number]]))
    kept = servers[1]("ListTagsForResource", resourceArn=ARN)["tags"]
    assert sorted(kept, key=lambda tag: int(tag["value"])) == tags


def test_every_update_that_publishes_has_a_version_of_its_own(servers: list[Api]) -> None:
    servers[0].create("m")

    def update(api: Api, number: int) -> tuple[str, str]:
        definition = PASS.replace('"A"', f'"S{number}"')
        updated = api("UpdateStateMachine", stateMachineArn=ARN, definition=definition)
        try:
            published = api("PublishStateMachineVersion", stateMachineArn=ARN, revisionId=updated["revisionId"])
        except Refused as refused:
            assert refused.code == "ConflictException"
            return updated["revisionId"], ""
        return updated["revisionId"], published["stateMachineVersionArn"]

    revisions = at_once(servers, 16, update)
    assert len({revision for revision, _ in revisions}) == 16
    for revision, version in revisions:
        if version:
            assert servers[0]("DescribeStateMachine", stateMachineArn=version)["revisionId"] == revision
    arns = [version for _, version in revisions if version]
    assert len(set(arns)) == len(arns) >= 1


def test_one_revision_published_by_many_is_one_version(servers: list[Api]) -> None:
    servers[0].create("m")
    published = at_once(servers, 12, lambda api, _: api("PublishStateMachineVersion", stateMachineArn=ARN))
    assert {one["stateMachineVersionArn"] for one in published} == {f"{ARN}:1"}
