"""`jupyter gpu …` and `jupyter blob …`: the verbs of the magics, in a shell."""

from __future__ import annotations

import ast
import json
import operator
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.commands import lines
from jupyter_gpu_ext.commands.grammar import plain
from jupyter_gpu_ext.errors import GpuExtError, UsageError
from jupyter_gpu_ext.storage import links
from jupyter_gpu_ext.storage.consent import agreed
from jupyter_gpu_ext.storage.rm import question
from jupyter_gpu_ext.text import format_bytes, redact

if TYPE_CHECKING:
    from jupyter_gpu_ext.commands.grammar import Verb
    from jupyter_gpu_ext.storage.progress import Progress


def blob() -> None:
    """Answer `jupyter blob`."""
    sys.exit(main("blob", sys.argv[1:]))


def gpu() -> None:
    """Answer `jupyter gpu`."""
    sys.exit(main("gpu", sys.argv[1:]))


def main(family: str, arguments: list[str]) -> int:
    """Run one verb and print what it gives.

    Parameters
    ----------
    family : {'blob', 'gpu'}
    arguments : list of str
        As the shell gave them; `--json` prints plain data.

    Returns
    -------
    int
        0, 1 when the verb failed, 2 when the line is wrong; of a report its own: 1 for warnings, 2 for errors.
    """
    try:
        text, code = _run(family, arguments)
        if text is not None:
            print(text, flush=True)
    except lines.HelpRequest as request:
        print(request.text + ("\n\nOption of every verb: --json, where it has a result" if request.has_json else ""))
    except GpuExtError as error:
        print(redact(str(error)), file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except _DeclinedError:
        print("Nothing was removed.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `… | head` has read enough; what is buffered still must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    else:
        return code
    return 0


def _run(family: str, arguments: list[str]) -> tuple[str | None, int]:
    as_json = "--json" in arguments
    if any(links.has_secret(argument) for argument in arguments):
        raise UsageError(
            "A secret on a command line is seen by others of this machine and kept by the shell; it was not used.",
            hint="Run `jupyter blob connect` without a link: it asks for it, unseen. Clear the shell's history.",
        )
    words = plain(argument for argument in arguments if argument != "--json")
    verb, rest = lines.choose(family, [], words)
    if verb.binds or verb.takes_value:
        raise UsageError(
            f"{verb.name} needs a process that lives on.",
            hint=f"Use %{verb.function}_blob in a notebook, jg.{verb.function} in a script.",
        )
    spec = lines.read(verb, rest)
    # An option may mean another verb.
    verb = spec.verb
    positional, keywords = spec.resolve(ast.literal_eval)
    if verb.needs_terminal:
        result = _in_terminal(verb, positional, keywords, as_json=as_json)
        return _said(result, as_json=as_json)
    if verb.asks and not spec.agreed:
        ask = _ask if sys.stdin is not None and sys.stdin.isatty() else None
        if not agreed(question(*positional, **keywords), ask):
            raise _DeclinedError
    if verb.reports and sys.stderr.isatty():
        keywords["report"] = _show
    return _said(operator.attrgetter(verb.function)(jg)(*positional, **keywords), as_json=as_json)


def _said(result: Any, *, as_json: bool) -> tuple[str | None, int]:
    if result is None:
        return None, 0
    text = json.dumps(result.to_json(), indent=2, allow_nan=False) if as_json else str(result)
    return text, getattr(result, "exit_code", 0)


def _in_terminal(verb: Verb, positional: list[Any], keywords: dict[str, Any], *, as_json: bool) -> Any:
    if as_json and not verb.gives_data:
        raise UsageError(f"{verb.name} has no --json.", hint="`jupyter gpu status --json` gives the numbers as data.")
    module, _, name = verb.function.rpartition(".")
    return getattr(import_module(f"jupyter_gpu_ext.{module}"), name)(*positional, **keywords)


class _DeclinedError(Exception):
    """The person said no."""


def _ask(prompt: str) -> str:
    # What is asked is no result: standard output may be a file.
    print(prompt, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


def _show(progress: Progress) -> None:
    # One line that is written over; the clearing code ends what a longer one left.
    words = f"{format_bytes(progress.done_bytes)} of {format_bytes(progress.total_bytes)}"
    print(f"\r{words} {progress.notice}\x1b[K\r", end="", file=sys.stderr, flush=True)
