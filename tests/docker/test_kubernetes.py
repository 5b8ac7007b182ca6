"""The Kubernetes files: against the cluster's own schemas, and the rules that those do not hold."""

from __future__ import annotations

import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from jupyter_gpu_ext.storage import connections
from tests.docker.dockerfile import DOCKER, read

FILES = sorted((DOCKER / "kubernetes").glob("*.yaml"))
OBJECTS = {one["kind"]: one for path in FILES for one in yaml.safe_load_all(path.read_text("utf-8"))}
POD = OBJECTS["Deployment"]["spec"]["template"]["spec"]
CONTAINERS = [*POD["initContainers"], *POD["containers"]]
(NOTEBOOK,) = POD["containers"]
each_container = pytest.mark.parametrize("container", CONTAINERS, ids=lambda one: one["name"])


def validate(text: str) -> None:
    """Hold every object against the schemas of the newest cluster that is known; what no schema has is an error."""
    for one in yaml.safe_load_all(text):
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_what_a_cluster_takes(path):
    validate(path.read_text("utf-8"))


def test_the_check_would_find_a_slip():
    with pytest.raises(kubernetes_validate.ValidationError, match="sizelimit"):
        validate(FILES[0].read_text("utf-8").replace("sizeLimit", "sizelimit"))


def test_what_is_there():
    assert set(OBJECTS) == {"PersistentVolumeClaim", "Deployment", "Service"}
    assert OBJECTS["Service"]["spec"]["type"] == "ClusterIP"
    labels = OBJECTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert OBJECTS["Service"]["spec"]["selector"] == OBJECTS["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert OBJECTS["Deployment"]["spec"]["strategy"]["type"] == "Recreate"


@each_container
def test_pod_security_restricted(container):
    """The profile's fields: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted ."""
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not POD.keys() & {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"}
    assert {next(iter(one.keys() - {"name"})) for one in POD["volumes"]} <= {
        "configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected", "downwardAPI", "csi", "ephemeral"
    }  # fmt: skip
    confined = container["securityContext"]
    assert confined["allowPrivilegeEscalation"] is False
    assert confined["capabilities"] == {"drop": ["ALL"]}
    assert "privileged" not in confined
    assert not [port for port in container.get("ports", []) if "hostPort" in port]


def test_the_user_is_the_image_s():
    _, stages = read()
    user, group = stages["notebook"].every("USER")[-1].split(":")
    context = POD["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (int(user), int(group), int(group))


@each_container
def test_gpus_are_whole_and_limits(container):
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    assert type(limits["nvidia.com/gpu"]) is int
    assert requests.get("nvidia.com/gpu", limits["nvidia.com/gpu"]) == limits["nvidia.com/gpu"]
    assert requests["memory"] == limits["memory"]
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in POD["tolerations"]


@each_container
def test_shared_memory_has_a_limit_and_the_rest_of_what_is_written_a_volume(container):
    volumes = {one["name"]: one for one in POD["volumes"]}
    places = {one["mountPath"]: volumes[one["name"]] for one in container["volumeMounts"]}
    assert places["/dev/shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    _, stages = read()
    known = stages["batch"].variables()
    for name in ("HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        assert any(Path(known[name]).is_relative_to(place) for place in places)


def test_one_image_and_jobs_get_its_name():
    (image,) = {one["image"] for one in CONTAINERS}
    assert not image.endswith(":latest")
    assert ":" in image.rpartition("/")[2]
    assert {"name": "JUPYTER_GPU_IMAGE", "value": image} in NOTEBOOK["env"]


def test_secrets_come_by_reference():
    for container in CONTAINERS:
        for one in container.get("env", []):
            assert one["name"] == "JUPYTER_GPU_IMAGE" or "valueFrom" in one
    assert OBJECTS.keys() & {"Secret", "ConfigMap"} == set()
    assert POD["automountServiceAccountToken"] is False


def test_the_notebook_is_asked_where_no_token_is_needed():
    _, stages = read()
    (port,) = NOTEBOOK["ports"]
    assert f"--port={port['containerPort']}" in stages["notebook"].exec_form("CMD")
    assert "command" not in NOTEBOOK
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert NOTEBOOK[probe]["httpGet"] == {"path": "/api", "port": port["name"]}
    assert OBJECTS["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]


def test_connections_are_where_they_are_looked_for():
    (place,) = (one["mountPath"] for one in NOTEBOOK["volumeMounts"] if one["name"] == "connections")
    assert f"{place}/{connections.FILE_NAME}" in map(str, connections.search_path({}))
    assert f"--from-file={connections.FILE_NAME}" in FILES[0].read_text("utf-8")


@pytest.mark.parametrize(("verdict", "code"), [(0, 0), (1, 0), (2, 1)])
def test_a_warning_lets_the_notebook_start_and_an_error_does_not(verdict, code, tmp_path):
    (doctor,) = POD["initContainers"]
    (tmp_path / "jupyter-gpu").write_text(f'#!/bin/sh\necho "$@"\nexit {verdict}\n')
    (tmp_path / "jupyter-gpu").chmod(0o755)
    done = subprocess.run(
        doctor["command"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (code, "doctor --preflight\n")
