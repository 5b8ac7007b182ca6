"""Notebooks made to do harm: only code cells become code, everything else is a comment or a refusal."""

from __future__ import annotations

import ast
import io
import tokenize
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.script import make_script
from jupyter_gpu_ext.job.where import cell_of
from tests.export.notebooks import code, notebook, script, text

BREAKS = ["\r", "\n", "\r\n", "\f", "\v", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\0", "\ud800"]
KEY = "k" * 86 + "=="
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER}


def code_tokens(made: str) -> list[str]:
    """Return what Python reads in the bytes of a script, beside comments."""
    tokens = tokenize.tokenize(io.BytesIO(made.encode()).readline)
    return [token.string for token in tokens if token.type not in LAYOUT]


@pytest.mark.parametrize("kind", ["markdown", "raw", "heading", None])
@pytest.mark.parametrize("mark", BREAKS, ids=ascii)
def test_no_break_turns_text_into_code(kind: Any, mark: str) -> None:
    made = script(text(f"safe{mark}import os{mark}{mark}'''{mark}\"\"\"{mark}\\{mark}", kind))
    assert code_tokens(made) == []
    assert all(line.startswith("#") for line in made.split("\n") if line)


@pytest.mark.parametrize("kind", ["markdown", "raw"])
@pytest.mark.parametrize(
    "lines",
    [
        "%%bash\nrm -rf x",
        "!rm x",
        "obj?",
        "await x",
        "def f(:",
        "'''",
        '"""\nimport os\n"""',
        "# %% cell 9",
        "# lines: 1=9.9",
    ],
)
def test_what_is_a_line_of_code_elsewhere_is_a_comment(kind: str, lines: str) -> None:
    made = script(text(lines, kind), "x = 1")
    assert code_tokens(made) == code_tokens(script("x = 1"))


@pytest.mark.parametrize("mark", [one for one in BREAKS if one not in "\r\n\0\ud800"], ids=ascii)
def test_a_break_in_a_text_of_the_code_stays_one(mark: str) -> None:
    made = script(f"x = 'a{mark}b'  # c{mark}d\ny = 2", "z = x")
    wanted = f"a{mark}b"
    tree = ast.parse(made.encode())
    assert wanted in [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    line = next(node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "y")
    assert cell_of(made, line) == (1, 2)


PROSE = st.text(st.one_of(st.sampled_from("".join(BREAKS)), st.characters()), max_size=40)


@given(PROSE, st.sampled_from(["markdown", "raw"]))
@example("# -*- coding: utf-7 -*-", "markdown")
@example("# %% cell 1\n+AAoimport os", "raw")
def test_prose_never_becomes_code(prose: str, kind: str) -> None:
    made = script(text(prose, kind), "x = 1", text(prose, kind))
    assert code_tokens(made) == code_tokens(script("x = 1"))
    compile(made.encode(), "made", "exec")


@pytest.mark.parametrize(
    "name",
    ["../../evil.sh", "a\nimport os", "a\r\u2028import os", "# coding: utf-7", "-*- coding: latin-1 -*-", "\ud800"],
)
def test_a_name_is_only_a_comment(name: str) -> None:
    made = make_script(notebook("x = 'é'"), name=name, version="0.0.0").text
    assert code_tokens(made) == code_tokens(script("x = 'é'"))
    assert "é" in [node.value for node in ast.walk(ast.parse(made.encode())) if isinstance(node, ast.Constant)]


@pytest.mark.parametrize(
    "identity", ["x\nimport os", 'a"b', "a" * 65, "", 7, None, ["a"]], ids=lambda one: ascii(one)[:12]
)
def test_a_strange_cell_id_is_left_out(identity: Any) -> None:
    made = script({**code("x = 1"), "id": identity})
    assert "# %% cell 1\n" in made


@pytest.mark.parametrize(
    "metadata",
    [
        {"language_info": {"name": "python", "nbconvert_exporter": "os.system", "file_extension": "/../../x.sh"}},
        {"language_info": {"file_extension": ".sh", "mimetype": "text/html"}},
        {"kernelspec": "python", "language_info": ["x"]},
        {"kernelspec": {"language": "Python"}, "language_info": {"name": "ipython3"}},
        {"kernelspec": {"language": 3}},
        {"widgets": {"x": "\nimport os"}, "title": "\rimport os"},
    ],
)
def test_metadata_changes_nothing(metadata: dict[str, Any]) -> None:
    assert script("x = 1", **metadata) == script("x = 1")


def test_outputs_and_attachments_are_not_read() -> None:
    cell = code("x = 1") | {
        "outputs": [{"output_type": "stream", "text": KEY * 1_200_000}],
        "attachments": {"../x": {"image/png": KEY}},
    }
    assert len(cell["outputs"][0]["text"]) > 100e6
    assert script(cell) == script("x = 1")


CANARY = "sig=c4naryC4NARYc4nary0123456789%3D"


def test_a_secret_beside_the_code_is_not_in_the_script() -> None:
    cell = code("x = 1", CANARY) | {
        "id": CANARY, "attachments": {CANARY: {"text/plain": CANARY}}, "execution_count": CANARY,
        "outputs": [{"output_type": "error", "ename": CANARY, "evalue": CANARY, "traceback": [CANARY]}],
    }  # fmt: skip
    cell["metadata"] |= {"name": CANARY, CANARY: CANARY}
    document = notebook(
        cell, code(f"y = '{CANARY}'", "skip"), code(f"# {CANARY}\nz = 1", "skip", "parameters"),
        title=CANARY, kernelspec={"name": CANARY, "display_name": CANARY, "language": "python"},
        language_info={"name": "python", "file_extension": CANARY, "nbconvert_exporter": CANARY},
    )  # fmt: skip
    made = make_script(document, name=f"x?{CANARY}.ipynb", version="0.0.0", ran={1: CANARY, 2: CANARY})
    assert "c4nary" not in f"{made.text}{made.remarks}".lower()
    only = script(code("x = 1", "export"), f"y = '{CANARY}'")
    assert "c4nary" not in only.lower()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "This is no notebook."),
        ([], "This is no notebook."),
        ({}, "This is no notebook."),
        ({"nbformat": 4}, "This is no notebook."),
        ({"nbformat": 4, "cells": {}}, "This is no notebook."),
        ({"nbformat": "4", "cells": []}, "This is no notebook."),
        ({"nbformat": 3, "worksheets": []}, "The notebook is of the old format 3."),
        (notebook(kernelspec={"language": "julia"}), "written in julia, not in Python"),
        (notebook(language_info={"name": "R\n"}), "written in R\\n, not in Python"),
        (notebook({"cell_type": "code", "source": 7}), "Cell 1 holds no text."),
        (notebook({"cell_type": "code", "source": ["a", 7]}), "Cell 1 holds no text."),
        (notebook("x = '\0'"), "Cell 1, line 1"),
        (notebook("x = '\ud800'"), "Cell 1, line 1"),
        (notebook("(" * 5000), "Cell 1, line 1"),
        (notebook("x = 1" + "+1" * 20000), "Cell 1, line 1"),
        (notebook("%%time\n" * 3 + "?"), "Cell 1, line 4"),
    ],
)
def test_what_is_no_python_notebook_is_refused(document: Any, message: str) -> None:
    with pytest.raises(ExportRefusedError) as refused:
        make_script(document, name="x.ipynb", version="0.0.0")
    assert message in refused.value.message
    assert refused.value.hint


def test_missing_fields_are_empty_ones() -> None:
    document = {"nbformat": 4, "cells": [{}, {"cell_type": "code"}, 3, {"source": ["# a\n", "b"]}]}
    assert code_tokens(make_script(document, name="x", version="0").text) == []


def test_many_nested_timers_end() -> None:
    assert "x = 1" in script("%%time\n" * 200 + "x = 1")


@pytest.mark.parametrize(
    "secret",
    [
        "sig=abcDEF123%2BxyzGHI456%3D",
        f"AccountKey={KEY}",
        KEY,
        "Authorization: Bearer abcdef.123456.ghijkl",
        "https://user:pass-word@host/x",
    ],
)
@pytest.mark.parametrize(
    "cell",
    [
        "x = '{}'",
        "# {}",
        "%load_blob 'https://a/b?{}'",
        "%load_blob \\\n  'https://a/b?{}'",
        "!curl '{}'",
        "get_ipython().run_line_magic('load_ext', '{}')",
        text("see {}"),
        text("{}", "raw"),
    ],
    ids=str,
)
def test_a_secret_is_refused_and_not_told(secret: str, cell: str | dict[str, Any]) -> None:
    plain = code(cell) if isinstance(cell, str) else cell
    filled = plain | {"source": plain["source"].replace("{}", secret)}
    with pytest.raises(ExportRefusedError, match="Cell 2 holds what looks like a storage secret") as refused:
        script("x = 1", filled)
    assert secret not in str(refused.value)


def test_a_secret_that_only_the_translation_shows_is_refused() -> None:
    with pytest.raises(ExportRefusedError, match="Cell 1 holds"):
        script(r"get_ipython().run_line_magic('load_ext', 's\x69g=abcdef123456GHIJKL7890')")


def test_a_secret_in_the_file_name_is_not_told() -> None:
    assert "abcdef" not in make_script(notebook(), name="x?sig=abcdef123456GHIJKL7890.ipynb", version="0.0.0").text


@pytest.mark.parametrize(
    "line",
    [
        "%load_ext x\\\nimport os",
        "get_ipython().run_line_magic('load_ext', 'x\\nimport os')",
        "get_ipython().run_line_magic('load_ext', 'x\\u2028\\rimport os')",
        "get_ipython().run_line_magic('blob', 'ls a # c\\nimport os')",
        "get_ipython().system('pip install x\\nimport os')",
    ],
)
def test_a_note_is_one_comment(line: str) -> None:
    assert "os" not in code_tokens(script(line))
