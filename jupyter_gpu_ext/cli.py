"""`jupyter gpu …` and `jupyter blob …`: the verbs of the magics, in a shell."""

from __future__ import annotations

import ast
import json
import operator
import os
import sys

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.commands import lines
from jupyter_gpu_ext.commands.grammar import plain
from jupyter_gpu_ext.errors import GpuExtError, UsageError
from jupyter_gpu_ext.storage import links
from jupyter_gpu_ext.text import redact


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
        0, 1 when the verb failed, 2 when the line is wrong.
    """
    try:
        print(_run(family, arguments), flush=True)
    except lines.HelpRequest as request:
        print(f"{request.text}\n\nOption of every verb: --json")
    except GpuExtError as error:
        print(redact(str(error)), file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `… | head` has read enough; what is buffered still must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _run(family: str, arguments: list[str]) -> str:
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
    positional, keywords = lines.read(verb, rest).resolve(ast.literal_eval)
    result = operator.attrgetter(verb.function)(jg)(*positional, **keywords)
    return json.dumps(result.to_json(), indent=2, allow_nan=False) if as_json else str(result)
