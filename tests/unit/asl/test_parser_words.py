"""Syntax errors of JSON in the words of the service's parser."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skylift.asl.parse import parse
from skylift.asl.validation.parser_words import service_words

VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("not a definition", f"Unrecognized token 'not': was expecting {VALUES}", 1, 4),
        ('{"a": tru', f"Unrecognized token 'tru': was expecting {VALUES}", 1, 10),
        ('{"a":1,}', "Unexpected character ('}' (code 125)): was expecting double-quote to start field name", 1, 9),
        ("{a:1}", "Unexpected character ('a' (code 97)): was expecting double-quote to start field name", 1, 3),
        (
            '{"a" 1}',
            "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value",
            1,
            7,
        ),
        ('{"a":1\n"b"', "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries", 2, 2),
        ('["{" 2]', "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", 1, 7),
        ('{"a":}', f"Unexpected character ('}}' (code 125)): expected a valid value {VALUES}", 1, 7),
        ('{"a":"x', "Unexpected end-of-input: was expecting closing quote for a string value", 1, 8),
        ('{"a":"\\x"}', "Unrecognized character escape 'x' (code 120)", 1, 9),
        (
            '{"a":[1,',
            "Unexpected end-of-input: expected close marker for Array "
            '(start marker at [Source: (String)"{"a":[1,"; line: 1, column: 6])',
            1,
            9,
        ),
    ],
)
def test_words(text: str, message: str, line: int, column: int) -> None:
    (found,) = parse(text).diagnostics
    place = f'[Source: (String)"{text}"; line: {line}, column: {column}]'
    assert (found.service_code, found.service_location) == ("INVALID_JSON_DESCRIPTION", place)
    assert found.service_message == f"{message}\n at {place}"


@given(st.text(alphabet='{}[]:,"\\ \n1tuna-.e', max_size=30))
def test_every_broken_text_has_words(text: str) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError as problem:
        message, place = service_words(text, problem)
        assert message.endswith(place)
        assert place.startswith("[Source: (String)")
