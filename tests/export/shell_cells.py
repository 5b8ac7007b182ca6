"""Runs notebooks in real IPython, one after the other: `python -m tests.export.shell_cells` with JSON on its input."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell


class Quiet(DisplayHook):
    """Shows no value of a cell's last line, which a script does not print either."""

    def __call__(self, result: object = None) -> None:
        pass


class Shell(InteractiveShell):
    """A shell whose cells write to standard output only."""

    displayhook_class = Quiet


def run(cells: list[str], folder: Path) -> str:
    """Return the error that ended the notebook, or nothing."""
    folder.mkdir()
    os.chdir(folder)
    Shell.clear_instance()
    shell = Shell.instance()
    for cell in cells:
        result = shell.run_cell(cell, store_history=True)
        sys.stdout.flush()
        if error := result.error_before_exec or result.error_in_exec:
            return repr(error)
    return ""


def main() -> None:
    asked = json.loads(sys.stdin.read())
    # As a kernel has it.
    sys.path.insert(0, "")
    real, errors = os.dup(1), {}
    before, environ, path, modules = Path.cwd(), {**os.environ}, [*sys.path], {*sys.modules}
    for name, cells in asked["notebooks"].items():
        with (Path(asked["folder"]) / f"{name}.out").open("wb") as said:
            os.dup2(said.fileno(), 1)
            errors[name] = run(cells, Path(asked["folder"]) / name)
        os.dup2(real, 1)
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environ)
        sys.path[:] = path
        for other in {*sys.modules} - modules:
            if Path(getattr(sys.modules[other], "__file__", None) or "/").is_relative_to(asked["folder"]):
                del sys.modules[other]
    print(json.dumps(errors))


if __name__ == "__main__":
    main()
