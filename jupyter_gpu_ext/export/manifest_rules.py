"""What a cluster takes without a word and then does not run, or should not: rules beyond Kubernetes' own schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.target import LABEL, check_image
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECRET_NAME = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD|PASSWD|SAS|CREDENTIAL)S?$", re.IGNORECASE)
# https://kubernetes.io/docs/concepts/configuration/configmap/
_MOST_BYTES = 1 << 20


def problems(documents: list[Any]) -> list[str]:
    """Return what is wrong with a job's documents, one sentence each."""
    found = list[str]()
    for one in documents:
        if not isinstance(one, dict):
            found.append("A document is no object of Kubernetes.")
            continue
        found += _name(one)
        found += _config_map(one) if one.get("kind") == "ConfigMap" else []
        pod = one.get("spec", {}).get("template", {}).get("spec", {}) if one.get("kind") == "Job" else {}
        found += _pod(pod)
    return found


def check(documents: list[Any]) -> None:
    """Raise `ExportRefusedError` with the first problem."""
    if found := problems(documents):
        raise ExportRefusedError(found[0], hint="Change the options, or the notebook.")


def _name(document: Mapping[str, Any]) -> Iterator[str]:
    name = document.get("metadata", {}).get("name")
    if not isinstance(name, str) or not LABEL.fullmatch(name):
        yield f"{name!r} cannot name a {document.get('kind')}."


def _config_map(document: Mapping[str, Any]) -> Iterator[str]:
    data = document.get("data", {})
    if sum(len(str(text).encode()) for text in data.values()) > _MOST_BYTES - 4096:
        yield "The script and its files are more than a ConfigMap holds (1 MiB): build an image (--code image)."
    for name, text in data.items():
        if redact(str(text)) != str(text):
            yield f"{name} holds what looks like a secret."


def _pod(pod: Mapping[str, Any]) -> Iterator[str]:
    context = pod.get("securityContext", {})
    containers = [*pod.get("initContainers", ()), *pod.get("containers", ())]
    if containers and context.get("runAsNonRoot") is not True:
        yield "The pod may run as root."
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "The pod takes part in the node's own network or processes."
    for volume in pod.get("volumes", ()):
        if "hostPath" in volume:
            yield f"The volume {volume.get('name')} is a folder of the node."
        if volume.get("emptyDir", {}).get("medium") == "Memory" and "sizeLimit" not in volume["emptyDir"]:
            yield f"The volume {volume.get('name')} takes memory without a limit."
    for container in containers:
        yield from _container(container)


def _container(container: Mapping[str, Any]) -> Iterator[str]:
    try:
        check_image(str(container.get("image", "")))
    except ExportRefusedError as error:
        yield error.message
    context = container.get("securityContext", {})
    if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
        yield f"The container {container.get('name')} may become privileged."
    if context.get("capabilities", {}).get("drop") != ["ALL"] or context.get("capabilities", {}).get("add"):
        yield f"The container {container.get('name')} keeps capabilities that training does not need."
    yield from _resources(container.get("resources", {}))
    for variable in container.get("env", ()):
        value = str(variable.get("value", ""))
        if value and (_SECRET_NAME.search(str(variable.get("name"))) or redact(value) != value):
            yield f"The variable {variable.get('name')} holds a secret in the file itself: use a secretKeyRef."
    for argument in (*container.get("command", ()), *container.get("args", ())):
        if redact(str(argument)) != str(argument):
            yield "The command holds what looks like a secret."


def _resources(resources: Mapping[str, Any]) -> Iterator[str]:
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    if "memory" not in limits:
        yield "The container has no limit of memory."
    # Extended resources, those with a domain: https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/
    for name, amount in {**requests, **limits}.items():
        if "/" not in name:
            continue
        if not re.fullmatch(r"[1-9]\d*", str(amount)):
            yield f"{name}: {amount} is no whole number; a GPU is given whole."
        if name not in limits or requests.get(name, limits.get(name)) != limits.get(name):
            yield f"{name} stands in the limits, and a request of it is the same."
