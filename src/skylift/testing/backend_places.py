"""What a backend says of the places that it gives, as tests: packages of a task's own, images, warnings.

Part of `BackendConformance`; what a backend does not say is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from skylift.ports.compute import Failed, Lost, Outcome, Requirements, Succeeded, TaskCall
from skylift.ports.environments import EnvironmentSpec
from skylift.testing.backend_harness import WAIT_S, Harness, call, skip_unless, until
from skylift.testing.wheels import make_wheel

_PACKAGE = "skylift_suite_package"
_BUILD_S = 180.0


class BackendPlaces:
    # Environments -----------------------------------------------------------------------------------------------

    def test_environments_have_their_packages_and_nobody_else_has_them(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.environments, "makes environments")
        old, new = (_environment(harness, version) for version in ("1.0", "2.0"))
        calls = [_asks(Requirements(environment=old)), _asks(Requirements(environment=new)), _asks(Requirements())]
        found = _outputs(harness.run(*calls, timeout=_BUILD_S))
        assert found == ["1.0", "2.0", None], found

    def test_an_environment_that_cannot_be_made_fails_its_own_attempts_only(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.environments, "makes environments")
        nowhere = (harness.folder / "absent-1.0-py3-none-any.whl").as_uri()
        broken = _asks(Requirements(environment=_written(harness, f"absent @ {nowhere}")))
        [outcome, other] = harness.run(broken, call("add", a=1, b=1), timeout=_BUILD_S)
        assert isinstance(outcome, Failed), outcome
        assert outcome.error == "Skylift.Environment" and "absent" in json.loads(outcome.cause)["errorMessage"]
        assert isinstance(other, Succeeded), other

    # Images -----------------------------------------------------------------------------------------------------

    def test_a_task_runs_in_its_image_and_others_do_not(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.images, "runs images")
        assert harness.image is not None, "a backend that runs images needs Harness.image"
        needs = Requirements(image=harness.image.name)
        file = harness.image.file
        calls = [call("add", a=1, b=1, requirements=needs)]
        if file is not None:
            calls += [call("read_text", path=file, requirements=needs), call("read_text", path=file)]
        found = _outputs(harness.run(*calls))
        assert found == [2, harness.image.text, None][: len(calls)], found

    def test_an_image_that_is_nowhere_is_a_failure_that_names_it(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.images, "runs images")
        assert harness.image is not None, "a backend that runs images needs Harness.image"
        absent = harness.image.absent
        skip_unless(absent is not None, "looks at images")
        [outcome] = harness.run(call("add", a=1, b=1, requirements=Requirements(image=absent)))
        assert isinstance(outcome, Failed) and outcome.error == "Skylift.Image", outcome
        assert str(absent) in outcome.cause

    # Warnings ---------------------------------------------------------------------------------------------------

    def test_an_attempt_is_told_that_its_machine_goes(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.warns, "warns attempts")
        outcome = _warned(harness, "heed_warning")
        assert isinstance(outcome, Succeeded) and 0 < outcome.output <= 120, outcome

    def test_who_dies_of_the_warning_was_preempted(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.warns, "warns attempts")
        outcome = _warned(harness, "die_of_warning")
        assert isinstance(outcome, Lost) and outcome.preempted, outcome


def _environment(harness: Harness, version: str) -> str:
    return _written(harness, make_wheel(harness.folder / version, _PACKAGE, version))


def _written(harness: Harness, line: str) -> str:
    """Where the backend finds it, as the compiler writes it."""
    from skylift.compute.environments import write_spec
    from skylift.stores.open import open_blobs

    assert harness.blobs is not None, "a backend that makes environments needs Harness.blobs"
    return write_spec(EnvironmentSpec(requirements=(line,)), open_blobs(harness.blobs))


def _asks(needs: Requirements) -> TaskCall:
    return call("version_of", module=_PACKAGE, requirements=needs)


def _outputs(outcomes: Sequence[Outcome]) -> list[object]:
    return [outcome.output if isinstance(outcome, Succeeded) else outcome for outcome in outcomes]


def _warned(harness: Harness, target: str) -> Outcome:
    """What becomes of an attempt whose machine is announced to go, once it listens."""
    import msgspec

    assert harness.warn is not None, "a backend that warns needs Harness.warn"
    ears = harness.folder / "ears"
    one = msgspec.structs.replace(call(target, path=str(ears)), market="spot")
    harness.backend.submit([one])
    until(ears.exists, WAIT_S * harness.patience)
    harness.warn(one.token)
    [outcome] = harness.wait(one)
    return outcome
