"""The demo: a small store to look into, a tour and a training as notebooks, and JupyterLab on them.

Usage: python binder/demo.py prepare | serve | environment

- prepare writes everything below .demo/
- serve prepares, then runs JupyterLab in the foreground
- environment prints the variables that the demo's JupyterLab needs
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import torch
import zarr

from jupyter_gpu_ext import gpu
from jupyter_gpu_ext.gpu.models import State

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent / ".demo"
STORE = DEMO / "store"
RUNS = DEMO / "runs"
WORK = DEMO / "work"
NOTEBOOKS = ("tour.ipynb", "forecast.ipynb")

CONNECTIONS = """\
[connections.demo]
root = {store}
read_only = true

[connections.era5]
root = {era5}
read_only = true

[connections.runs]
root = {runs}
read_only = false
"""

README = """This folder is the store of the demo. Click a checkpoint to see what is inside it without loading it.
"""


def prepare() -> None:
    """Write the store, the connections file and the notebooks; these only once, they are the person's."""
    for folder in (STORE / "checkpoints", STORE / "tiny-llm", STORE / "era5", RUNS, WORK, DEMO / "settings"):
        folder.mkdir(parents=True, exist_ok=True)
    (STORE / "README.txt").write_text(README)
    torch.manual_seed(0)
    write_checkpoints(STORE / "checkpoints")
    write_safetensors(STORE / "tiny-llm" / "model.safetensors", tiny_llm())
    write_weather(STORE / "weather.zarr")
    write_era5(STORE / "era5" / "train.zarr", range(400))
    write_era5(STORE / "era5" / "valid.zarr", range(400, 480))
    places = {"store": STORE, "era5": STORE / "era5", "runs": RUNS}
    said = CONNECTIONS.format(**{name: json.dumps(str(place)) for name, place in places.items()})
    (DEMO / "connections.toml").write_text(said)
    quiet = DEMO / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True, exist_ok=True)
    (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    for name in NOTEBOOKS:
        if not (WORK / name).exists():
            shutil.copyfile(HERE / name, WORK / name)


def write_checkpoints(folder: Path) -> None:
    """Write what a training leaves behind: weights, a step with its optimizer, a name that needs quotes."""
    model = torch.nn.Sequential(torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10))
    torch.save(model.state_dict(), folder / "digits.pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    model(torch.randn(8, 784)).square().mean().backward()
    optimizer.step()
    step = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 100, "lr": 3e-4}
    torch.save(step, folder / "step 100 #best.pt")


def tiny_llm() -> dict[str, torch.Tensor]:
    """Return the weights of a very small transformer in bfloat16."""
    shapes = {"model.embed_tokens.weight": (4000, 128), "lm_head.weight": (4000, 128)}
    for layer in range(4):
        prefix = f"model.layers.{layer}"
        shapes |= {f"{prefix}.self_attn.{name}_proj.weight": (128, 128) for name in "qkvo"}
        shapes |= {f"{prefix}.mlp.up_proj.weight": (512, 128), f"{prefix}.mlp.down_proj.weight": (128, 512)}
    return {name: torch.randn(shape).to(torch.bfloat16) for name, shape in shapes.items()}


def write_safetensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write bfloat16 tensors as safetensors: https://github.com/huggingface/safetensors#format."""
    header, at = {}, 0
    for name, one in tensors.items():
        size = one.numel() * one.element_size()
        header[name] = {"dtype": "BF16", "shape": list(one.shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    data = b"".join(one.view(torch.uint8).numpy().tobytes() for one in tensors.values())
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)


def write_weather(folder: Path) -> None:
    """Write a temperature over time, latitude and longitude, packed as weather services do."""
    days, north, east = np.arange(8), np.arange(90.0, -91.0, -3.0), np.arange(0.0, 360.0, 3.0)
    mean = 300 - 45 * np.sin(np.radians(north))[:, None] ** 2 + 3 * np.cos(np.radians(2 * east))[None, :]
    kelvin = mean[None] + np.sin(days / 2)[:, None, None]
    axes = {
        "time": (days, {"units": "days since 2020-01-01", "calendar": "standard"}),
        "latitude": (north, {"units": "degrees_north", "standard_name": "latitude"}),
        "longitude": (east, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    packed = {"units": "K", "long_name": "2 metre temperature", "scale_factor": 0.01, "add_offset": 273.15}
    group = zarr.create_group(folder, overwrite=True, zarr_format=3)
    write_axes(group, axes)
    group.create_array(
        "t2m",
        data=np.round((kelvin - 273.15) / 0.01).astype(np.int16),
        chunks=(1, len(north), len(east)),
        dimension_names=list(axes),
        attributes=packed,
    )


def write_era5(folder: Path, hours: range) -> None:
    """Write three fields as ERA5 has them, hour by hour: waves that go round the earth, each at its own speed."""
    north, east = np.arange(75.0, -76.0, -10.0), np.arange(0.0, 360.0, 11.25)
    axes = {
        "time": (np.array(hours), {"units": "hours since 2020-01-01", "calendar": "proleptic_gregorian"}),
        "latitude": (north, {"units": "degrees_north", "standard_name": "latitude"}),
        "longitude": (east, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    group = zarr.create_group(folder, overwrite=True, zarr_format=3)
    write_axes(group, axes)
    time, around = np.array(hours)[:, None, None], np.radians(east)[None, None, :]
    warm, draw = np.cos(np.radians(north))[None, :, None], np.random.default_rng(0)
    # Unit, mean, swing, and how many hours a chunk holds: not the same for all.
    fields = {"t2m": ("K", 265 + 30 * warm, 12, 8), "u10": ("m s**-1", 0, 5, 12), "v10": ("m s**-1", 0, 5, 12)}
    for name, (unit, mean, swing, chunk) in fields.items():
        kinds = zip((1, 2, 3, 5), draw.uniform(0.1, 0.6, 4), draw.uniform(0, 6, 4), strict=True)
        waves = sum(np.cos(number * around - speed * time + phase) for number, speed, phase in kinds) / 4
        packing = {"units": unit, "scale_factor": 0.002, "add_offset": 280.0 if name == "t2m" else 0.0}
        group.create_array(
            name,
            data=np.round((mean + swing * warm * waves - packing["add_offset"]) / 0.002).astype(np.int16),
            chunks=(chunk, len(north), len(east)),
            dimension_names=list(axes),
            attributes={**packing, "_FillValue": -32768},
        )


def write_axes(group: zarr.Group, axes: dict[str, tuple[np.ndarray, dict[str, str]]]) -> None:
    """Write the arrays that say where the others' values are."""
    for name, (values, attributes) in axes.items():
        group.create_array(name, data=values, dimension_names=[name], attributes=attributes)


def environment() -> dict[str, str]:
    """Return the variables of the demo's JupyterLab; simulated GPUs only where there is no driver."""
    variables = {
        "JUPYTER_GPU_CONNECTIONS": str(DEMO / "connections.toml"),
        "JUPYTERLAB_SETTINGS_DIR": str(DEMO / "settings"),
    }
    if "JUPYTER_GPU_SIMULATED" not in os.environ and gpu.status().state is State.NO_GPU:
        variables["JUPYTER_GPU_SIMULATED"] = "1xA100"
    return variables


def serve() -> None:
    """Run JupyterLab in the foreground in place of this process."""
    os.environ.update(environment())
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    options = [
        "--no-browser",
        f"--ServerApp.root_dir={WORK}",
        "--LabApp.default_url=/lab/tree/tour.ipynb",
        *(["--allow-root"] if os.geteuid() == 0 else []),
        *sys.argv[2:],
    ]
    print("\nThe demo's JupyterLab starts; open the link that it prints. Ctrl-C ends it.\n", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "jupyter", "lab", *options])


def main() -> None:
    """Do what the command line says."""
    match sys.argv[1:2]:
        case ["prepare"]:
            prepare()
        case ["serve"]:
            prepare()
            serve()
        case ["environment"]:
            lines = (f"export {name}={shlex.quote(value)}" for name, value in environment().items())
            print("\n".join(lines))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
