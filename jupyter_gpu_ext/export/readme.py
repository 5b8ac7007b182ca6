"""The README of a job's folder: three commands, and what each file is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.text import format_bytes, format_count, printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jupyter_gpu_ext.export.target import Target

_FILES = {
    "train.py": "the notebook as a script; `python train.py --help` shows its parameters",
    "requirements.txt": "the packages, pinned to what the notebook ran with",
    "requirements-image.txt": "those that PyTorch's image lacks",
    "data.lock": "the objects that the notebook read, each in its version; the preflight compares them",
    "jupyter_gpu_connections.toml": "the storage; secrets are named, never written down",
    "job.yaml": "the job for Kubernetes",
    "job.sbatch": "the job for Slurm",
    "trainjob.yaml": "the job for Kubeflow Trainer",
    "Dockerfile": "an image with the script in it",
    "github-workflow.yml": "proves the script again on each change",
}


def to_text(target: Target, *, notebook: str, notes: Sequence[str], files: Iterable[str], data_bytes: int) -> str:
    """Return the text of README.md.

    Parameters
    ----------
    notes : sequence of str
        What a person should know before it runs elsewhere.
    files : iterable of str
        The names in the folder.
    data_bytes : int
        What is read from storage, as far as it is known.
    """
    return "\n".join(
        [
            f"# {target.name}",
            "",
            f"Made from `{printable(redact(notebook))}`. Edit the notebook and export it again, not these files.",
            "",
            *_commands(target),
            *_storage(target, data_bytes),
            *(["## To know before", "", *(f"- {printable(one)}" for one in notes), ""] if notes else []),
            "## Files",
            "",
            "| file | what it is |",
            "| --- | --- |",
            *(f"| `{name}` | {_FILES[name]} |" for name in files if name in _FILES),
            "",
            *_elsewhere(target),
        ]
    )


def _commands(target: Target) -> Iterator[str]:
    yield from ("## Run on Kubernetes", "", "```bash")
    for one in target.connections:
        if one.variable:
            yield target.creates_secret(one)
    yield "kubectl apply -f job.yaml"
    yield f"kubectl logs -f job/{target.name} -c train"
    yield from ("```", "")
    if target.installs:
        yield f"It runs in `{target.image}`; the packages are installed when it starts. Your own image starts faster."
        yield ""


def _storage(target: Target, data_bytes: int) -> Iterator[str]:
    if not target.connections:
        return
    size = f", {format_bytes(data_bytes)} in all" if data_bytes else ""
    yield from (f"## Storage ({format_count(len(target.connections), 'connection')}{size})", "")
    for one in target.connections:
        does = " and ".join([*(["reads"] if one.reads else []), *(["writes"] if one.writes else [])])
        root = f" `{printable(redact(one.connection.root))}`" if one.connection is not None else ""
        access = f"; secret `{one.variable}`" if one.variable else ""
        yield f"- `{one.name}://`{root}: {does}{access}{f' ({one.note})' if one.note else ''}"
    if any(one.is_cloud for one in target.connections) and not target.options.service_account:
        yield "- Without a secret the job's own identity is asked: export with `--service-account NAME` for one."
    yield from ("", "`jupyter-gpu doctor --job .` tries each of them.", "")


def _elsewhere(target: Target) -> Iterator[str]:
    yield from ("## Elsewhere", "", "```bash", "sbatch job.sbatch                     # Slurm")
    yield f"{target.shell('train.py')}    # here"
    yield f"docker build -t {target.built_image} .    # an image of it; Kubeflow: kubectl apply -f trainjob.yaml"
    yield from ("jupyter-gpu verify .                  # is it still what was exported?", "```", "")
