"""The batch script for Slurm; https://slurm.schedmd.com/sbatch.html."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_gpu_ext.export.target import Target

# What a shell says of a process that SIGTERM ended.
_TERMINATED = 128 + 15
_UNITS = {"Mi": "M", "Gi": "G", "Ti": "T"}


def to_text(target: Target) -> str:
    """Return the text of job.sbatch."""
    options = target.options
    memory = options.memory[:-2] + _UNITS[options.memory[-2:]]
    asked = [
        f"--job-name={target.name}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={options.cpus}",
        f"--mem={memory}",
        *([f"--gpus-per-node={options.gpus}"] if options.gpus else []),
        "--output=%x-%j.log",
        "--requeue",
        # Two minutes before the end, to the script itself.
        "--signal=TERM@120",
    ]
    needs = [
        f': "${{{one.variable}:?export the secret of connection {one.name} first}}"'
        for one in target.connections
        if one.variable
    ]
    return "\n".join(
        [
            "#!/bin/bash",
            "# sbatch job.sbatch, in this folder. Once before, where the packages are to lie:",
            "#   python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
            *(f"#SBATCH {one}" for one in asked),
            "",
            "set -euo pipefail",
            'cd "${SLURM_SUBMIT_DIR:-.}"',
            "if [ -d .venv ]; then source .venv/bin/activate; fi",
            *needs,
            "code=0",
            f"srun {target.shell('train.py')} || code=$?",
            "# The time was up, and a Checkpointer has saved: Slurm starts it again, and it goes on from there.",
            f'if [ "$code" = {_TERMINATED} ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
            'exit "$code"',
            "",
        ]
    )
