"""What a script has in the place of `!command`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jupyter_gpu_ext.export.script import make_script
from jupyter_gpu_ext.job.shell import CommandError, capture, run
from tests.export.notebooks import notebook
from tests.export.test_same import run as run_script

if TYPE_CHECKING:
    from collections.abc import Callable


def test_captured_lines_are_a_list_with_views() -> None:
    lines = capture("printf 'a b\\nc\\n'; echo wrong >&2")
    assert lines == ["a b", "c", "wrong"]
    assert (lines.n, lines.s, lines.p[1]) == ("a b\nc\nwrong", "a b c wrong", Path("c"))


def test_bytes_that_are_no_text_do_not_end_the_job() -> None:
    assert capture("printf 'a\\377'") == ["a\ufffd"]


def test_a_failing_command_is_told_and_does_not_raise(capsys: pytest.CaptureFixture[str]) -> None:
    run("exit 4")
    assert capture("echo x; exit 5") == ["x"]
    told = capsys.readouterr().err.splitlines()
    assert told == [f"The shell command ended with exit code {code}." for code in (4, 5)]


def test_output_keeps_its_order(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    run("echo within")
    print("after", flush=True)
    assert capfd.readouterr().out == "before\nwithin\nafter\n"


@pytest.mark.parametrize("own", ["/bin/bash", "", "/usr/sbin/nologin", "/bin/false", "/no/such/shell"])
def test_the_shell_is_the_kernels(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    monkeypatch.setenv("SHELL", own)
    assert capture("[[ a < b ]] && echo ${BASH_VERSION:+bash}") == ["bash"]


def test_another_shell_of_the_person_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    assert capture("echo $0") == ["/bin/sh"]


@pytest.mark.parametrize("act", [run, capture])
def test_a_failing_command_may_end_the_program(act: Callable[..., object]) -> None:
    act("true", check=True)
    with pytest.raises(CommandError, match=r"^The shell command ended with exit code 3\.$"):
        act("exit 3  # sig=abcdefghijklmnop", check=True)


def test_a_strict_script_ends_where_a_command_fails(tmp_path: Path) -> None:
    cells = "!echo one", "x = 1\ny = !false\nprint(2)", "print(3)"
    lax, strict = (
        make_script(notebook(*cells), name="x.ipynb", version="0", strict_shell=one).text for one in (False, True)
    )
    assert run_script(lax, tmp_path, "--skip-preflight").stdout == "one\n2\n3\n"
    done = run_script(strict, tmp_path, "--skip-preflight")
    assert (done.returncode, done.stdout) == (1, "one\n")
    assert done.stderr.splitlines()[-2:] == [
        "jupyter_gpu_ext.job.shell.CommandError: The shell command ended with exit code 1.",
        "In the notebook: cell 2, line 2.",
    ]
