"""`jupyter gpu run`: what the script says, on the screen and in the log; how it ends, and who may start it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jupyter_gpu_ext.errors import BadRequestError, BusyError, DeniedError, NotFoundError
from jupyter_gpu_ext.job import running
from jupyter_gpu_ext.job.run import run
from tests.conftest import write_connections

if TYPE_CHECKING:
    from pathlib import Path

KEY = "A" * 86 + "=="
COMMAND = [sys.executable, "-P", "-c", "from jupyter_gpu_ext.cli import gpu; gpu()", "run"]
WAITS = (
    "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (print('saved'), sys.exit(7)))\n"
    "print('ready')\ntime.sleep(60)\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a job"
    folder.mkdir()
    return folder


def script(folder: Path, text: str) -> str:
    (folder / "train.py").write_text(text)
    return str(folder)


def test_output_goes_to_the_screen_and_by_lines_to_the_log(folder, tmp_path, capfd):
    write_connections(tmp_path / "connections.toml", run7={"root": str(tmp_path / "run7"), "read_only": False})
    text = (
        "import os, sys\nprint(sys.argv[1:], os.getcwd(), sys.stdin.read())\nfor i in range(3):\n"
        "    print(f'\\r{i} %', end='')\nprint()\nprint('größe', file=sys.stderr)\nprint('Account' + 'Key=' + 'A' * 86"
        " + '==')\nsys.stdout.buffer.write(b'\\xff\\n')\nprint('end', end='')\nsys.exit(3)\n"
    )
    ran = run(script(folder, text), "--lr", "3e-4", log="run7://logs/train.log")
    assert (ran.exit_code, str(ran).endswith("a job' ended with 3 after 0 s.")) == (3, True)
    lines = (tmp_path / "run7/logs/train.log").read_text().splitlines()
    assert lines == [f"['--lr', '3e-4'] {folder} ", "2 %", "größe", "AccountKey=***", "\ufffd", "end"]
    shown = capfd.readouterr().out
    assert "\r1 %\r2 %\n" in shown
    assert KEY not in shown
    assert running.read(folder).state == "ended"


def test_a_run_is_told_to_end_and_its_end_is_the_commands(folder):
    with subprocess.Popen([*COMMAND, script(folder, WAITS)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert running.read(folder).state == "running"
        with pytest.raises(BusyError):
            run(str(folder))
        assert running.stop(folder)
        assert process.stdout.read().startswith("saved\n")
        assert process.wait() == 7
    assert (running.read(folder).exit_code, running.stop(folder)) == (7, False)


def test_a_script_that_is_killed_ends_as_a_shell_says_it(folder):
    text = script(folder, "import os\nos.kill(os.getpid(), 9)\n")
    assert run(text).exit_code == 137


def test_a_run_that_was_killed_is_lost_and_the_next_one_may_begin(folder):
    with subprocess.Popen([*COMMAND, script(folder, WAITS)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (running.read(folder).state, running.read(folder).exit_code) == ("lost", None)
        (folder / "train.py").write_text("print('again')\n")
        assert run(str(folder)).exit_code == 0


def test_what_follows_two_dashes_is_the_scripts(folder):
    text = script(folder, "import sys\nprint(sys.argv[1:])\n")
    done = subprocess.run([*COMMAND, text, "--", "--json", "--help", "-x"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("['--json', '--help', '-x']\n")


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"arguments": [f"--key=AccountKey={KEY}"]}, BadRequestError),
        ({"gpus": -1}, BadRequestError),
        ({"gpus": 65}, BadRequestError),
        ({"log": "nobody://x.log"}, NotFoundError),
        ({"log": "closed://x.log"}, DeniedError),
    ],
)
def test_what_cannot_be_begins_nothing(folder, tmp_path, more, error):
    write_connections(tmp_path / "connections.toml", closed={"root": str(tmp_path)})
    text = script(folder, "open('ran', 'w').close()\n")
    with pytest.raises(error):
        run(text, *more.pop("arguments", ()), **more)
    assert not (folder / "ran").exists()


def test_a_folder_without_a_script_says_how_one_is_made(folder):
    with pytest.raises(NotFoundError, match="jupyter gpu export"):
        run(str(folder))


@pytest.mark.parametrize("said", ["", "{", "[]", '{"pid": 1}', json.dumps({"pid": 0, "log": "", "exit_code": None})])
def test_a_record_of_another_form_is_none(folder, said):
    (folder / running.NAME).write_text(said)
    assert running.read(folder) is None
    assert not running.stop(folder)


def test_a_link_in_place_of_the_record_is_not_followed(folder, tmp_path):
    (tmp_path / "mine").write_text("mine")
    (folder / running.NAME).symlink_to(tmp_path / "mine")
    with pytest.raises(BadRequestError):
        run(script(folder, ""))
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.prove
def test_more_gpus_are_more_processes_and_their_end_is_the_commands(folder, capfd):
    rank = "'rank', os.environ['RANK'], 'of', os.environ['WORLD_SIZE']"
    text = f"import os, sys\nprint({rank}, sys.argv[1:], flush=True)\n"
    ran = run(script(folder, text), "--run", "1", gpus=2)
    shown = capfd.readouterr().out
    assert ran.exit_code == 0
    assert {"rank 0 of 2 ['--run', '1']", "rank 1 of 2 ['--run', '1']"} <= set(shown.splitlines())
