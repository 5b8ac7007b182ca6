"""The Kubernetes Job, plain `batch/v1`: it runs under the restricted pod security standard.

https://kubernetes.io/docs/concepts/workloads/controllers/job/ and
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.export import yaml
from jupyter_gpu_ext.job.start import FAILED
from jupyter_gpu_ext.text import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.export.target import Target

GPU = "nvidia.com/gpu"
_USER = 1000
_KEPT_SECONDS = 7 * 24 * 3600
# Long enough for a Checkpointer to write a large model.
_GRACE_SECONDS = 120
_RETRIES = 3
_HOME = "/tmp"  # noqa: S108 -- the container's, an empty folder of the pod
# The pod's own as well.
_SHARED = "/dev/shm"  # noqa: S108 -- a volume of memory
_JOB, _WORK, _PACKAGES = "/job", "/work", "/packages"
# As GPU feature discovery names them: https://github.com/NVIDIA/k8s-device-plugin/tree/main/docs/gpu-feature-discovery
_GPU_MEMORY, _DRIVER = "nvidia.com/gpu.memory", "nvidia.com/cuda.driver.major"


def to_text(target: Target, files: Mapping[str, str]) -> str:
    """Return the text of job.yaml.

    Parameters
    ----------
    files : mapping of str to str
        What the job needs of the folder, by name; carried by a ConfigMap unless the image has it.
    """
    carried = [_config_map(target, files)] if target.options.code == "configmap" else []
    return yaml.dump(*carried, job(target, files), head="\n".join(_head(target)))


def job(target: Target, files: Mapping[str, str]) -> dict[str, Any]:
    """Return the Job."""
    identity = {"serviceAccountName": target.options.service_account} if target.options.service_account else {}
    labels = {"app.kubernetes.io/name": target.name}
    if target.options.service_account:
        labels["azure.workload.identity/use"] = "true"
    installs = [_installing(target)] if target.installs else []
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        **identity,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **(
            {"tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]} if target.options.gpus else {}
        ),
        **_affinity(target),
        **({"initContainers": installs} if installs else {}),
        "containers": [_container(target)],
        "volumes": _volumes(target),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": target.name, "labels": {"app.kubernetes.io/name": target.name}},
        "spec": {
            "backoffLimit": _RETRIES,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            # What the preflight refuses stays refused; a node that is taken away is nobody's failure.
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "train", "operator": "In", "values": [FAILED]},
                    },
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                ]
            },
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _head(target: Target) -> list[str]:
    lines = ["kubectl apply -f job.yaml"]
    lines += [f"Before: {target.creates_secret(one)}" for one in target.connections if one.variable]
    if target.gpu_memory_mib is not None:
        size = format_bytes(target.gpu_memory_mib << 20)
        lines.append(
            f"The notebook held up to {size} of device memory, 5 % of margin included: GPUs with more are chosen."
        )
    return lines


def _container(target: Target) -> dict[str, Any]:
    options = target.options
    script = f"{_JOB}/train.py" if options.code == "configmap" else "/app/train.py"
    limits: dict[str, Any] = {"cpu": str(options.cpus), "memory": options.memory}
    # Devices are whole, and stand in the limits alone.
    device = {GPU: options.gpus} if options.gpus else {}
    return {
        "name": "train",
        "image": target.image,
        "command": target.command(script),
        "workingDir": _WORK,
        "env": [*_variables(target), *secrets(target)],
        "resources": {"requests": limits, "limits": {**limits, **device}},
        "securityContext": _locked_down(),
        "volumeMounts": _mounts(target),
    }


def _installing(target: Target) -> dict[str, Any]:
    pip = ["python", "-m", "pip", "install", "--no-cache-dir", "--no-deps", "--target", _PACKAGES]
    return {
        "name": "packages",
        "image": target.image,
        "command": [*pip, "--requirement", f"{_JOB}/requirements-image.txt"],
        "env": [{"name": "HOME", "value": _HOME}],
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "securityContext": _locked_down(),
        "volumeMounts": [one for one in _mounts(target) if one["mountPath"] != _SHARED],
    }


def _locked_down() -> dict[str, Any]:
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _variables(target: Target) -> list[dict[str, Any]]:
    values = {
        # A user without a name in the image, and caches below a home that it may not write, stop torch's compiler.
        "HOME": _HOME,
        "USER": "train",
        "TORCHINDUCTOR_CACHE_DIR": f"{_HOME}/inductor",
        "TRITON_CACHE_DIR": f"{_HOME}/triton",
        "MPLBACKEND": "Agg",
        "PYTHONUNBUFFERED": "1",
        **({"PYTHONPATH": _PACKAGES} if target.installs else {}),
    }
    return [{"name": name, "value": value} for name, value in values.items()]


def secrets(target: Target) -> list[dict[str, Any]]:
    """Return the environment variables that hold secrets, each by reference."""
    return [
        {
            "name": one.variable,
            "valueFrom": {"secretKeyRef": {"name": target.secret_of(one), "key": one.variable}},
        }
        for one in target.connections
        if one.variable
    ]


def _mounts(target: Target) -> list[dict[str, Any]]:
    carried = [{"name": "job", "mountPath": _JOB, "readOnly": True}] if target.options.code == "configmap" else []
    packages = [{"name": "packages", "mountPath": _PACKAGES}] if target.installs else []
    return [
        *carried,
        {"name": "work", "mountPath": _WORK},
        {"name": "tmp", "mountPath": _HOME},
        {"name": "shm", "mountPath": _SHARED},
        *packages,
    ]


def _volumes(target: Target) -> list[dict[str, Any]]:
    carried = [{"name": "job", "configMap": {"name": target.name}}] if target.options.code == "configmap" else []
    packages = [{"name": "packages", "emptyDir": {}}] if target.installs else []
    # Memory in which a container's 64 MiB would end a DataLoader with "Bus error"; it counts as the container's.
    shared = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": target.options.shared_memory}}
    return [*carried, {"name": "work", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}, shared, *packages]


def _affinity(target: Target) -> dict[str, Any]:
    """Return which nodes fit; one that does not tell of its GPUs may fit, and the preflight looks again."""
    wanted = {_GPU_MEMORY: target.gpu_memory_mib, _DRIVER: target.driver_major and target.driver_major - 1}
    more = [{"key": key, "operator": "Gt", "values": [str(least)]} for key, least in wanted.items() if least]
    if not more:
        return {}
    untold = {"matchExpressions": [{"key": _GPU_MEMORY, "operator": "DoesNotExist"}]}
    terms = [{"matchExpressions": more}, untold]
    return {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    }


def _config_map(target: Target, files: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": target.name, "labels": {"app.kubernetes.io/name": target.name}},
        "data": dict(files),
    }
