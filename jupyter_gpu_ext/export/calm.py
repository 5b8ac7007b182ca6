"""Whether a statement changes more than the names that it binds, so that none may change places with it."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.export.scope import running

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

IMPORTS = (ast.Import, ast.ImportFrom)
# Builtins that look at their arguments only.
_BUILTINS = frozenset((
    "abs", "all", "any", "bool", "bytes", "complex", "dict", "divmod", "enumerate", "float", "format", "frozenset",
    "int", "isinstance", "issubclass", "len", "list", "max", "min", "object", "pow", "property", "range", "repr",
    "reversed", "round", "set", "slice", "sorted", "staticmethod", "classmethod", "str", "sum", "tuple", "type", "zip",
    "NameError", "RuntimeError", "TypeError", "ValueError", "Exception",
))  # fmt: skip
# Functions of modules, by their last name, that give the same whenever they are called: decorators and their like.
_FUNCTIONS = frozenset((
    "namedtuple", "field", "auto", "TypeVar", "NewType", "partial", "dataclass", "lru_cache", "cache",
    "cached_property", "wraps", "contextmanager", "asynccontextmanager", "no_grad", "inference_mode", "enable_grad",
    "abstractmethod", "overload", "total_ordering", "final", "override", "singledispatch", "Path", "PurePath",
    "timedelta", "Fraction", "Decimal",
))  # fmt: skip
# Those that no import looks at.
_HARMLESS = frozenset((
    "manual_seed", "manual_seed_all", "seed", "is_available", "device", "device_count", "tensor", "zeros", "ones",
    "empty", "full", "arange", "linspace", "eye", "asarray", "array", "perf_counter", "time", "monotonic", "sqrt",
    "set_float32_matmul_precision", "set_num_threads",
))  # fmt: skip
# Packages that write nothing when they are imported.
_SILENT = frozenset((
    "PIL", "h5py", "matplotlib", "numpy", "pandas", "scipy", "sklearn", "torch", "torchaudio", "torchvision", "tqdm",
    "xarray", "yaml", "zarr",
))  # fmt: skip
# Modules whose state a statement between may have changed.
_STATEFUL = frozenset(("os", "sys"))
_FIXED = frozenset(("torch", "numpy", "jupyter_gpu_ext"))
# Importing these says or does something.
_LOUD = frozenset(("this", "antigravity", "__hello__"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a notebook's names.

    Attributes
    ----------
    modules : mapping
        The names that imports bind, to the full names of what they stand for.
    defined : set of str
        The names that it binds otherwise.
    """

    modules: Mapping[str, str]
    defined: set[str]

    def defines_alike(self, statement: ast.stmt) -> bool:
        """Whether a definition is the same whenever it runs, and does nothing to others."""
        return self._all(statement, _BUILTINS, _FUNCTIONS)

    def lets_import(self, statement: ast.stmt, *, silent: bool) -> bool:
        """Whether an import may run before the statement as well as after it.

        Parameters
        ----------
        silent : bool
            The import writes nothing.
        """
        return self._all(statement, _BUILTINS | {"print"} if silent else _BUILTINS, _FUNCTIONS | _HARMLESS)

    def _all(self, statement: ast.stmt, builtins: frozenset[str], functions: frozenset[str]) -> bool:
        nodes = list(running(statement))
        # A decorator is called, also where it is written without brackets.
        names = [one for node in nodes for one in getattr(node, "decorator_list", ()) if not isinstance(one, ast.Call)]
        calls = [ast.Call(func=one, args=[], keywords=[]) for one in names]
        return all(self._calm(node, builtins, functions) for node in [*nodes, *calls])

    def _calm(self, node: ast.AST, builtins: frozenset[str], functions: frozenset[str]) -> bool:
        match node:
            case ast.Call(func=ast.Name(name)):
                made = name in self.modules and name in functions
                return made or (name in builtins and name not in self.defined and name not in self.modules)
            case ast.Call(func=ast.Attribute(attr=attr) as function):
                return attr in functions and root(function) in self.modules
            case ast.Attribute() | ast.Subscript():
                first, *rest = path(node, self.modules).split(".")
                # How kernels run is nothing that an import or a definition asks for.
                settings = first == "torch" and rest[:1] == ["backends"]
                stateful = first in _STATEFUL and root(node) in self.modules
                return (isinstance(node.ctx, ast.Load) or settings) and not stateful
            case ast.With() | ast.AsyncWith() | ast.Await() | ast.AsyncFor() | ast.Import() | ast.ImportFrom():
                return False
            case ast.While() | ast.Raise() | ast.Assert() | ast.Delete():
                return False
        return True


def is_silent(statement: ast.Import | ast.ImportFrom, before: Iterable[ast.stmt]) -> bool:
    """Whether an import writes nothing: of a package that is known for it, or that those before have imported."""
    have = {name for one in before for node in ast.walk(one) if isinstance(node, IMPORTS) for name in imported(node)}
    return imported(statement) <= have | _SILENT


def is_quiet_import(statement: ast.Import | ast.ImportFrom) -> bool:
    """Whether an import does the same whatever ran before it: the standard library's, and ours."""
    known = sys.stdlib_module_names - _LOUD | {"jupyter_gpu_ext"}
    return all(name in known for name in imported(statement))


def imported(statement: ast.Import | ast.ImportFrom) -> set[str]:
    """Return the first parts of the modules that are imported; '' for a relative one."""
    if isinstance(statement, ast.ImportFrom):
        return {"" if statement.level else (statement.module or "").partition(".")[0]}
    return {alias.name.partition(".")[0] for alias in statement.names}


def changed(statements: Iterable[ast.stmt], modules: Mapping[str, str]) -> set[str]:
    """Return the full names of the attributes that the statements set or delete; of an item, of what it is in."""
    nodes = (node for one in statements for node in ast.walk(one))
    written = (node for node in nodes if isinstance(node, ast.Attribute | ast.Subscript))
    return {path(node, modules) for node in written if not isinstance(node.ctx, ast.Load)}


def is_part(one: str, other: str) -> bool:
    """Whether one of two full names lies in the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def path(node: ast.AST, modules: Mapping[str, str]) -> str:
    """Return the full name that a chain of attributes stands for, up to the first item or call in it."""
    match node:
        case ast.Name(name):
            return modules.get(name, name)
        case ast.Attribute(value=value, attr=attr):
            before = path(value, modules)
            return f"{before}.{attr}" if _is_plain(value) else before
        case ast.Subscript(value=value) | ast.Call(func=value):
            return path(value, modules)
    return ""


def is_fixed(node: ast.AST, modules: Mapping[str, str]) -> bool:
    """Whether an attribute is of a package of which nobody expects that a program changes its values."""
    first = path(node, modules).partition(".")[0]
    return root(node) in modules and (first in _FIXED or first in sys.stdlib_module_names - _STATEFUL)


def _is_plain(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_plain(node.value))


def root(node: ast.AST) -> str:
    """Return the name that a chain of attributes, items and calls begins with, or ''."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
