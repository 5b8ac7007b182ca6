"""`%run file.py` of a notebook, in a script."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from jupyter_gpu_ext.errors import NotFoundError
from jupyter_gpu_ext.text import printable

# What every module has of its own.
_OWN = frozenset((
    "__name__", "__file__", "__builtins__", "__doc__", "__loader__", "__package__", "__spec__", "__annotations__",
))  # fmt: skip


def run_file(path: object, *arguments: object) -> dict[str, Any]:
    """Run a Python file as a program of its own and return its variables, as `%run` binds them in a notebook.

    Parameters
    ----------
    path : str
        From the current folder, or else from that of the script; `.py` may be left out.
    *arguments : object
        What the program finds in `sys.argv`.

    Raises
    ------
    NotFoundError
        When there is no such file.
    SystemExit
        When the program ends with an exit code other than 0.
    """
    file = _found(Path(str(path)).expanduser())
    module, before = ModuleType("__main__"), (sys.argv, sys.modules["__main__"])
    module.__file__ = str(file)
    code = compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    sys.argv, sys.modules["__main__"] = [str(file), *map(_argument, arguments)], module
    sys.path.insert(0, str(file.parent))
    try:
        exec(code, module.__dict__)  # noqa: S102 -- the notebook's own file
    except SystemExit as ended:
        # `sys.exit(main())` ends a program, not the notebook that it is part of.
        if ended.code not in (None, 0):
            raise
    finally:
        sys.argv, sys.modules["__main__"] = before
        if str(file.parent) in sys.path:
            sys.path.remove(str(file.parent))
    return {name: value for name, value in vars(module).items() if name not in _OWN}


def _argument(value: object) -> str:
    return os.path.expanduser(str(value))  # noqa: PTH111 -- it need not be a path


def _found(path: Path) -> Path:
    folders = (Path(), Path(getattr(sys.modules["__main__"], "__file__", None) or "").parent)
    for one in (folder / name for folder in folders for name in (path, f"{path}.py")):
        if one.is_file():
            return one.resolve()
    raise NotFoundError(f"There is no file {printable(str(path))} to run.", hint="Put it beside the script.")
