"""Client order ids: one to one, within the venue's rules, and nobody else's are taken for ours."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from executor.client_ids import NUMBER_MAX, base36, client_id, parse_client_id

VENUE_RULE = re.compile(r"^[\.A-Z\:/a-z0-9_-]{1,36}$")
numbers = st.integers(0, NUMBER_MAX)


@given(numbers, numbers)
@example(NUMBER_MAX, NUMBER_MAX)
@example(0, 0)
def test_there_and_back(epoch, order_id):
    text = client_id(epoch, order_id)
    assert VENUE_RULE.match(text)
    assert parse_client_id(text) == (epoch, order_id)


@given(numbers)
def test_base36_is_what_int_reads(value):
    assert int(base36(value), 36) == value


@pytest.mark.parametrize(
    "text",
    ["", "sc-", "sc-1", "sc-1-", "sc--1", "sc-1-1-1", "sc-01-1", "sc-1-01", "SC-1-1", "sc-A-1",
     "sc-1-1\n", " sc-1-1", "sc-1-zzzzzzzzzzzzz", "web_123", "autoclose-1", "x-1", None, 7,
     "sc-١-1"],
)  # fmt: skip
def test_foreign_ids(text):
    assert parse_client_id(text) is None


@given(st.text(max_size=40))
def test_whatever_is_parsed_was_made_by_us(text):
    parsed = parse_client_id(text)
    assert parsed is None or client_id(*parsed) == text
