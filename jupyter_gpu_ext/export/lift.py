"""Which statements of a notebook can stand at the script's module level, in front of those that stay in `main()`.

Imports, functions and classes can, where nobody can tell that they came earlier. What cannot be decided stays: its
names are global there, so that it means the same.
"""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from copy import deepcopy
from typing import TYPE_CHECKING

from jupyter_gpu_ext.export.calm import (
    IMPORTS,
    Known,
    changed,
    is_fixed,
    is_part,
    is_quiet_import,
    is_silent,
    path,
    root,
)
from jupyter_gpu_ext.export.names import bindings, full_name
from jupyter_gpu_ext.export.scope import bound, global_names, mentioned, running, stars

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_BUILTIN = frozenset(dir(builtins))
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# What changes the values of any object.
_PATCHING = frozenset(("setattr", "delattr", "vars", "exec", "eval"))
# What looks at names without mentioning them.
_LOOKING = frozenset(("globals", "locals", "vars", "dir", "eval", "exec", "compile", "__main__"))
# What a class can have so that defining another from it does something.
_AT_DEFINITION = frozenset(("__init_subclass__", "__prepare__", "__set_name__", "__class_getitem__"))


def lifted(groups: Sequence[Sequence[ast.stmt]], *, lazy: bool = False) -> list[bool]:
    """Return for each group, the statements of one line, whether it can stand at module level.

    Parameters
    ----------
    groups : sequence of sequences of ast.stmt
        The notebook's statements in the order in which they run.
    lazy : bool
        Annotations are not evaluated.
    """
    if lazy:
        groups = [[_without_annotations(one) for one in group] for group in groups]
    lifter = _Lifter(groups)
    return [lifter.take(group) for group in groups]


class _Lifter:
    """Walks the statements in order, and knows those before that stay."""

    def __init__(self, groups: Sequence[Sequence[ast.stmt]]) -> None:
        every = [one for group in groups for one in group]
        self._ways = _ways(every)
        self._of_functions = set[str]().union(*map(global_names, every))
        self._modules = _modules(every)
        others = {name for one in every if not isinstance(one, IMPORTS) for name in bound(one)}
        self._known = Known(modules=self._modules, defined=others)
        self._reach = _reach(every)
        self._patches = any(mentioned(one) & _PATCHING for one in every)
        # Also in a function that one of those before may call.
        self._changed = changed(every, self._modules)
        self._classes_act = any(_acts_on_others(one) for one in every)
        self._above: set[str] = set()
        self._before: list[ast.stmt] = []
        self._stay: list[ast.stmt] = []
        self._star_stays = False

    def take(self, group: Sequence[ast.stmt]) -> bool:
        goes = all(self._goes(one) for one in group)
        self._before += group
        if goes:
            self._above |= {one.name for one in bindings(ast.Module([*group], []))}
        if not goes:
            self._stay += group
            self._star_stays |= any(stars(one) for one in group)
        return goes

    def _goes(self, statement: ast.stmt) -> bool:
        if not _is_definition(statement) or self._star_stays:
            return False
        names = bound(statement)
        if any(len(self._ways[name]) > 1 for name in names) or names & self._of_functions:
            return False
        if not self._stay:
            return True
        if stars(statement) or names & _BUILTIN or any(self._sees(one, names) for one in self._stay):
            return False
        if isinstance(statement, IMPORTS):
            return is_quiet_import(statement) or self._lets_import(silent=is_silent(statement, self._before))
        return isinstance(statement, DEFINITIONS) and self._defines_alone(statement)

    def _defines_alone(self, statement: ast.stmt) -> bool:
        """Whether the definition reads nothing that those before may have changed, and does nothing to others."""
        read = {node.id for node in running(statement) if isinstance(node, ast.Name)}
        changed_names = set[str]().union(self._of_functions, *map(bound, self._stay))
        own = {one.name for one in bindings(statement, deep=True)}
        unknown = read - self._above - own - _BUILTIN
        if unknown and "*" not in self._above:
            return False
        if read & changed_names or (isinstance(statement, ast.ClassDef) and self._classes_act):
            return False
        chains = [node for node in running(statement) if isinstance(node, ast.Attribute | ast.Subscript)]
        paths = {path(node, self._modules) for node in chains}
        if any(is_part(one, other) for one in paths for other in self._changed):
            return False
        parents = _parents(statement)
        values = [one for one in chains if one not in parents]
        settled = not values or (not self._patches and all(is_fixed(one, self._modules) for one in values))
        return self._known.defines_alike(statement) and (settled or self._lets_import(silent=True))

    def _lets_import(self, *, silent: bool) -> bool:
        return all(self._known.lets_import(one, silent=silent) for one in self._stay)

    def _sees(self, statement: ast.stmt, names: set[str]) -> bool:
        reached = self._reached(statement)
        return bool(reached & (names | _LOOKING))

    def _reached(self, statement: ast.stmt) -> set[str]:
        """Return what the statement mentions, and what the functions and classes that it mentions do."""
        found, waiting = set[str](), mentioned(statement)
        while waiting:
            name = waiting.pop()
            found.add(name)
            waiting |= self._reach.get(name, set()) - found
        return found


def _without_annotations(statement: ast.stmt) -> ast.stmt:
    bare = deepcopy(statement)
    for node in ast.walk(bare):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return bare


def _is_definition(statement: ast.stmt) -> bool:
    if isinstance(statement, (*DEFINITIONS, *IMPORTS)):
        return True
    if isinstance(statement, ast.Try):
        # `try: import a` … `except ImportError: a = None`
        blocks = [statement.body, statement.orelse, statement.finalbody, *(one.body for one in statement.handlers)]
        plain = [one for block in blocks for one in block]
        return all(
            isinstance(one, (*IMPORTS, ast.Pass))
            or (isinstance(one, ast.Assign) and isinstance(one.value, ast.Constant))
            for one in plain
        )
    return False


def _ways(statements: Iterable[ast.stmt]) -> dict[str, set[str]]:
    """Return for each name the ways in which it is bound; the same import again is no other one."""
    ways = defaultdict[str, set[str]](set)
    for number, one in enumerate(statements):
        for name in bound(one):
            ways[name].add(str(number))
        for binding in bindings(ast.Module([one], [])) if isinstance(one, IMPORTS) else ():
            ways[binding.name].discard(str(number))
            # `import a.b` and `import a` bind the same module.
            plain = binding.origin.startswith("import ") and " as " not in binding.origin
            ways[binding.name].add(f"import {binding.name}" if plain else binding.origin)
    return ways


def _modules(statements: Iterable[ast.stmt]) -> dict[str, str]:
    """Return the names that imports bind, each to the full name of what it stands for."""
    imports = ast.Module([one for one in statements if isinstance(one, IMPORTS)], [])
    return {one.name: full_name(one.origin, one.name) for one in bindings(imports)}


def _parents(statement: ast.stmt) -> set[ast.AST]:
    """Return the nodes of bases, decorators and annotations: classes and functions, not values."""
    found = set[ast.AST]()
    for node in running(statement):
        parts = [*getattr(node, "decorator_list", ()), *getattr(node, "bases", ())]
        parts += [getattr(node, "returns", None), getattr(node, "annotation", None)]
        parts += [one.annotation for one in ast.walk(node) if isinstance(one, ast.arg)]
        found |= {one for part in parts if part is not None for one in ast.walk(part)}
    return found


def _reach(statements: Iterable[ast.stmt]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in statements:
        for binding in bindings(ast.Module([one], [])) if isinstance(one, DEFINITIONS) else ():
            found.setdefault(binding.name, set()).update(mentioned(one))
    return found


def _acts_on_others(statement: ast.stmt) -> bool:
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef) and node.name in _AT_DEFINITION:
            return True
        if isinstance(node, ast.Attribute) and node.attr == "__subclasses__":
            return True
        if isinstance(node, ast.ClassDef) and (node.keywords or any(root(base) == "type" for base in node.bases)):
            return True
    return False
