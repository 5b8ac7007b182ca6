"""Every HTTP verb says in full who may call it: `python tests/server/check_auth.py`.

The bare `@authorized` remembers the first caller's action and resource, `post = get` keeps those of `get`, and
a verb without decorators is public. So each verb is written out, with both decorators and both arguments.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOM = Path(__file__).parents[2] / "jupyter_gpu_ext" / "server"
VERBS = frozenset({"get", "head", "post", "put", "patch", "delete", "options", "open"})
ACTIONS = frozenset({"read", "write", "execute"})
RESOURCES = frozenset({"gpu", "storage", "tensors", "export", "connections", "kernels"})


@dataclass(frozen=True)
class Verb:
    """One verb of a handler; `problem` is empty when it says in full who may call it."""

    place: str
    handler: str
    name: str
    action: str = ""
    resource: str = ""
    problem: str = ""


def verbs(folder: Path = ROOM) -> Iterator[Verb]:
    """Yield every verb of every handler in a folder."""
    for path in sorted(folder.glob("**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield from _of_class(path, node)


def _of_class(path: Path, handler: ast.ClassDef) -> Iterator[Verb]:
    for node in handler.body:
        place = f"{path.name}:{node.lineno}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name in VERBS:
                yield _checked(Verb(place, handler.name, node.name), node.decorator_list)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in {one.id for one in targets if isinstance(one, ast.Name)} & VERBS:
                yield Verb(place, handler.name, name, problem="is another verb's function")


def _checked(verb: Verb, decorators: list[ast.expr]) -> Verb:
    match decorators:
        case [
            ast.Name("authenticated") | ast.Attribute(attr="authenticated"),
            ast.Call(
                func=ast.Name("authorized") | ast.Attribute(attr="authorized"),
                args=[ast.Constant(str(action))],
                keywords=[ast.keyword("resource", ast.Constant(str(resource)))],
            ),
        ]:
            known = action in ACTIONS and resource in RESOURCES
            problem = "" if known else f"asks for {action!r} on {resource!r}, which nobody grants"
            return Verb(verb.place, verb.handler, verb.name, action, resource, problem)
    problem = 'needs @authenticated, then @authorized("ACTION", resource="RESOURCE")'
    return Verb(verb.place, verb.handler, verb.name, problem=problem)


def main(folder: Path = ROOM) -> int:
    """Print the verbs that do not say who may call them; 1 if there are any, or none at all."""
    found = list(verbs(folder))
    bad = [verb for verb in found if verb.problem]
    for verb in bad:
        print(f"{verb.place}: {verb.handler}.{verb.name} {verb.problem}")
    if not found:
        print(f"{folder}: no handler found")
    return int(bool(bad) or not found)


if __name__ == "__main__":
    sys.exit(main())
