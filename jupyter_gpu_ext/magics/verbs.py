"""The magics: a line becomes a Spec, the Spec the call that a script would make."""

from __future__ import annotations

import gc
import operator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.commands import lines
from jupyter_gpu_ext.commands.blob import LOAD_INTO
from jupyter_gpu_ext.commands.grammar import target
from jupyter_gpu_ext.errors import GpuExtError, UsageError
from jupyter_gpu_ext.magics import pasted
from jupyter_gpu_ext.magics.call_site import calling, is_assigned
from jupyter_gpu_ext.magics.progress import ProgressDisplay
from jupyter_gpu_ext.storage.consent import agreed
from jupyter_gpu_ext.storage.rm import question
from jupyter_gpu_ext.tensors.loader import Replaced, load_named
from jupyter_gpu_ext.tensors.sizes import held_by
from jupyter_gpu_ext.tensors.unfinished import UNFINISHED
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
            raise _plain(interrupt, _cancelled(spec, interrupt)) from None
        finally:
            # IPython keeps the last traceback, and with it this frame: no variable of the notebook lives on in it.
            names.clear()
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
    if not bound.verb.binds:
        # What is released must be held by nothing here.
        names.clear()
    adopted = pasted.adopt(shell, bound, arguments, keywords)
    if adopted is None:
        return _done(shell, bound, arguments, keywords, assigned=assigned, names=names)
    if bound.verb.function == "connect":
        print(adopted.sentence("Connected"))  # noqa: T201 -- what became of the cell
        return adopted.made
    arguments[bound.url_at], done = adopted.made.url, ""
    try:
        value = _done(shell, pasted.renamed(bound, adopted.made), arguments, keywords, assigned=assigned, names=names)
        done = "Loaded" if bound.verb.binds else "Saved" if bound.verb.takes_value else "Connected"
    finally:
        print(adopted.sentence(done))  # noqa: T201 -- also when the load failed: the connection is there
    return value


def _done(
    shell: InteractiveShell,
    bound: Spec,
    arguments: list[Any],
    keywords: dict[str, Any],
    *,
    assigned: bool,
    names: dict[str, Any],
) -> Any:
    if bound.verb.asks and not bound.agreed and not agreed(question(*arguments, **keywords), input):
        print("Nothing was removed.")  # noqa: T201 -- the answer to a no
        return None
    if not bound.verb.binds:
        call = operator.attrgetter(bound.verb.function)(jg)
        if not bound.verb.reports:
            return call(*arguments, **keywords)
        source = f"{bound.arguments[0].to_python()} → " if bound.verb.takes_value else ""
        title = source + " → ".join(map(str, arguments[bound.url_at :]))
        with ProgressDisplay(title, live=hasattr(shell, "kernel"), beginning=_beginning(bound)) as display:
            value = call(*arguments, **keywords, report=display.update)
            display.finish(f"{source}{value}")
        return value if assigned else None
    return _loaded(shell, bound, arguments, keywords, assigned=assigned, names=names)


def _loaded(
    shell: InteractiveShell,
    bound: Spec,
    arguments: list[Any],
    keywords: dict[str, Any],
    *,
    assigned: bool,
    names: dict[str, Any],
) -> Any:
    name = _name(bound, arguments, shell.user_ns, assigned=assigned)
    if assigned and bound.replaces:
        raise UsageError("--replace needs the name.", hint="Write the line with -o NAME, unassigned.")
    replaced = None if assigned else _replaced(name, [shell.user_ns, names], drops=bound.replaces)
    with ProgressDisplay(str(arguments[0]), live=hasattr(shell, "kernel")) as display:
        value, receipt = load_named(*arguments, **keywords, name=name, replaced=replaced, report=display.update)
        if not assigned:
            shell.user_ns[name] = value
        display.finish(str(receipt) if assigned else f"{name} = {receipt}")
    return value if assigned else None


def _replaced(name: str, namespaces: list[dict[str, Any]], *, drops: bool) -> Replaced | None:
    """Return what the name holds now, and how to let it go."""
    if name not in namespaces[0]:
        return None

    def drop() -> None:
        for one in namespaces:
            one.pop(name, None)
        gc.collect()

    return Replaced(held_by(namespaces[0][name]), drop if drops else None)


def _beginning(spec: Spec) -> str:
    return "reading the header" if spec.verb is LOAD_INTO else "looking for objects"


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


def _cancelled(spec: Spec | None, interrupt: KeyboardInterrupt | None = None) -> str:
    if interrupt is not None and interrupt.args:
        return f"Cancelled. {interrupt}"
    if kept := UNFINISHED.report():
        return f"Cancelled; the name is as it was. Kept for --resume: {kept}"
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
