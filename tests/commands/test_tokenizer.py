"""The rules of a command line, one row each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_gpu_ext.commands.tokenizer import comment, tokenize
from jupyter_gpu_ext.commands.word import Expression, Variable
from jupyter_gpu_ext.errors import UsageError

QUOTING = json.loads((Path(__file__).parents[1] / "quoting.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", QUOTING, ids=lambda row: row["quoted"])
def test_a_quoted_name_is_one_word_that_is_the_name(row: dict[str, str]) -> None:
    (word,) = tokenize(row["quoted"])
    assert word.literal == row["text"]


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("a' 'b", ["a b"]),
        (r"a\ b", ["a b"]),
        (r"'a\b'", [r"a\b"]),
        (r'"a\"b\\c\d"', [r"a\"b\c\d".replace('\\"', '"')]),
        ("''", [""]),
        ("a#b #c", ["a#b"]),
        ("# all", []),
        ("a;", ["a"]),
        ("a; # c", ["a"]),
        (r"a\;", ["a;"]),
        ("'a;'", ["a;"]),
        ("'a#' # b", ["a#"]),
        ("{a,b}.pt {1..3} {a.*,b.*}", ["{a,b}.pt", "{1..3}", "{a.*,b.*}"]),
        ("{{a}} $$b $1 $", ["{a}", "$b", "$1", "$"]),
    ],
)
def test_text(line: str, texts: list[str]) -> None:
    assert [word.literal for word in tokenize(line)] == texts


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("{x}", "x"),
        ("{ d['k'] }", "d['k']"),
        ("{f(1, 2)}", "f(1, 2)"),
        ('{d["}"]}', 'd["}"]'),
        ("{x[1:3]}", "x[1:3]"),
        ("{(1, 2)}", "(1, 2)"),
        ("'{a b c}'", None),
        ("{'a' 'b'}", "'a' 'b'"),
        ("{x # y}", None),
    ],
)
def test_braces_hold_one_expression_or_are_refused(line: str, source: str | None) -> None:
    if source is None:
        with pytest.raises(UsageError) as refused:
            tokenize(line)
        assert "{{ and }}" in refused.value.hint
    else:
        assert [word.parts for word in tokenize(line)] == [(Expression(source),)]


def test_a_variable_may_stand_in_a_word() -> None:
    (word,) = tokenize("a://$run/x.pt")
    assert word.parts == ("a://", Variable("run"), "/x.pt")
    assert word.bind({"run"}).to_python() == 'f"a://{run}/x.pt"'
    assert word.bind(()).literal == "a://$run/x.pt"


def test_an_open_quote_is_refused_with_its_column() -> None:
    with pytest.raises(UsageError, match="column 3"):
        tokenize("a 'b")


@pytest.mark.parametrize(
    ("line", "remark"),
    [("a # b", "# b"), ("a#b", ""), ("'# a'", ""), ("a 'x' ; # b # c", "# b # c"), ("#", "#"), ("", "")],
)
def test_comment(line: str, remark: str) -> None:
    assert comment(line) == remark
