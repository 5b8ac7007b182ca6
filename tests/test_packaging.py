from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, requires, version
from pathlib import Path

import pytest

import jupyter_gpu_ext as jg

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "zarr", "numpy", "obstore", "azure", "adlfs", "fsspec", "pynvml", "psutil"}
JUPYTER = {"IPython", "tornado", "jupyter_server", "traitlets", "ipykernel", "jupyter_client", "nbconvert"}


def imported(code, blocked=()):
    """Return the top-level modules that a new process has after `code`."""
    program = f"""
import sys
for name in {sorted(blocked)!r}:
    sys.modules[name] = None
{code}
print(*sorted({{name.partition(".")[0] for name, module in sys.modules.items() if module is not None}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "never"),
    [
        ("import jupyter_gpu_ext", HEAVY | JUPYTER),
        ("import jupyter_gpu_ext as jg; jg.gpu; dir(jg); jg.__version__", HEAVY | JUPYTER),
        ("import jupyter_gpu_ext.cli", (HEAVY | JUPYTER) - {"numpy"}),
        ("import jupyter_gpu_ext as jg; jg.ls, jg.info, jg.plan, jg.gpu.doctor", {"torch", "zarr", "pynvml"} | JUPYTER),
        ("import jupyter_gpu_ext.export.exporter", {"torch", "zarr", "obstore", "azure", "adlfs", "pynvml"}),
        ("import jupyter_gpu_ext as jg; jg._jupyter_server_extension_points()", {"torch", "zarr", "obstore", "azure"}),
    ],
)
def test_what_an_import_costs(code, never):
    assert not imported(code) & never


@pytest.mark.parametrize("code", ["import jupyter_gpu_ext as jg; jg.ls, jg.info, jg.plan, jg.load, jg.gpu.status"])
def test_the_base_needs_no_jupyter_and_no_torch(code):
    imported(code, blocked=JUPYTER | {"torch"})


def test_every_public_name_is_there_and_no_other():
    assert dir(jg) == jg.__all__
    for name in jg.__all__:
        assert getattr(jg, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = jg.nothing


def test_the_version_is_the_one_of_the_frontend():
    package = json.loads((ROOT / "labextension" / "package.json").read_text())
    assert jg.__version__ == version("jupyter_gpu_ext") == package["version"]
    assert package["name"] == jg._jupyter_labextension_paths()[0]["dest"]


def test_the_server_extension_is_enabled_by_installing_it():
    from jupyter_server.extension.utils import validate_extension

    config = json.loads((ROOT / "jupyter_gpu_ext/server/jupyter_server_config.json").read_text())
    (module,) = config["ServerApp"]["jpserver_extensions"]
    assert validate_extension(module)
    installed = Path(sys.prefix) / "etc/jupyter/jupyter_server_config.d/jupyter_gpu_ext.json"
    assert json.loads(installed.read_text()) == config


def test_every_entry_point_loads():
    ours = distribution("jupyter_gpu_ext").entry_points
    assert {(one.group, one.name) for one in ours} == {
        ("console_scripts", "jupyter-blob"),
        ("console_scripts", "jupyter-gpu"),
        ("nbconvert.exporters", "trainscript"),
    }
    assert all(callable(one.load()) for one in ours)


def test_no_extra_but_its_own_brings_torch():
    lines = requires("jupyter_gpu_ext")
    with_torch = [line for line in lines if line.startswith("torch")]
    assert all('extra == "torch"' in line.replace("'", '"') for line in with_torch)
    assert with_torch
    base = [line for line in lines if "extra ==" not in line]
    assert not [line for line in base if line.startswith(("jupyter", "ipy", "notebook", "nbconvert"))]


def test_floors_that_keep_known_holes_shut():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {*project["dependencies"], *project["optional-dependencies"]["lab"]}
    assert {"fsspec>=2026.7.0", "jupyter_server>=2.20", "jupyterlab>=4.6.2", "nbconvert>=7.17.1"} <= declared


def test_the_licence_the_types_and_the_contract_are_packed():
    package = Path(jg.__file__).parent
    assert (package / "py.typed").exists()
    assert (package / "server" / "openapi.yaml").exists()
    assert (package / "gpu" / "compat.toml").exists()
    assert (ROOT / "LICENSE").exists()
