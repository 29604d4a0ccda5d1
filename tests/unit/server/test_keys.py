"""Keys: issued, listed, revoked; their secrets encrypted, and bound to what they are the secret of."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from skylift.server.auth.keys import KIND, USED_MS, InvalidKey, Keys, UnknownKey
from skylift.server.auth.sealing import (
    FILE,
    VARIABLE,
    MasterKeyError,
    Sealer,
    new_master_key,
    open_sealer,
)
from skylift.server.caller import Role
from skylift.stores.memory_resources import MemoryResources

HOUR = USED_MS


def keys_with(resources: MemoryResources, *masters: str) -> Keys:
    return Keys(resources, lambda: open_sealer(Path("/nowhere"), {VARIABLE: ",".join(masters)}))


@pytest.fixture
def resources() -> MemoryResources:
    return MemoryResources()


@pytest.fixture
def keys(resources: MemoryResources) -> Keys:
    return keys_with(resources, new_master_key())


def test_a_key_is_issued_and_found(keys: Keys) -> None:
    issued = keys.create(account="111122223333", role=Role.OPERATOR, name="worker", now_ms=5)
    found = keys.get(issued.key_id)
    assert found is not None
    assert (found.account, found.role, found.name, found.created_ms) == ("111122223333", Role.OPERATOR, "worker", 5)
    assert keys.secret(found) == issued.secret
    assert len(issued.key_id) == 20
    assert len(issued.secret) == 40


def test_no_secret_is_in_the_store(keys: Keys, resources: MemoryResources) -> None:
    issued = keys.create(account="111122223333", role=Role.ADMIN, now_ms=5)
    stored = resources.get(KIND, issued.key_id)
    assert stored is not None
    assert issued.secret.encode() not in stored.body
    assert issued.secret not in repr(keys.all())


def test_keys_are_listed_oldest_first_and_revoked(keys: Keys) -> None:
    assert not keys.any()
    made = [keys.create(account="111122223333", role=Role.VIEWER, now_ms=9 - number).key_id for number in range(3)]
    assert keys.any()
    assert [key.key_id for key in keys.all()] == made[::-1]
    keys.revoke(made[1])
    assert keys.get(made[1]) is None
    with pytest.raises(UnknownKey, match=made[1]):
        keys.revoke(made[1])


@pytest.mark.parametrize("account", ["", "12345678901", "12345678901a", "1234567890123", "１" * 12])  # noqa: RUF001
def test_an_account_has_12_digits(keys: Keys, account: str) -> None:
    with pytest.raises(InvalidKey, match="is no account"):
        keys.create(account=account, role=Role.VIEWER, now_ms=1)


def test_a_role_cannot_be_raised_in_the_store(keys: Keys, resources: MemoryResources) -> None:
    issued = keys.create(account="111122223333", role=Role.VIEWER, now_ms=1)
    found = keys.get(issued.key_id)
    assert found is not None
    found.role = Role.ADMIN
    with pytest.raises(MasterKeyError, match="fails its check"):
        keys.secret(found)


def test_use_is_noted_to_the_hour(keys: Keys) -> None:
    key_id = keys.create(account="111122223333", role=Role.VIEWER, now_ms=1).key_id
    for now, noted in ((5 * HOUR + 7, 5 * HOUR), (5 * HOUR + 99, 5 * HOUR), (6 * HOUR + 1, 6 * HOUR)):
        keys.used(key_id, now)
        found = keys.get(key_id)
        assert found is not None
        assert found.last_used_ms == noted
    keys.revoke(key_id)
    keys.used(key_id, 9 * HOUR)
    assert keys.get(key_id) is None


def test_the_master_key_can_be_changed(resources: MemoryResources) -> None:
    old, new = new_master_key(), new_master_key()
    issued = keys_with(resources, old).create(account="111122223333", role=Role.ADMIN, now_ms=1)
    both = keys_with(resources, new, old)
    assert both.seal_again() == 1
    assert both.seal_again() == 0
    alone = keys_with(resources, new)
    found = alone.get(issued.key_id)
    assert found is not None
    assert alone.secret(found) == issued.secret
    with pytest.raises(MasterKeyError, match="not at hand") as told:
        keys_with(resources, old).secret(found)
    assert VARIABLE in (told.value.hint or "")


def test_a_master_key_is_made_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    sealed = open_sealer(home, {}).seal("secret", b"k")
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    assert open_sealer(home, {}).open(sealed, b"k") == "secret"
    assert [path.name for path in home.iterdir()] == [FILE]
    (home / FILE).chmod(0o640)
    with pytest.raises(MasterKeyError, match="can be read by others"):
        open_sealer(home, {})


@pytest.mark.parametrize("text", ["x", "", "AAAA", "%" * 44])
def test_what_is_no_master_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(MasterKeyError, match="32 bytes"):
        open_sealer(tmp_path, {})


def test_a_sealed_secret_is_new_each_time() -> None:
    sealer = Sealer([b"k" * 32])
    one, other = sealer.seal("secret", b"a"), sealer.seal("secret", b"a")
    assert one != other
    assert sealer.open(one, b"a") == sealer.open(other, b"a") == "secret"
    with pytest.raises(MasterKeyError):
        sealer.open(one, b"b")


def test_stored_keys_have_a_form_that_lasts(keys: Keys, resources: MemoryResources) -> None:
    issued = keys.create(account="111122223333", role=Role.ADMIN, name="n", now_ms=7)
    stored = resources.get(KIND, issued.key_id)
    assert stored is not None
    body = msgspec.json.decode(stored.body)
    assert {name: body[name] for name in ("key_id", "account", "role", "name", "created_ms")} == {
        "key_id": issued.key_id, "account": "111122223333", "role": 3, "name": "n", "created_ms": 7,
    }  # fmt: skip
