"""The cell tagged `parameters` becomes typed options; what the notebook has is the default of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.job.start import start
from tests.export.notebooks import code, script
from tests.export.test_same import run

if TYPE_CHECKING:
    from pathlib import Path

CELL = """
# of the optimiser
lr: float = 1e-3
batch_size = 2 ** 5  # 100 % of a step
name = "run 7"  # e.g. 'a'
resume = False
layers = [64, -32]
shape: tuple = (1, 2)
mode: Literal["fast", "exact"] = "fast"
limit: int | None = None
seed: Optional[int] = 3
anything = None
double = batch_size * 2
"""
SHOW = "print([lr, batch_size, name, resume, layers, shape, mode, limit, seed, anything, double])"
MADE = script(code(CELL.strip(), "parameters"), SHOW)
DEFAULTS = [1e-3, 32, "run 7", False, [64, -32], (1, 2), "fast", None, 3, None, 64]
NAMES = ["lr", "batch_size", "name", "resume", "layers", "shape", "mode", "limit", "seed", "anything"]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the script in this process."""

    def call(*arguments: str, **environ: str) -> list[Any]:
        monkeypatch.setattr("sys.argv", ["made.py", "--skip-preflight", *arguments])
        monkeypatch.setattr("sys.excepthook", lambda *_: None)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        exec(compile(MADE, "made.py", "exec"), {"__name__": "__main__", "__file__": "made.py"})
        return eval(capsys.readouterr().out)

    return call


def test_the_defaults_are_the_notebooks(printed: Any) -> None:
    assert printed() == DEFAULTS


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (["--lr", "1"], {"lr": 1.0}),
        (["--lr=-1e-5"], {"lr": -1e-5}),
        (["--batch-size", "8"], {"batch_size": 8, "double": 16}),
        (["--batch_size", "8"], {"batch_size": 8, "double": 16}),
        (["--name", "a b"], {"name": "a b"}),
        (["--name", "7"], {"name": "7"}),
        (["--resume"], {"resume": True}),
        (["--no-resume"], {}),
        (["--layers", "[1]"], {"layers": [1]}),
        (["--shape", "(3, 4)"], {"shape": (3, 4)}),
        (["--shape", "[3, 4]"], {"shape": (3, 4)}),
        (["--mode", "exact"], {"mode": "exact"}),
        (["--limit", "5"], {"limit": 5}),
        (["--seed", "None"], {"seed": None}),
        (["--anything", "text"], {"anything": "text"}),
        (["--anything", "[1, 2]"], {"anything": [1, 2]}),
    ],
    ids=str,
)
def test_an_option_replaces_one(printed: Any, arguments: list[str], changed: dict[str, Any]) -> None:
    assert printed(*arguments) == list((dict(zip([*NAMES, "double"], DEFAULTS, strict=True)) | changed).values())


def test_the_line_goes_before_the_environment_and_that_before_the_file(printed: Any, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"lr": 1, "name": "file", "seed": 1, "shape": [9]}))
    environ = {"PARAM_NAME": "environment", "PARAM_SEED": "2", "PARAM_RESUME": "yes"}
    values = dict(zip(NAMES, printed("--config", str(path), "--seed", "4", **environ), strict=False))
    assert (values["lr"], values["shape"], values["name"], values["seed"]) == (1.0, (9,), "environment", 4)
    assert values["resume"] is True


@pytest.mark.parametrize(
    ("arguments", "environ", "config", "message"),
    [
        (["--batch-size", "0.5"], {}, "", "--batch_size: batch_size is of type int; '0.5' is not."),
        (["--lr", "fast"], {}, "", "lr is of type float"),
        (["--layers", "7"], {}, "", "layers is of type list"),
        (["--layers", "f()"], {}, "", "layers is of type list"),
        (["--mode", "slow"], {}, "", "mode is one of 'fast', 'exact'; not 'slow'."),
        (["--batch", "8"], {}, "", "unrecognized arguments: --batch"),
        ([], {"PARAM_RESUME": "maybe"}, "", "resume is of type bool"),
        ([], {}, '{"lrr": 1}', "'lrr' is no parameter. — Did you mean lr?"),
        ([], {}, '{"batch_size": 1.5}', "batch_size is of type int; 1.5 is not."),
        ([], {}, '{"resume": 1}', "resume is of type bool; 1 is not."),
        ([], {}, '{"lr": "1"}', "lr is of type float"),
        ([], {}, "[1]", "holds no names"),
        ([], {}, "{", "cannot be read"),
        ([], {}, None, "cannot be read"),
    ],
    ids=str,
)
def test_a_wrong_value_ends_with_2(
    printed: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    environ: dict[str, str],
    config: str | None,
    message: str,
) -> None:
    if config:
        (tmp_path / "c.json").write_text(config)
    options = [*arguments, "--config", str(tmp_path / "c.json")] if config != "" else arguments
    with pytest.raises(SystemExit) as ended:
        printed(*options, **environ)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_help_names_everything_and_checks_nothing(tmp_path: Path) -> None:
    done = run(MADE, tmp_path, "--help", COLUMNS="200")
    assert done.returncode == 0
    assert done.stderr == ""
    for text in (
        "--lr FLOAT",
        "of the optimiser (default: 0.001; PARAM_LR)",
        "--batch-size INT, --batch_size INT",
        "100 % of a step (default: 32; PARAM_BATCH_SIZE)",
        "--resume, --no-resume",
        "--mode {fast,exact}",
        "--preflight-only",
        "--skip-preflight",
        "--log-json",
        "--config FILE",
    ):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("x = 1\nx = 2", "Cell 1, line 2: The parameter x is assigned twice."),
        ("config = {}", "Cell 1, line 1: Every script has an option config."),
        ("help = 1", "Every script has an option help."),
    ],
)
def test_a_parameter_that_cannot_be_one_is_refused(cell: str, message: str) -> None:
    with pytest.raises(ExportRefusedError, match=message):
        script(code(cell, "parameters"))


def test_names_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_gpu_ext.job.parameters import Parameter

    monkeypatch.setattr("sys.argv", ["x", "--größe", "2", "--_hidden", "3", "--a-b", "4", "--skip-preflight"])
    monkeypatch.setattr("sys.excepthook", lambda *_: None)
    given = start("x.py", [Parameter("größe", 1), Parameter("_hidden", 1), Parameter("a_b", 1)])
    assert vars(given) == {"größe": 2, "_hidden": 3, "a_b": 4}
