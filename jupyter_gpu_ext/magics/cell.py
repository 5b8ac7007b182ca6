"""`%%gpu`: run the cell inside `jg.measure()`, the block that a script has in its place."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_HELP = """%%gpu

Run the cell, then say its peak of device memory, its time, the bytes that came from storage and how long it waited for
them. In a script: with jg.measure(): …"""


def register(shell: InteractiveShell) -> None:
    """Register `%%gpu` with the shell."""

    def gpu(line: str, cell: str) -> None:
        __tracebackhide__ = True
        if line.strip() in ("-h", "--help"):
            print(_HELP)  # noqa: T201 -- the answer to --help
            return
        if line.strip():
            raise _plain("%%gpu takes nothing on its line.", "The cell's code goes below it.")
        with jg.measure():
            _run(shell, cell)

    gpu.__doc__ = _HELP
    magic: Any = gpu
    shell.register_magic_function(magic, "cell", "gpu")


def _run(shell: Any, cell: str) -> None:
    """Run a cell's code as the shell runs a cell, its last expression shown."""
    __tracebackhide__ = True
    source = shell.transform_cell(cell)
    name = shell.compile.cache(source, shell.displayhook.prompt_count, raw_code=cell)
    tree = shell.transform_ast(shell.compile.ast_parse(source, filename=name))
    last = [tree.body.pop()] if _shows_last(tree, cell) else []
    for part, mode in ((tree, "exec"), (ast.Interactive(last), "single")):
        if part.body:
            exec(_compiled(shell, part, name, mode), shell.user_global_ns, shell.user_ns)  # noqa: S102 -- their cell


def _shows_last(tree: ast.Module, cell: str) -> bool:
    from IPython.core.displayhook import DisplayHook

    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        return False
    return not DisplayHook.semicolon_at_end_of_expression(cell)  # type: ignore[no-untyped-call]


def _compiled(shell: Any, tree: Any, name: str, mode: str) -> Any:
    try:
        return shell.compile(tree, name, mode)
    except SyntaxError as error:
        if "await" in str(error) or "asynchronous" in str(error):
            hint = "In a cell of its own, `with jg.measure():` may."
            raise _plain("%%gpu cannot await at the top of a cell.", hint) from None
        raise


def _plain(message: str, hint: str) -> UsageError:
    error = UsageError(message, hint=hint)
    error._render_traceback_ = lambda: [f"\x1b[31mUsage\x1b[39m: {error}"]  # type: ignore[attr-defined]
    return error
