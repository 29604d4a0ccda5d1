"""Names of Map Runs say which run they are part of, and look like the service's."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from skylift.asl.map_names import map_run_name, run_of

RUN_IDS = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=16, max_size=16)
UNIQUE = st.text("0123456789abcdef", min_size=16, max_size=16)


@given(RUN_IDS, UNIQUE)
def test_a_name_looks_like_a_uuid_and_leads_back(run_id: str, unique: str) -> None:
    name = map_run_name(run_id, unique)
    assert str(uuid.UUID(name)) == name
    assert run_of(name) == run_id
    assert run_of(f"{name}-12") == run_id


@given(UNIQUE)
def test_other_ids_of_runs_leave_the_name_plain(unique: str) -> None:
    assert map_run_name("run-1", unique) == unique
    assert map_run_name("0189" * 4, unique) == unique
    assert map_run_name("é" * 16, unique) == unique
    assert run_of(unique) is None
