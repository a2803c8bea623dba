"""deploy/kubernetes fits the code: commands, settings, probes, memory, and what a pod may do. No cluster is asked."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from triage import watching
from triage.queue import Bell
from triage.settings import Settings
from workers import scorer, web
from workers.cli import app
from workers.scoring.line import Line
from workers.scoring.requests import Scoring

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "deploy" / "kubernetes"
BASE = PLACE / "base"
SCALING = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
PROCESSES = {"web", "scorer", "schedule"} | {f"worker-{bell}" for bell in Bell}
_UNITS = {"Mi": 1 << 20, "Gi": 1 << 30}


def read(folder: Path) -> list[dict]:
    """Every object of a folder, from the files that its kustomization names."""
    named = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    files = [name for name in named if name.endswith(".yaml")]
    assert sorted(files) == sorted({path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"})
    return [document for name in files for document in yaml.safe_load_all((folder / name).read_text())]


def of_kind(kind: str) -> dict[str, dict]:
    return {one["metadata"]["name"]: one for one in read(BASE) if one["kind"] == kind}


PODS = {name: one["spec"]["template"] for kind in ("Deployment", "Job") for name, one in of_kind(kind).items()}


def container(name: str) -> dict:
    (only,) = PODS[name]["spec"]["containers"]
    return only


def megabytes(quantity: str) -> float:
    return int(quantity[:-2]) * _UNITS[quantity[-2:]] / 1e6


def test_each_process_and_each_lane_has_a_deployment():
    assert set(PODS) == PROCESSES | {"migrate"}
    assert [container(f"worker-{bell}")["args"] for bell in Bell] == [["worker", str(bell)] for bell in Bell]


@pytest.mark.parametrize("name", sorted(PODS))
def test_command_and_settings_exist(name):
    command, *arguments = container(name)["args"]
    known = typer.main.get_command(app).commands[command]
    known.make_context(command, list(arguments)).close()  # refuses an argument or option that does not exist

    settings = {f"TRIAGE_{field.upper()}" for field in Settings.model_fields}
    given = {one["name"] for one in container(name)["env"]}
    assert given <= settings
    example = yaml.safe_load((PLACE / "example" / "kustomization.yaml").read_text())["configMapGenerator"][0]
    assert {literal.split("=")[0] for literal in example["literals"]} <= settings


SERVED = {"web": web.app, "scorer": scorer.build(Scoring(Line(list), "none"))}
PORTS = {"web": Settings.model_fields["port"].default, "scorer": Settings.model_fields["scorer_port"].default}


@pytest.mark.parametrize("name", sorted(SERVED))
def test_probes_and_ports_are_what_is_served(name):
    probes = {kind: one["httpGet"] for kind, one in container(name).items() if kind.endswith("Probe")}

    assert {kind: probe["path"].split("?")[0] for kind, probe in probes.items()} == {
        "startupProbe": "/health",
        "livenessProbe": "/health",
        "readinessProbe": "/ready",
    }
    assert {"/health", "/ready"} <= set(SERVED[name].openapi()["paths"])
    assert {probe["port"] for probe in probes.values()} == {PORTS[name]}
    assert [one["containerPort"] for one in container(name)["ports"]] == [PORTS[name]]
    assert [one["targetPort"] for one in of_kind("Service")[name]["spec"]["ports"]] == [PORTS[name]]


@pytest.mark.parametrize("name", sorted(PODS))
def test_memory_requested_is_at_least_what_was_measured(name):
    """The table at the top of docs/scaling.md says what was measured."""
    row = {"worker-urgent": "worker", "worker-live": "worker", "worker-bulk": "worker"}.get(name, name)
    measured = re.search(rf"^\| memory of `{row}`, MB \| ([\d.]+) \|", SCALING, flags=re.MULTILINE)
    assert measured, row
    resources = container(name)["resources"]

    assert megabytes(resources["requests"]["memory"]) >= float(measured[1])
    assert megabytes(resources["limits"]["memory"]) >= 1.4 * megabytes(resources["requests"]["memory"])
    assert "cpu" not in resources["limits"]


@pytest.mark.parametrize("name", sorted(PODS))
def test_pod_may_do_nothing_more_than_work(name):
    pod = PODS[name]["spec"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    claims = [volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    assert claims == (["data"] if name == "worker-capture" else [])


def test_only_the_migrations_connect_as_the_owner_and_secrets_are_referred_to():
    keys = {}
    for name in PODS:
        for one in container(name)["env"]:
            assert set(one) == {"name", "valueFrom"}, one  # a secret, never a value
            if one["name"] == "TRIAGE_DATABASE_URL":
                keys[name] = one["valueFrom"]["secretKeyRef"]["key"]

    assert {name for name, key in keys.items() if key == "owner-url"} == {"migrate"}
    assert set(keys.values()) == {"url", "owner-url"}
    assert not [one for one in read(BASE) if one["kind"] == "Secret"]


def test_nothing_is_open_that_is_not_named():
    policies = {name: one["spec"] for name, one in of_kind("NetworkPolicy").items()}
    rooms = {pod["metadata"]["labels"]["triage/room"] for pod in PODS.values()}

    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert policies["visitors"]["podSelector"]["matchExpressions"][0]["values"] == ["web", "scorer"]
    assert policies["submitted-pages"]["podSelector"] == {"matchLabels": {"triage/room": "capture"}}
    assert {"web", "scorer", "capture"} < rooms
    reached = policies["submitted-pages"]["egress"][0]["to"][0]["ipBlock"]["except"]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(reached)


def test_budgets_and_services_choose_pods_that_exist():
    labels = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in PODS.values()}
    chosen = {name: one["spec"]["selector"]["matchLabels"] for name, one in of_kind("PodDisruptionBudget").items()}
    chosen |= {f"{name} service": one["spec"]["selector"] for name, one in of_kind("Service").items()}

    assert {selector["app.kubernetes.io/component"] for selector in chosen.values()} <= labels
    assert {name for name in chosen if " " not in name} == PROCESSES - {"schedule"}


def test_lanes_grow_by_metrics_that_are_served():
    scaled = {one["metadata"]["name"]: one["spec"] for one in read(PLACE / "autoscaling")}
    source = Path(watching.__file__).read_text()

    assert set(scaled) == PROCESSES & {"worker-urgent", "worker-live", "worker-bulk"}
    for name, spec in scaled.items():
        lane = name.removeprefix("worker-")
        queries = [trigger["metadata"]["query"] for trigger in spec["triggers"]]
        assert spec["scaleTargetRef"] == {"name": name}
        assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"]
        assert [re.sub(r"max\((\w+)\{.*", r"\1", query) for query in queries] == [
            "triage_posts_oldest_seconds",
            "triage_posts_waiting",
        ]
        assert all(query.endswith(f'{{lane="{lane}"}})') for query in queries)
        assert all(f'"{re.findall("triage_[a-z_]+", query)[0]}"' in source for query in queries)


def test_kustomize_renders_the_example():
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run([kubectl, "kustomize", str(PLACE / "example")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rendered = list(yaml.safe_load_all(done.stdout))

    deployments = {one["metadata"]["name"]: one["spec"] for one in rendered if one["kind"] == "Deployment"}
    assert set(deployments) == PROCESSES
    assert {name for name, spec in deployments.items() if "replicas" not in spec} == {
        "worker-urgent",
        "worker-live",
        "worker-bulk",
    }
    assert {one["metadata"].get("namespace", "triage") for one in rendered} == {"triage"}
    servers = next(one for one in rendered if one["metadata"]["name"] == "servers")
    addresses = [rule["to"][0]["ipBlock"]["cidr"] for rule in servers["spec"]["egress"]]
    assert addresses == ["192.0.2.20/32", "192.0.2.21/32"]
