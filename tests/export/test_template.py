"""Shell lines expand as IPython expands them: its own formatter is the oracle."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from IPython.utils.text import DollarFormatter

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.template import to_python

NAMES = {"x": 3, "d": {"k": [1, 2]}, "größe": "a'b\"c\\d"}
PIECES = [
    *(
        "$x",
        "{x}",
        "{x + 1}",
        "$größe",
        "{größe}",
        "{d['k'][0:1]}",
        '{d["k"]}',
        "{x!r}",
        "{x:1}",
        "{'}'}",
        "{[y for y in d]}",
    ),
    *("{{", "}}", "$$HOME", "$HOME", "{HOME}", "{}", "{", "}", "'", '"', "\\", " ", "a", "{print $1}", "$1", "{x # }"),
]


def _by_ipython(text: str) -> str:
    try:
        return DollarFormatter().vformat(text, [], dict(NAMES))
    except Exception:  # noqa: BLE001 -- as IPython does
        return text


@given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
def test_the_source_gives_what_ipython_gives(text: str) -> None:
    try:
        source = to_python(text, set(NAMES))
    except ExportRefusedError:
        # Only where IPython gives up on a line that has a variable in it.
        assert _by_ipython(text) == text
        return
    assert eval(source, dict(NAMES)) == _by_ipython(text)


def test_a_variable_alone_becomes_text() -> None:
    assert eval(to_python("{x}", {"x"}), {"x": 3}) == "3"
