"""Any event at any time, with any token, number or value: the core never raises."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.asl import events
from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.asl.state import decode_state, encode_state
from skylift.testing.virtual import CONTEXT

WORK = {"Type": "Task", "Resource": "arn:aws:states:::skylift:work", "End": True}
INNER = {"StartAt": "T", "States": {"T": WORK}}
OTHER = {"StartAt": "U", "States": {"U": WORK}}
WIDE = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **OTHER}
DOCUMENT = {
    "StartAt": "C",
    "States": {
        "C": {"Type": "Choice", "Choices": [{"Variable": "$", "IsPresent": True, "Next": "P"}]},
        "P": {"Type": "Parallel", "Next": "W", "Branches": [{"StartAt": "M", "States": {"M": {}}}]},
        "W": {"Type": "Wait", "SecondsPath": "$[0]", "Next": "D"},
        "D": {"Type": "Map", "ItemProcessor": WIDE, "ItemsPath": "$.items", "End": True},
    },
}
DOCUMENT["States"]["P"]["Branches"][0]["States"]["M"] = {"Type": "Map", "ItemProcessor": INNER, "End": True}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
small = st.integers(0, 6)
tokens = st.builds("{}-{}".format, small, small) | st.text(max_size=6)
anything = st.one_of(
    st.builds(
        events.RunStarted, input=values, seed=small, context=st.just(CONTEXT) | st.dictionaries(st.text(), values)
    ),
    st.builds(events.TaskStarted, token=tokens),
    st.builds(events.TaskSubmitted, token=tokens, output=values),
    st.builds(events.TaskSucceeded, token=tokens, output=values),
    st.builds(events.TaskFailed, token=tokens, error=st.none() | st.text(max_size=3), cause=st.none() | st.text()),
    st.builds(events.TaskTimedOut, token=tokens, heartbeat=st.booleans()),
    st.builds(events.TimerFired, timer=small),
    st.builds(events.ItemsRead, reader=small, items=st.lists(values, max_size=3)),
    st.builds(events.ItemsReadFailed, reader=small, error=st.text(), cause=st.text()),
    st.builds(events.ResultsWritten, writer=small, details=st.just({})),
    st.builds(events.ResultsWriteFailed, writer=small, error=st.text(), cause=st.text()),
    st.just(events.StopRequested()),
    st.just(events.PauseRequested()),
    st.just(events.ResumeRequested()),
    st.just(events.RedriveRequested()),
    st.builds(events.MapRunUpdated, map_run=st.text(), max_concurrency=small),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(anything, max_size=25), st.integers(0, 2**32), st.lists(values, max_size=4))
def test_never_raises(taken: list[events.Event], seed: int, items: list[object]) -> None:
    machine = Machine(load(DOCUMENT))
    state = machine.begin()
    rng = random.Random(seed)
    if rng.random() < 0.9:
        machine.advance(state, events.RunStarted(input=items, seed=seed, context=CONTEXT), 0)
    for number, event in enumerate(taken):
        machine.advance(state, event, number)
        assert not str(state.cause).startswith("Skylift could not handle this event")
    decode_state(encode_state(state))
