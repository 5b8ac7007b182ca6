"""The compose file: valid for every way that it is filled in, and confined."""

from __future__ import annotations

import json
import re
import tomllib

import compose_spec
import pytest
import yaml

from jupyter_gpu_ext.storage import connections
from tests.docker.dockerfile import DOCKER, ROOT, filled, read

TEXT = (DOCKER / "compose.yaml").read_text("utf-8")
DIGEST = f"@sha256:{'0' * 64}"
SERVICES = yaml.safe_load(TEXT)["services"]


def checked(text: str, given: dict[str, str]) -> compose_spec.PyCompose:
    # YAML's merges and then the variables, as compose does it; the checker's own merging knows one level.
    made = compose_spec.PyCompose.from_json(filled(json.dumps(yaml.safe_load(text)), given))
    made.validate()
    return made


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"IMAGE": f"registry.example.com/gpu{DIGEST}", "PORT": "9000", "BASE_DIGEST": DIGEST, "SECRETS_FILE": "/s.env"},
    ],
    ids=["as it is", "filled in"],
)
def test_it_is_a_compose_file(given):
    made = checked(TEXT, given)
    assert sorted(made.service_names()) == ["job", "laptop", "notebook"]


def test_the_check_would_find_a_slip():
    with pytest.raises(ValueError, match="shm"):
        checked(TEXT.replace("shm_size", "shm"), {})


def test_every_variable_has_a_default():
    assert set(re.findall(r"\$\{\w+([^}]{0,2})", TEXT)) == {":-"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_confined(name):
    one = SERVICES[name]
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert not one.keys() & {"privileged", "user", "pid", "ipc", "network_mode", "cap_add"}
    # A port of this machine alone.
    assert all(port.startswith("127.0.0.1:") for port in one.get("ports", []))
    assert not one["image"].endswith((":latest", "latest}"))
    assert re.fullmatch(r"\d+gb", one["shm_size"])
    _, stages = read()
    assert one["build"]["target"] in stages
    assert (DOCKER / one["build"]["context"]).resolve() == ROOT


def test_only_the_laptop_has_no_gpu():
    for name, one in SERVICES.items():
        devices = one.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
        assert ([device["capabilities"] for device in devices] == [["gpu"]]) == (name != "laptop")
    assert SERVICES["laptop"]["environment"]["JUPYTER_GPU_SIMULATED"]


def test_the_notebook_knows_the_image_that_it_runs_in():
    for one in (SERVICES["notebook"], SERVICES["laptop"]):
        assert one["environment"]["JUPYTER_GPU_IMAGE"] == one["image"]


def test_connections_are_where_they_are_looked_for_and_hold_no_secret():
    (mounted,) = SERVICES["notebook"]["secrets"]
    assert mounted["target"] in map(str, connections.search_path({}))
    example = tomllib.loads((DOCKER / "connections.toml").read_text("utf-8"))
    for name, entry in example["connections"].items():
        assert connections.check(name, entry, DOCKER / "connections.toml").secret == ""


def test_what_holds_secrets_is_kept_out_of_the_repository_and_the_image():
    for path in (".gitignore", ".dockerignore"):
        rules = (ROOT / path).read_text("utf-8").splitlines()
        assert "*" in rules or "/docker/secrets.env" in rules
