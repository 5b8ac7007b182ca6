"""The workflow for GitHub Actions: on each change the script is proven again, without a GPU and without the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.export import yaml

if TYPE_CHECKING:
    from jupyter_gpu_ext.export.environment import Environment

_HEAD = "Copy to .github/workflows/ of your repository, and set FOLDER to where this folder lies in it."
_MINUTES = 30


def to_text(environment: Environment, index: str) -> str:
    """Return the text of github-workflow.yml.

    Parameters
    ----------
    index : str
        Where a build of torch for the CPU lies.
    """
    python = ".".join(environment.python.split(".")[:2])
    install = (
        # The pinned version, but its build for a machine without a GPU.
        "sed -E 's/^(torch(vision|audio)?==[^+]+)\\+.*/\\1/; /^--extra-index-url/d; /^(nvidia-|cuda-|triton==)/d' "
        "requirements.txt > requirements-cpu.txt\n"
        f"python -m pip install --extra-index-url {index} -r requirements-cpu.txt\n"
    )
    job = {
        "runs-on": "ubuntu-latest",
        "timeout-minutes": _MINUTES,
        "defaults": {"run": {"working-directory": "${{ env.FOLDER }}"}},
        "steps": [
            {"uses": "actions/checkout@v4", "with": {"persist-credentials": False}},
            {"uses": "actions/setup-python@v5", "with": {"python-version": python}},
            {"name": "Install", "run": install},
            {"name": "Preflight", "run": "python train.py --preflight-only"},
            {"name": "Verify", "run": "jupyter-gpu verify ."},
        ],
    }
    document = {
        "name": "verify",
        "on": {"push": {}, "pull_request": {}, "workflow_dispatch": {}},
        "permissions": {"contents": "read"},
        "env": {"FOLDER": "."},
        "jobs": {"verify": job},
    }
    return yaml.dump(document, head=_HEAD)
