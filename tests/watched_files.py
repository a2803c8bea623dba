"""The alert rules and the dashboard as the tests read them."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"
_NAME = re.compile(r"\b(triage_[a-z0-9_]+)")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Panels that show something; rows only part them."""
    dashboard = json.loads((DEPLOY / "grafana" / "triage.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    """Every expression of both, by the alert or the panel it is of."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in alerts()}
    for panel in panels():
        found |= {f"panel {panel['title']} {each['refId']}": each["expr"] for each in panel["targets"]}
    return found


def names(expression: str) -> set[str]:
    """The series that an expression asks for."""
    return set(_NAME.findall(expression))
