"""The magics: a line becomes a Spec, the Spec the call that a script would make."""

from __future__ import annotations

import operator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.commands import lines
from jupyter_gpu_ext.commands.grammar import target
from jupyter_gpu_ext.errors import GpuExtError, UsageError
from jupyter_gpu_ext.magics import pasted
from jupyter_gpu_ext.magics.call_site import calling, is_assigned
from jupyter_gpu_ext.magics.progress import ProgressDisplay
from jupyter_gpu_ext.storage.consent import agreed
from jupyter_gpu_ext.storage.rm import question
from jupyter_gpu_ext.tensors.loader import load_named
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_gpu_ext.commands.grammar import Spec


def register(shell: InteractiveShell) -> None:
    """Register `%blob`, `%load_blob`, `%save_blob` and `%gpu` with the shell."""
    from IPython.core.magic import no_var_expand

    for name in sorted(lines.MAGICS):
        magic: Any = _magic(shell, name)
        shell.register_magic_function(no_var_expand(magic), "line", name)


def _magic(shell: InteractiveShell, name: str) -> Callable[[str], Any]:
    def magic(line: str) -> Any:
        frame = calling(shell.user_ns)
        # A function's own variables come first, as in the script.
        names = {**shell.user_ns, **(frame.f_locals if frame else {})}
        spec: Spec | None = None
        try:
            spec = lines.parse_magic(name, line)
            return run(shell, spec, names, assigned=is_assigned(frame))
        except lines.HelpRequest as request:
            print(request.text)  # noqa: T201 -- the answer to --help
        except GpuExtError as error:
            raise _plain(_redacted(error), redact(str(error))) from None
        except KeyboardInterrupt as interrupt:
            raise _plain(interrupt, _cancelled(spec)) from None
        return None

    magic.__doc__ = f"See %{name} --help."
    return magic


def run(shell: InteractiveShell, spec: Spec, names: dict[str, Any], *, assigned: bool) -> Any:
    """Do what `spec` says; bind the result where it asks for that, else return it.

    Parameters
    ----------
    names : dict
        What the line's expressions see.
    """
    bound = spec.bind(names)
    arguments, keywords = bound.resolve(lambda source: _evaluate(source, names))
    adopted = pasted.adopt(shell, bound, arguments, keywords)
    if adopted is None:
        return _done(shell, bound, arguments, keywords, assigned=assigned)
    if bound.verb.function == "connect":
        print(adopted.sentence("Connected"))  # noqa: T201 -- what became of the cell
        return adopted.made
    arguments[pasted.url_at(bound)], done = adopted.made.url, ""
    try:
        value = _done(shell, pasted.renamed(bound, adopted.made), arguments, keywords, assigned=assigned)
        done = "Loaded" if bound.verb.binds else "Saved" if bound.verb.takes_value else "Connected"
    finally:
        print(adopted.sentence(done))  # noqa: T201 -- also when the load failed: the connection is there
    return value


def _done(
    shell: InteractiveShell, bound: Spec, arguments: list[Any], keywords: dict[str, Any], *, assigned: bool
) -> Any:
    namespace = shell.user_ns
    if bound.verb.asks and not bound.agreed and not agreed(question(*arguments, **keywords), input):
        print("Nothing was removed.")  # noqa: T201 -- the answer to a no
        return None
    if not bound.verb.binds:
        call = operator.attrgetter(bound.verb.function)(jg)
        if not bound.verb.reports:
            return call(*arguments, **keywords)
        shown = [bound.arguments[0].to_python() if bound.verb.takes_value else str(arguments[0]), *arguments[1:]]
        with ProgressDisplay(
            " → ".join(shown), live=hasattr(shell, "kernel"), beginning="looking for objects"
        ) as display:
            value = call(*arguments, **keywords, report=display.update)
            display.finish(f"{shown[0]} → {value}" if bound.verb.takes_value else str(value))
        return value if assigned else None
    name = _name(bound, arguments, namespace, assigned=assigned)
    with ProgressDisplay(str(arguments[0]), live=hasattr(shell, "kernel")) as display:
        value, receipt = load_named(*arguments, **keywords, name=name, report=display.update)
        if not assigned:
            namespace[name] = value
        display.finish(str(receipt) if assigned else f"{name} = {receipt}")
    return value if assigned else None


def _name(spec: Spec, arguments: list[Any], namespace: dict[str, Any], *, assigned: bool) -> str:
    if assigned and spec.output is not None:
        raise UsageError("The result is assigned already.", hint=f"Leave out -o {spec.output}.")
    from jupyter_gpu_ext.commands.grammar import name_from_url

    name = target(spec) if spec.output or spec.arguments[0].literal is not None else name_from_url(str(arguments[0]))
    known = namespace.get(name)
    if spec.output is None and not assigned and (isinstance(known, ModuleType) or callable(known)):
        raise UsageError(f"{name} is already a {type(known).__name__} here.", hint="Add -o NAME.")
    return name


def _evaluate(source: str, namespace: dict[str, Any]) -> Any:
    try:
        return eval(source, namespace)  # noqa: S307 -- the person's own expression, in their own kernel
    except NameError as error:
        raise UsageError(
            f"{{{source}}}: {error}.", hint="Define it in a cell above, or write {{ and }} for plain braces."
        ) from None
    except Exception as error:  # noqa: BLE001 -- any mistake in the expression is the line's mistake
        raise UsageError(f"{{{source}}}: {type(error).__name__}: {error}.", hint="Correct the expression.") from None


def _cancelled(spec: Spec | None) -> str:
    if spec is not None and (spec.verb.asks or spec.keywords.get("recursive")):
        return "Cancelled; `%blob ls` shows what was done by then."
    return "Cancelled; nothing was changed."


def _redacted(error: GpuExtError) -> GpuExtError:
    # The kernel sends the exception's own text beside the rendered line.
    error.message, error.hint = redact(error.message), redact(error.hint)
    error.args = (error.message,)
    return error


def _plain(error: BaseException, text: str) -> BaseException:
    # IPython keeps the last error, and a traceback would keep the buffers of the load alive with it.
    error.__context__ = None
    # IPython asks an exception for its own rendering first: one line, for what needs no traceback.
    kind = type(error).__name__.removesuffix("Error")
    error._render_traceback_ = lambda: [f"\x1b[31m{kind}\x1b[39m: {text}"]  # type: ignore[attr-defined]
    return error.with_traceback(None)
