"""How an exported script begins: its options, its logs, and the check of the machine before anything is spent."""

from __future__ import annotations

import argparse
import atexit
import os
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError
from jupyter_gpu_ext.job import connections, lock, logs, parameters, where, witness
from jupyter_gpu_ext.job.rank import is_first_here
from jupyter_gpu_ext.storage.connections import FILE_NAME, load
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from jupyter_gpu_ext.gpu.health.finding import Finding
    from jupyter_gpu_ext.job.logs import JsonLines

# What a job ends with that cannot run here: trying it again is of no use.
FAILED = 2


def start(script: str, given: Sequence[parameters.Parameter] = ()) -> SimpleNamespace:
    """Read the command line, check the machine, and return the parameters' values.

    Parameters
    ----------
    script : str
        The script's `__file__`.
    given : sequence of Parameter

    Raises
    ------
    SystemExit
        2 for a wrong option, and where the machine cannot do the work; 0 after `--help` and `--preflight-only`.
    """
    parser = _parser(Path(script).name, given)
    options = vars(parser.parse_args())
    try:
        values = parameters.settle(given, options, options["config"])
    except BadRequestError as error:
        parser.error(str(error))
    try:
        connections.choose(Path(script), options["connections"])
    except BadRequestError as error:
        parser.error(str(error))
    if options["local_rank"] is not None:
        os.environ.setdefault("LOCAL_RANK", options["local_rank"])
    lines = logs.begin() if options["log_json"] else None
    if lines is not None:
        atexit.register(lines.end)
    _explain_errors(Path(script), lines)
    if is_first_here() and not (options["skip_preflight"] and not options["preflight_only"]):
        _preflight(Path(script), lines)
    if options["preflight_only"]:
        raise SystemExit(0)
    parameters.note(values)
    witness.begin(Path(script))
    return SimpleNamespace(**values)


def _parser(name: str, given: Sequence[parameters.Parameter]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, allow_abbrev=False)
    parser.add_argument("--config", type=Path, metavar="FILE", help="parameters by name, as JSON or TOML")
    parser.add_argument("--connections", type=Path, metavar="FILE", help="the connections file to use")
    parser.add_argument("--log-json", action="store_true", help="write standard output as JSON, an object a line")
    parser.add_argument("--preflight-only", action="store_true", help="check the machine and end: 0 or 2")
    parser.add_argument("--skip-preflight", action="store_true", help="do not check the machine first")
    # As torch.distributed.launch gives it.
    parser.add_argument("--local-rank", "--local_rank", help=argparse.SUPPRESS)
    if given:
        parameters.add(parser, given)
    return parser


def _preflight(script: Path, lines: JsonLines | None) -> None:
    from jupyter_gpu_ext.gpu.health.checkup import doctor

    report = doctor(preflight=True, more=data_findings(script.with_name(lock.NAME)))
    if lines is not None:
        level = {"ok": "info"}.get(report.verdict, report.verdict)
        findings = [{key: text for key, text in one.to_json().items() if text} for one in report.findings]
        lines.say(level, report.title, event="preflight", findings=findings)
    else:
        sys.stderr.write(f"{report!r}\n")
    if report.verdict == "error":
        sys.stderr.write("The preflight stopped this; --skip-preflight goes on without it.\n")
        raise SystemExit(FAILED)


def data_findings(file: Path) -> Iterator[Finding]:
    """Yield what is wrong with connections and data: nothing where the script came without a list of them."""
    from jupyter_gpu_ext.gpu.health.finding import Finding

    if not file.is_file():
        return
    try:
        found = lock.read(file)
    except GpuExtError as error:
        yield Finding(id="data_changed", level="error", title=error.message, fix=error.hint or "")
        return
    registry = load()
    known = {*registry.connections, *registry.problems}
    looked = ", ".join(map(str, registry.files)) or "no connections file was found"
    cure = f"Fill in {FILE_NAME} beside {lock.SCRIPT}, and check: jupyter-gpu doctor --job ."
    for name, root in found.connections.items():
        if name not in known:
            was = f" (it was {printable(redact(root))})" if root else ""
            title = f"The script needs a connection {name!r}{was}; there is none of that name here ({looked})."
            yield Finding(id=f"connection:{name}", level="error", title=title, fix=cure)
    here = [one for one in found.entries if one.url.partition("://")[0] in known]
    again = "Export the notebook again to take it as it is now, or go on with --skip-preflight."
    for number, text in enumerate(lock.differences(here)):
        yield Finding(id=f"data_changed:{number}", level="error", title=text, fix=again)


def _explain_errors(script: Path, lines: JsonLines | None) -> None:
    """Let an error that ends the program name the cell and line of the notebook."""
    tell = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        place = where.said(script, trace)
        if lines is not None:
            more = {"cell": place[0], "line": place[1]} if place else {}
            text = "".join(traceback.format_exception(kind, error, trace))
            lines.say("error", f"{kind.__name__}: {error}", event="failed", traceback=text, **more)
            return
        tell(kind, error, trace)
        if place:
            sys.stderr.write(f"In the notebook: cell {place[0]}, line {place[1]}.\n")

    sys.excepthook = hook
