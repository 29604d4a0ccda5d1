"""`--on`: which places there are."""

from __future__ import annotations

import pytest

from skylift.cli.placing import PlacementInvalid, placement

ARN = "arn:aws:states:us-east-1:123456789012:activity:gpu-box"


def test_an_activity_is_a_place() -> None:
    assert placement(["train=activity:gpu-box", "process"]) == {"on.train": "activity:gpu-box", "on": "process"}
    assert placement([f"activity:{ARN}"]) == {"on": f"activity:{ARN}"}


@pytest.mark.parametrize(
    "place", ["activity:", "train=activity", "activity:a b", "activity:" + "x" * 81, "activity:a:b"]
)
def test_what_is_no_name_of_an_activity(place: str) -> None:
    with pytest.raises(PlacementInvalid) as caught:
        placement([place])
    assert repr(place) in caught.value.message
    assert "activity:" in (caught.value.hint or "")
