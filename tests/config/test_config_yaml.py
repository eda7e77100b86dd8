"""The YAML subset: what is refused before anything is built, and how plain words resolve."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import ConfigError
from config.yaml_reader import DEPTH_MAX, FILE_BYTES_MAX, parse, read_file, resolve

BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


def refused(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml")
    assert str(caught.value).isprintable()
    return caught.value


def test_entries_carry_path_value_and_line():
    entries = parse("a:\n  b: 1\n  c:\n    d: [x, 2]\ne: 'true'\n", "f.yaml")
    assert [tuple(entry) for entry in entries] == [
        ("a.b", 1, 2),
        ("a.c.d", ["x", 2], 4),
        ("e", "true", 5),
    ]


def test_alias_bomb_is_refused_at_its_first_anchor_without_being_built():
    start = time.process_time()
    assert "line 1: anchors and aliases are not allowed" in refused(BOMB).message
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: &x 1\n", "line 1: anchors and aliases"),
        ("a: *x\n", "line 1: anchors and aliases"),
        ("a: {<<: *x}\n", "malformed key"),
        ("&x a: 1\n", "anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", "tags are not allowed"),
        ("a: !!int 1\n", "tags are not allowed"),
        ("a: 1\n---\nb: 2\n", "more than one document"),
        ("a: 1\na: 2\n", "duplicate key in f.yaml line 2"),
        ("a:\n  b: 1\n  b: 1\n", "duplicate key in f.yaml line 3"),
        ('a: 1\n"a": 2\n', "duplicate key in f.yaml line 2"),
        ("a.b: 1\n", "malformed key"),
        ("1: 1\n", "malformed key"),
        ("[a]: 1\n", "malformed key"),
        ("? {a: 1}\n: 1\n", "malformed key"),
        ("a: [[1]]\n", "list holds a list or mapping"),
        ("a: [{b: 1}]\n", "list holds a list or mapping"),
        ("a: [1\n", "line 2: not YAML"),
        ("a: 1\n\tb: 2\n", "line 2: not YAML"),
        ("a: \x07\n", "not YAML"),
        ("a: 1\n---\n--- [\n", "more than one document"),
        ("a: 1\n]\n", "line 2: not YAML"),
        ("{a: 1} b\n", "line 1: not YAML"),
        ("text\n", "must be a mapping of sections"),
    ],
)
def test_refused_with_its_reason(text, what):
    assert what in str(refused(text))


def test_duplicate_key_error_names_the_key():
    assert refused("risk:\n  x: 1\n  x: 2\n").key == "risk.x"


def test_depth_is_limited_before_the_stack_is():
    assert f"nested deeper than {DEPTH_MAX}" in refused("{a: " * 20_000).message
    assert "list holds a list or mapping" in refused("a: " + "[" * 100_000).message


def test_file_size_is_limited(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("a: 1\n" + "#" * (FILE_BYTES_MAX - 5))
    assert len(read_file(path)) == 1
    path.write_text("a: 1\n" + "#" * (FILE_BYTES_MAX - 4))
    with pytest.raises(ConfigError, match="larger than 262144 bytes"):
        read_file(path)


def test_what_is_no_text_file_is_refused(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 3"):
        read_file(path)
    with pytest.raises(ConfigError, match="not a regular file"):
        read_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_file(tmp_path / "pipe")


def test_byte_order_mark_and_carriage_returns_are_read(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    assert [(entry.path, entry.value) for entry in read_file(path)] == [("a", 1), ("b", "x")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", "True"),
        ("no", "no"),
        ("off", "off"),
        ("~", None),
        ("", None),
        ("-7", -7),
        ("0", 0),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("0ms", "0ms"),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("-1.", -1.0),
        ("2026-01-01", "2026-01-01"),
        ("-.inf", float("-inf")),
    ],
)
def test_plain_words_resolve_as_in_yaml_1_2(text, value):
    got = resolve(text)
    assert got == value and type(got) is type(value)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text(alphabet="ab:1 -[]{}&*!?|>'\"#\n\t\x00é,.~", max_size=60))
def test_any_text_parses_or_is_refused_in_one_line(text):
    try:
        entries = parse(text, "f.yaml")
    except ConfigError as error:
        assert str(error).isprintable()
    else:
        assert len({entry.path for entry in entries}) == len(entries)
