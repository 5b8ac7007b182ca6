"""The dashboard and the alerts that we hand out ask for what we really emit; Prometheus' own tool reads them."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from jupyter_gpu_ext.gpu.metrics import REASONS, families
from jupyter_gpu_ext.gpu.models import State
from tests.gpu.readings import kernel, status

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
ALERTS, DASHBOARD = FOLDER / "alerts.yaml", FOLDER / "dashboard.json"
GUIDE = FOLDER.with_name("guide") / "gpu.md"
SERIES = Path(__file__).with_name("alerts.test.yaml")

EMITTED = families(status(), [kernel()], 1.9e9)
BOARD = json.loads(DASHBOARD.read_text("utf-8"))
PANELS = BOARD["panels"]
RULES = [rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]]
ASKED = {
    **{f"alert {rule['alert']}": rule["expr"] for rule in RULES},
    **{f"panel {one['title']} {at['refId']}": at["expr"] for one in PANELS for at in one["targets"]},
}


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    assert program, "promtool is missing: Debian's package prometheus has it"
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False, timeout=60)


def filled(expression: str) -> str:
    """Return an expression of the dashboard as Grafana sends it."""
    for variable, value in {"$instance": ".+", "$gpu": ".+", "$__range": "3h"}.items():
        expression = expression.replace(variable, value)
    return expression


@pytest.mark.parametrize("where", ASKED)
def test_only_what_is_emitted_is_asked_for(where):
    labels = {family.name: {name for one in family.series for name in one.labels} for family in EMITTED}
    found = re.findall(r"\b(jupyter_gpu_\w+)(?:\{([^}]*)\})?", ASKED[where])
    assert found
    for name, matchers in found:
        assert name in labels
        known = labels[name] | {"instance", "job"}
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= known


def test_only_reasons_and_states_that_exist_are_asked_for():
    text = " ".join(ASKED.values())
    reasons = {one for group in re.findall(r'reason=~"([^"]+)"', text) for one in group.split("|")}
    assert {"thermal"} <= reasons <= set(REASONS)
    assert set(re.findall(r'state="([^"]+)"', text)) <= {state.value for state in State}


def test_every_family_of_a_device_is_on_the_dashboard_or_alerts():
    text = " ".join(ASKED.values())
    assert {one.name for one in EMITTED if not re.search(rf"\b{one.name}\b", text)} == {
        # They follow from what is shown, or tell little by themselves.
        "jupyter_gpu_memory_free_bytes",
        "jupyter_gpu_memory_reserved_bytes",
        "jupyter_gpu_simulated",
        "jupyter_gpu_fan_ratio",
        "jupyter_gpu_pcie_generation",
        "jupyter_gpu_pcie_width",
    }


def test_prometheus_reads_the_rules():
    done = promtool("check", "rules", ALERTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


def test_prometheus_reads_the_configuration_in_the_guide(tmp_path):
    (block,) = re.findall(r"```yaml\n# prometheus\.yml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    file = tmp_path / "prometheus.yml"
    file.write_text(block)
    done = promtool("check", "config", "--syntax-only", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_series_raise_the_alerts_that_they_must():
    done = promtool("test", "rules", SERIES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("instead", ["vector(1) > 1", "vector(1)"], ids=["never", "always"])
def test_an_alert_that_is_wrong_would_be_noticed(tmp_path, instead):
    text = yaml.safe_load(ALERTS.read_text("utf-8"))
    for rule in text["groups"][0]["rules"]:
        rule["expr"] = instead
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(text))
    tests = yaml.safe_load(SERIES.read_text("utf-8"))
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({**tests, "rule_files": ["alerts.yaml"]}))
    done = promtool("test", "rules", tmp_path / "tests.yaml")
    assert done.returncode != 0
    assert set(re.findall(r"alertname: (\w+)", done.stdout + done.stderr)) == {rule["alert"] for rule in RULES}


def test_every_alert_says_where_and_what_to_do():
    for rule in RULES:
        assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_prometheus_reads_the_dashboards_expressions(tmp_path):
    panels = {where: filled(expression) for where, expression in ASKED.items() if where.startswith("panel")}
    assert not [one for one in panels.values() if "$" in one]
    rules = [{"record": f"panel:{at}", "expr": expression} for at, expression in enumerate(panels.values())]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_asks_which_prometheus():
    (asked,) = BOARD["__inputs"]
    assert (asked["name"], asked["type"], asked["pluginId"]) == ("DS_PROMETHEUS", "datasource", "prometheus")
    sources = [one["datasource"]["uid"] for panel in PANELS for one in (panel, *panel["targets"])]
    sources += [one["datasource"]["uid"] for one in BOARD["templating"]["list"]]
    assert set(sources) == {"${DS_PROMETHEUS}"}
    assert {panel["type"] for panel in PANELS} == {one["id"] for one in BOARD["__requires"] if one["type"] == "panel"}


def test_the_panels_lie_side_by_side():
    assert len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in PANELS]
    assert all(one["x"] + one["w"] <= 24 for one in places)
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
