"""Which calls of a notebook save something, so that of several processes only the first makes them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from jupyter_gpu_ext.export.names import full_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# By the full name of the function. `torch.distributed.checkpoint.save` is not one: every rank has to call it.
_FUNCTIONS = frozenset((
    "jupyter_gpu_ext.save", "jupyter_gpu_ext.publish", "torch.save",
    "numpy.save", "numpy.savez", "numpy.savez_compressed", "numpy.savetxt",
    "safetensors.torch.save_file", "safetensors.torch.save_model", "safetensors.numpy.save_file",
    "matplotlib.pyplot.savefig",
))  # fmt: skip
_METHODS = frozenset(("savefig",))


def saving(tree: ast.AST, bound: Mapping[str, set[str]]) -> Iterator[ast.expr]:
    """Yield the functions of the calls that save, none inside another.

    Parameters
    ----------
    bound : mapping
        Each name that the notebook binds, to the imports that do; '' stands for any other way.
    """
    inner = set[ast.AST]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.func not in inner and _saves(node.func, bound):
            inner |= set(ast.walk(node.func))
            yield node.func


def _saves(function: ast.expr, bound: Mapping[str, set[str]]) -> bool:
    if isinstance(function, ast.Attribute) and function.attr in _METHODS:
        return True
    names = list[str]()
    while isinstance(function, ast.Attribute):
        names.insert(0, function.attr)
        function = function.value
    if not isinstance(function, ast.Name):
        return False
    origins = {full_name(origin, function.id) for origin in bound.get(function.id, ())}
    return len(origins) == 1 and ".".join([*origins, *names]) in _FUNCTIONS
