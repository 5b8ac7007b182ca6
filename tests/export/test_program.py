"""`%run` in a script: what the file sees, what comes back, and how it ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jupyter_gpu_ext.errors import NotFoundError
from jupyter_gpu_ext.job.program import run_file
from tests.export.notebooks import script
from tests.export.test_same import run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_program_sees_its_arguments_and_gives_its_variables(here: Path) -> None:
    (here / "a b.py").write_text("import sys\nseen = [*sys.argv], __name__, __file__, sys.path[0]\n__version__ = 1")
    argv, path, main = [*sys.argv], [*sys.path], sys.modules["__main__"]
    found = run_file("a b", 1, "~", "x y")
    assert found.keys() == {"sys", "seen", "__version__"}
    file = str(here / "a b.py")
    assert found["seen"] == ([file, "1", str(Path.home()), "x y"], "__main__", file, str(here))
    assert (sys.argv, sys.path, sys.modules["__main__"]) == (argv, path, main)


def test_what_it_defines_finds_its_own_names(here: Path) -> None:
    (here / "a.py").write_text("n = 2\ndef f():\n    return n")
    names = run_file("a.py")
    names["n"] = 3
    assert names["f"]() == 2


@pytest.mark.parametrize("end", ["sys.exit()", "sys.exit(0)", "raise SystemExit"])
def test_a_program_that_ends_well_ends_itself_only(here: Path, end: str) -> None:
    (here / "a.py").write_text(f"import sys\nx = 1\n{end}\ny = 2")
    assert run_file("a.py").keys() == {"sys", "x"}


@pytest.mark.parametrize(("end", "error"), [("raise SystemExit(3)", SystemExit), ("1 / 0", ZeroDivisionError)])
def test_a_program_that_fails_ends_all(here: Path, end: str, error: type[BaseException]) -> None:
    (here / "a.py").write_text(end)
    before = [*sys.argv], [*sys.path], sys.modules["__main__"]
    with pytest.raises(error):
        run_file("a.py")
    assert before == (sys.argv, sys.path, sys.modules["__main__"])


@pytest.mark.parametrize("path", ["none.py", "", ".", "a\nb"])
def test_no_file_is_one_sentence(here: Path, path: str) -> None:
    with pytest.raises(NotFoundError, match="There is no file") as missing:
        run_file(path)
    assert "\n" not in str(missing.value)


def test_a_file_beside_the_script_is_found_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("word = 'found'\nprint(__name__)")
    made = script("%cd -q /", "%run helper", "print(word)", "%run none.py")
    done = run(made, tmp_path, "--skip-preflight")
    assert (done.returncode, done.stdout) == (1, "__main__\nfound\n")
    assert done.stderr.splitlines()[-1] == "In the notebook: cell 4, line 1."
