"""How a script begins: the check of the machine, its logs, and errors that name the notebook's cell."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_gpu_ext.gpu.health import checkup
from jupyter_gpu_ext.job import logs, shell
from jupyter_gpu_ext.job import start as start_room
from jupyter_gpu_ext.job.rank import first, rank
from jupyter_gpu_ext.job.show import display
from jupyter_gpu_ext.job.start import start
from jupyter_gpu_ext.job.where import cell_of, line_map
from tests.export.notebooks import code, script
from tests.export.test_same import run
from tests.gpu.health.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave this process's output and logging as they were."""
    root, level = logging.getLogger(), logging.getLogger().level
    handlers = [*root.handlers]
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(start_room.atexit, "register", lambda _: None)
    for name in ("RANK", "LOCAL_RANK"):
        # Set first, so that what a test's script sets is taken away again.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the doctor see a machine of the record."""

    def sees(name: str) -> checkup.Report:
        report = checkup.report(recorded(name))
        monkeypatch.setattr(checkup, "doctor", lambda *, preflight, more: report if preflight else None)
        return report

    return sees


def begun(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["made.py", *arguments])
    return start("made.py")


@pytest.mark.parametrize("name", ["healthy", "no_gpu"])
def test_what_may_work_goes_on(monkeypatch: Any, machine: Any, capsys: Any, name: str) -> None:
    report = machine(name)
    begun(monkeypatch)
    assert report.findings[0].title in capsys.readouterr().err


def test_what_cannot_work_ends_with_2(monkeypatch: Any, machine: Any, capsys: Any) -> None:
    report = machine("driver_too_old")
    with pytest.raises(SystemExit) as ended:
        begun(monkeypatch)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"→ {report.findings[0].fix}" in said.err
    assert said.err.endswith("The preflight stopped this; --skip-preflight goes on without it.\n")


@pytest.mark.parametrize(("name", "exit_code"), [("healthy", 0), ("no_gpu", 0), ("driver_too_old", 2)])
def test_the_check_alone_ends_before_anything_runs(monkeypatch: Any, machine: Any, name: str, exit_code: int) -> None:
    machine(name)
    with pytest.raises(SystemExit) as ended:
        begun(monkeypatch, "--preflight-only", "--skip-preflight")
    assert ended.value.code == exit_code


def test_it_may_be_skipped_and_one_process_of_a_machine_does_it(monkeypatch: Any, machine: Any) -> None:
    machine("driver_too_old")
    begun(monkeypatch, "--skip-preflight")
    begun(monkeypatch, "--local-rank=1")


def entries(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_has_the_check_the_prints_and_the_log(monkeypatch: Any, machine: Any, capsys: Any) -> None:
    report = machine("no_gpu")
    monkeypatch.setenv("RANK", "3")
    begun(monkeypatch, "--log-json")
    print("a", end="")
    print("b\nc\u2028")
    logging.getLogger("mine").warning("careful %d", 1)
    print("https://user:secretpassword@host/x")
    found = entries(capsys.readouterr().out)
    assert [(one["level"], one["rank"], one["message"]) for one in found] == [
        ("warning", 3, report.title),
        ("info", 3, "ab"),
        ("info", 3, "c\u2028"),
        ("warning", 3, "careful 1"),
        ("info", 3, "https://user:***@host/x"),
    ]
    assert found[0]["event"] == "preflight"
    assert [one["id"] for one in found[0]["findings"]] == [one.id for one in report.findings]
    assert found[3]["logger"] == "mine"


def test_json_has_what_a_command_writes(capsys: Any) -> None:
    lines = logs.begin()
    shell.run("echo one; printf two")
    shell.script("cat", "three", "four")
    lines.end()
    assert [one["message"] for one in entries(capsys.readouterr().out)] == ["one", "twothree", "four"]


def test_an_error_names_cell_and_line(tmp_path: Path) -> None:
    made = script("x = 1", "%load_ext y\n\ndef f():\n    # c\n    return 1 / 0", code("f()\n"))
    done = run(made, tmp_path, "--skip-preflight")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "In the notebook: cell 2, line 5."
    told = entries(run(made, tmp_path, "--skip-preflight", "--log-json").stdout)
    assert [(one["cell"], one["line"], one["message"]) for one in told] == [
        (2, 5, "ZeroDivisionError: division by zero")
    ]
    assert "Traceback" in told[0]["traceback"]


def test_the_map_names_the_cell_of_every_line() -> None:
    made = script(
        "import os  # 1.1",
        "# 2.1\n\nx = 1  # 2.3\ndef f():\n    pass  # 2.5\n\ny = '''  # 2.7\n'''  # 2.8",
        "%blob ls \\\n  a\nz = 1  # 3.3",
        "%%writefile a\nb\nc",
        "%%gpu\n\nu = (1,  # 5.3\n2)  # 5.4",
        "v: int = 1  # 6.1",
    )
    for number, line in enumerate(made.split("\n"), start=1):
        place = line.rpartition("# ")[2]
        if place[:1].isdigit():
            assert cell_of(made, number) == tuple(map(int, place.split("."))), line


@pytest.mark.parametrize("text", ["", "# lines:", "# lines: x", "# lines: 1=", "no"])
def test_a_script_without_a_map_has_no_cells(text: str) -> None:
    assert cell_of(text, 1) is None


def test_no_line_of_a_cell_needs_no_map() -> None:
    assert line_map([(0, 0)] * 3) == ""


def test_only_the_first_rank_saves_and_shows(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert (rank(), first(len)("ab")) == (0, 2)
    monkeypatch.setenv("RANK", "1")
    assert (rank(), first(len)("ab")) == (1, None)
    display(1)
    assert capsys.readouterr().out == ""


def test_files_are_written_as_the_notebook_writes_them(tmp_path: Path, capsys: Any) -> None:
    path = str(tmp_path / "x.py")
    shell.write(path, "a", "")
    shell.append(path, "b")
    shell.write(f"{path}2", "é")
    shell.write(f"{path}2", "é")
    assert (tmp_path / "x.py").read_text() == "a\n\nb\n"
    told = f"Writing {path}", f"Appending to {path}", f"Writing {path}2", f"Overwriting {path}2"
    assert tuple(capsys.readouterr().out.splitlines()) == told


def test_a_script_for_the_shell_that_fails_ends_the_program() -> None:
    with pytest.raises(shell.subprocess.CalledProcessError):
        shell.script("bash", "exit 3")


def test_captured_lines_are_searched() -> None:
    lines = shell.Lines(["a.py 1", "b.txt 22", "c.py"])
    assert lines.grep(r"\.PY") == ["a.py 1", "c.py"]
    assert lines.grep(r"\.py", prune=True) == ["b.txt 22"]
    assert lines.grep("2", field=1).s == "b.txt 22"
    assert lines.grep(lambda line: line.startswith("c")).l == ["c.py"]
