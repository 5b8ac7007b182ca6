"""Six secrets in a real kernel and on the shell's command line: in no output, no history, no file of the home."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager

from jupyter_gpu_ext.export.exporter import TrainScriptExporter
from tests.canaries.asked import FUNCTIONS, calls, verbs
from tests.canaries.hostile import hostile
from tests.canaries.search import Finder
from tests.conftest import write_connections
from tests.magics.cells import Cells
from tests.magics.test_scrub import KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from jupyter_gpu_ext.commands.grammar import Verb
    from tests.canaries.six import Six
    from tests.magics.cells import Outcome

SETUP = """\
import getpass, logging, os, sys
import jupyter_gpu_ext as jg
logging.basicConfig(level=1, handlers=[logging.StreamHandler(sys.stderr), logging.FileHandler({log!r})])
%load_ext jupyter_gpu_ext
%xmode Verbose"""


@dataclass
class Session:
    """A kernel with a home of its own, and the notebook that its cells make."""

    home: Path
    cells: Cells
    notebook: Any = field(default_factory=nbformat.v4.new_notebook)
    said: list[tuple[str, object]] = field(default_factory=list)

    def run(self, source: str, *, kept: bool = True) -> Outcome:
        """Run a cell as a notebook would; `kept`: it is in the file that is saved."""
        outcome = self.cells.run(source)
        shown = [one for one in outcome.messages if one["msg_type"] != "execute_input"]
        self.said += [(f"message {one['msg_type']} of {source[:40]!r}", json.dumps(one["content"])) for one in shown]
        for payload in outcome.messages[-1]["content"].get("payload", []):
            source = payload["text"] if payload.get("replace") else source
        if kept:
            cell = nbformat.v4.new_code_cell(source)
            kinds = ("stream", "display_data", "execute_result", "error")
            cell.outputs = [nbformat.v4.output_from_msg(one) for one in shown if one["msg_type"] in kinds]
            self.notebook.cells.append(cell)
        return outcome

    def remembered(self) -> dict[str, object]:
        """Return what the living kernel knows of what was typed."""
        self.cells.run("1 + 1")
        return {f"kernel's {name}": text for name, text in self.cells.value(KEPT).items()}

    def written(self) -> Iterator[tuple[str, object]]:
        """Save the notebook, export it, and give every file of the home."""
        nbformat.write(self.notebook, self.home / "notebook.ipynb")
        for cell in self.notebook.cells:
            cell.outputs = []
        script, _ = TrainScriptExporter().from_notebook_node(self.notebook)
        (self.home / "script.py").write_text(script)
        for path in self.home.rglob("*"):
            if path.is_file() and path.parent.name == "jupyter_gpu_secrets":
                # The one place where a secret may lie.
                assert path.stat().st_mode & 0o777 == 0o600
            elif path.is_file():
                yield f"file {path.name}", path.read_bytes()


@contextmanager
def session(home: Path, variables: Mapping[str, str]) -> Iterator[Session]:
    """Start a kernel that logs all there is; it has ended when the block has."""
    manager = KernelManager(kernel_name="python3")
    environ = {
        **os.environ, **variables, "HOME": str(home), "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_GPU_SIMULATED": "1xL4", "JUPYTER_GPU_CONNECTIONS": str(home / "connections.toml"),
    }  # fmt: skip
    with (home / "kernel.log").open("wb") as log:
        manager.start_kernel(env=environ, cwd=str(home), stderr=log, stdout=log)
    cells = Cells(manager.connection_file)
    # Nobody sits there to type.
    cells.client.allow_stdin = False
    try:
        running = Session(home, cells)
        assert running.run(SETUP.format(log=str(home / "debug.log")), kept=False).status == "ok"
        yield running
    finally:
        cells.close()
        manager.shutdown_kernel()


@contextmanager
def connected(six: Six, home: Path) -> Iterator[dict[str, str]]:
    """Write each connection twice, with its service and with a hostile one behind it; give the environment."""
    with ExitStack() as stack:
        rows: dict[str, dict[str, object]] = {}
        for name, canary in six.canaries.items():
            certificate = six.certificate if canary.over_tls else None
            other = stack.enter_context(hostile("400", certificate=certificate))
            rows |= {name: dict(canary.fields), f"{name}-hostile": canary.at(other.port)}
        write_connections(home / "connections.toml", **rows)
        variables = {key: value for one in six.canaries.values() for key, value in one.variables.items()}
        yield {**variables, "REQUESTS_CA_BUNDLE": str(six.certificate)}


def python_calls(name: str) -> list[str]:
    """Return cells that call the public functions that the verbs do not."""
    key = f"{name}://net.safetensors"
    asked = {
        "fs": f"jg.fs({name!r}).ls('')", "open": f"jg.open({key!r}).read(3)", "gpu": "jg.gpu.status()",
        "measure": f"with jg.measure():\n    jg.load({key!r})",
        "__version__": "jg.__version__", "disconnect": "jg.disconnect('nobody')",
    }  # fmt: skip
    return [asked.get(one, f"jg.{one}({key!r})") for one in FUNCTIONS]


def verbs_of(name: str, first: str) -> list[Verb]:
    """Return the verbs to try with a connection: what takes no word is the same for each, and tried with the first."""
    return [verb for verb in verbs() if verb.positionals or verb.optional or name == first]


# The pasted link and the pasted string stand for two more in the normal run.
OTHERS = ("sas", "account-key", "connection-string", "bearer", "google")


@pytest.mark.parametrize("names", [("aws",), pytest.param(OTHERS, marks=pytest.mark.prove)], ids=["one", "others"])
def test_a_notebook_never_holds_a_secret(six: Six, finder: Finder, tmp_path: Path, names: tuple[str, ...]) -> None:
    with connected(six, tmp_path) as variables, session(tmp_path, variables) as running:
        done = []
        for name in [one for canary in names for one in (canary, f"{canary}-hostile")]:
            for verb in verbs_of(name, names[0]):
                asked = calls(verb, name)
                # No script can hold what is for a terminal.
                kept, lines = not verb.needs_terminal, asked if "hostile" not in name else asked[:1]
                outcomes = [running.run(f"%{line}", kept=kept) for line in lines]
                done.append((name, verb.name, outcomes[0].status))
            if name.endswith("hostile"):
                for line in python_calls(name):
                    running.run(line)
        for what, text in six.pasted.items():
            for line in ("%blob connect '{}'", "%load_blob '{}' -o m", "here = '{}'\n%blob info {{here}}"):
                outcome = running.run(line.replace("{}", text).replace("{{", "{").replace("}}", "}"), kept=False)
                if outcome.status == "ok":
                    done.append((what, line, "ok"))
            running.cells.value(f"os.environ.update(PASTED={text!r})")
            running.run("getpass.getpass = lambda _: os.environ['PASTED']; jg.connect()")
        kept = running.remembered()
    assert {(name, "ok") for name in names} <= {(name, status) for name, verb, status in done if "info" in verb}
    assert {status for name, verb, status in done if name.endswith("hostile") and "info" in verb} == {"error"}
    assert {what for what, *_ in done} >= {"sas link", "connection string"}
    found = finder.hits([*running.said, *kept.items(), *running.written()])
    assert not found, "\n".join(found)


def test_a_planted_secret_is_found_in_every_sink(tmp_path: Path) -> None:
    planted = "q7XzDq0b3sM1yA9cU8Vh5TtLw2EoKj6RfGiNq7XzDq0b"
    write_connections(tmp_path / "connections.toml", disk={"root": f"/{planted}"})
    with session(tmp_path, {}) as running:
        running.run(f"here = {planted!r}")
        running.run("logging.debug(here); print(here); display(here)")
        running.run("_ = os.write(2, here.encode())")
        running.run("def f(one):\n    return 1 / len(one[:0])\nf(here)")
        running.run("%blob ls")
        kept = running.remembered()
    found = "\n".join(Finder({"it": planted}).hits([*running.said, *kept.items(), *running.written()]))
    sinks = (
        "kernel's raw", "kernel's In", "kernel's search", "message stream", "message display_data", "message error",
        "message execute_result", "file debug.log", "file history.sqlite", "file notebook.ipynb", "file script.py",
        "file connections.toml",
    )  # fmt: skip
    missed = [sink for sink in sinks if f"it in {sink}" not in found]
    assert not missed, found


CHILD = """
import json, logging, sys
logging.basicConfig(level=1, stream=sys.stderr)
from jupyter_gpu_ext import cli
print([cli.main(family, words) for family, *words in json.loads(sys.argv[1])])
"""


def run_child(home: Path, lines: list[list[str]], variables: Mapping[str, str], typed: str = "") -> str:
    environ = {**os.environ, **variables, "HOME": str(home), "JUPYTER_GPU_SIMULATED": "1xL4"}
    command = [sys.executable, "-W", "ignore", "-c", CHILD, json.dumps(lines)]
    done = subprocess.run(
        command, env=environ, cwd=home, input=typed, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_the_command_line_never_says_a_secret(six: Six, finder: Finder, tmp_path: Path, more: list[str]) -> None:
    with connected(six, tmp_path) as variables:
        first = next(iter(six.canaries))
        lines = [
            shlex.split(line) + more
            for name in [one for canary in six.canaries for one in (canary, f"{canary}-hostile")]
            for verb in verbs_of(name, first)
            for line in calls(verb, name)[:1]
        ]
        said = run_child(tmp_path, lines, variables)
        typed = "".join(f"{text}\n" for text in six.pasted.values())
        said += run_child(tmp_path, [["blob", "connect"]] * len(six.pasted), variables, typed)
    if more:
        assert all(f'"url": "{name}://net.safetensors"' in said for name in six.canaries), "info works over each"
    else:
        assert said.count("safetensors, 1 tensor") == 2 * len(six.canaries), "info and view work over each connection"
    assert "DEBUG" in said
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "jupyter_gpu_secrets"]
    found = finder.hits([("what was printed", said), *((path.name, path.read_bytes()) for path in files)])
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "what", ["sas link", "connection string", "web link", "presigned link", "bare signature", "bare key"]
)
def test_a_secret_typed_as_an_argument_is_not_repeated(
    six: Six, finder: Finder, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    from jupyter_gpu_ext import cli

    text = six.pasted[what]
    assert [cli.main("blob", [verb, text]) for verb in ("connect", "info", "ls")] == [2, 2, 2]
    said = capsys.readouterr()
    assert finder.hits({"out": said.out, "err": said.err}) == []
