"""The TrainJob of Kubeflow Trainer, for clusters that have it.

https://www.kubeflow.org/docs/components/trainer/ -- its controller sets torchrun's addresses and ranks itself, and
refuses a job that does; the code must be in the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.export import yaml
from jupyter_gpu_ext.export.manifest import GPU, secrets

if TYPE_CHECKING:
    from jupyter_gpu_ext.export.target import Target


def to_text(target: Target) -> str:
    """Return the text of trainjob.yaml."""
    head = (
        "kubectl apply -f trainjob.yaml, once the image is built and pushed (README.md).\n"
        "Change `image` to the name that your cluster pulls it by."
    )
    return yaml.dump(train_job(target), head=head)


def train_job(target: Target) -> dict[str, Any]:
    """Return the TrainJob."""
    options = target.options
    limits: dict[str, Any] = {"cpu": str(options.cpus), "memory": options.memory}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": target.name},
        "spec": {
            "runtimeRef": {"name": "torch-distributed"},
            "trainer": {
                "image": options.image if options.code == "image" and options.image else target.built_image,
                "command": ["torchrun", "--", "/app/train.py", *target.arguments],
                "numNodes": 1,
                # Without a number the controller starts a process for each processor.
                "numProcPerNode": max(options.gpus, 1),
                "resourcesPerNode": {
                    "requests": limits,
                    "limits": {**limits, **({GPU: options.gpus} if options.gpus else {})},
                },
                "env": secrets(target),
            },
        },
    }
