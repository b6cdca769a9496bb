"""A list in a cell of text is read however it is written, and none of it is run."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

from peftlab.data.list_cells import LONGEST_LIST, is_list, is_no_word, list_in

LISTS: list[tuple[str, list[Any]]] = [
    ('["joy", "fear"]', ["joy", "fear"]),
    ("['joy', 'fear']", ["joy", "fear"]),
    ('[\'it\\\'s\', "a \\"b\\""]', ["it's", 'a "b"']),
    ("['a, b', '[c]']", ["a, b", "[c]"]),
    ("['joy' 'fear'\n 'awe']", ["joy", "fear", "awe"]),  # as NumPy prints
    ("['joy',]", ["joy"]),
    ("['\\u732b \\x41 \\n']", ["猫 A \n"]),
    (" [] ", []),
    ("[ ]", []),
    ("[0, 1, 0]", [0, 1, 0]),
    ("[0 1 0]", [0, 1, 0]),
    ("[0. 1.]", [0.0, 1.0]),
    ("[True, False]", [True, False]),
    ("[true, false]", [True, False]),
    ("[joy, fear]", ["joy", "fear"]),
    ("[very happy, don't know]", ["very happy", "don't know"]),
    ("('joy', 'fear')", ["joy", "fear"]),
    ("('joy',)", ["joy"]),
    ("()", []),
    ("{'joy', 'fear'}", ["joy", "fear"]),
    ("{'joy'}", ["joy"]),
    ("set()", []),
    ("frozenset({'joy'})", ["joy"]),
    ("set(['joy', 'fear'])", ["joy", "fear"]),
    ("{joy,fear}", ["joy", "fear"]),  # as Postgres writes
    ('{joy,"no \\"fear\\""}', ["joy", 'no "fear"']),
    ("{}", []),
    ("array(['joy', 'fear'], dtype=object)", ["joy", "fear"]),
    ("array(['joy',\n       'fear'], dtype='<U4')", ["joy", "fear"]),
    ("np.array([0, 1])", [0, 1]),
    ("array([], dtype=float64)", []),
    ("tensor([0., 1.])", [0.0, 1.0]),
    ("[np.str_('joy'), np.str_('fear')]", ["joy", "fear"]),
    ("[np.int64(0), np.float64(1.0), np.True_]", [0, 1.0, True]),
]


@pytest.mark.parametrize(("text", "items"), LISTS)
def test_a_list_is_its_items_whoever_wrote_it(text: str, items: list[Any]) -> None:
    assert list_in(text) == items
    assert is_list(text)
    assert is_no_word(text)


@pytest.mark.parametrize("text", ["[spam]", "{spam}", "[no spam]", "(1)", "[don't]"])
def test_one_word_in_brackets_may_be_a_list_or_a_word(text: str) -> None:
    assert list_in(text) is not None
    assert not is_list(text)
    assert not is_no_word(text)


@pytest.mark.parametrize(
    "text",
    [
        '["joy"', "['joy]", "['a''b']", "[, 'a']", "['a' 'b'", "['a' ... 'z']", "[0 ... 1]",
        "['a', None, x]", "{'a': 1}", '{"choices": ["a", "b"]}', "{joy: 1}", "{a:1, b:0}",
        "[['a'], ['b', c]]", "[{'a': 1}]", "[b'joy']", '{"a": {"b": 1}}',
    ],
)  # fmt: skip
def test_what_was_meant_as_a_list_or_an_object_is_no_word(text: str) -> None:
    assert list_in(text) is None
    assert is_no_word(text)


@pytest.mark.parametrize(
    "text",
    [
        "joy", "", ":(", "(-:", "[joy", "joy]", "a (b)", "(a) or (b)", "sports [soccer, tennis]",
        "f(x)", "(joy, fear)", "(spam)",
        "don't", "'quoted'", "arrays([1])", "['a'] and more"[1:], "a:b",
    ],
)  # fmt: skip
def test_a_word_is_a_word(text: str) -> None:
    assert list_in(text) is None
    assert not is_no_word(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000, "[" + "'a'," * 10**6 + "]", "{" + " " * 200_000 + '"}',
        "[" + " " * 200_000 + "'", "array([" + ", dtype=" * 30_000 + "x])",
        "{" + "a:" * 100_000 + "}", "[np.str_(" + " " * 200_000 + ")]", "{" + '"' * 200_001 + "}",
        "[" + "1" * (LONGEST_LIST - 2) + "e]", "(" * 200_000, "x" * 200_000 + ".array([1])",
        "['a'" + " " * 200_000 + ";]", "{" + "\\" * 200_000 + "}",
    ],
)  # fmt: skip
def test_long_texts_that_are_no_list_are_told_at_once(text: str) -> None:
    began = perf_counter()
    assert list_in(text) is None
    is_list(text)
    is_no_word(text)
    assert perf_counter() - began < 2.0


def test_nothing_is_run() -> None:
    for text in ("[__import__('os')]", "array(exec('1'))", "{f(): 1}", "[x for x in 'ab']"):
        assert list_in(text) in (None, ["x for x in 'ab'"])
