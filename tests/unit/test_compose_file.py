"""docker-compose.yml: every process has its service, secrets must be given, nothing but web and scorer is reachable."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from triage.queue import Bell

ROOT = Path(__file__).parents[2]
SECRETS = {"POSTGRES_PASSWORD": "one", "POSTGRES_APP_PASSWORD": "two", "REDIS_PASSWORD": "three"}
REQUIRED = SECRETS | {"TRIAGE_AUTHORITY_NAME": "A force", "TRIAGE_AUTHORITY_CONTACT": "a@force.example"}


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_each_process_and_each_lane_has_a_service(services):
    workers = {f"worker-{bell}" for bell in Bell}

    assert set(services) == {"postgres", "redis", "migrate", "web", "scorer", "schedule"} | workers
    assert [services[f"worker-{bell}"]["command"] for bell in Bell] == [["worker", str(bell)] for bell in Bell]


def test_only_web_and_scorer_are_published_and_only_to_this_host(services):
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert published == {
        "web": ["${TRIAGE_PUBLISH:-127.0.0.1:8000}:8000"],
        "scorer": ["${TRIAGE_SCORER_PUBLISH:-127.0.0.1:8001}:8001"],
    }


def test_everything_of_ours_starts_after_the_migrations(services):
    ours = {name: service for name, service in services.items() if service["image"] == "triage"}

    waits_for = {name: sorted(service["depends_on"]) for name, service in ours.items()}
    assert waits_for.pop("migrate") == ["postgres"]
    assert set(map(tuple, waits_for.values())) == {("migrate", "redis")}


def test_only_the_migrations_connect_as_the_owner(services):
    urls = {
        name: service["environment"]["TRIAGE_DATABASE_URL"].split("://")[1].split(":")[0]
        for name, service in services.items()
        if service["image"] == "triage"
    }

    assert {name for name, role in urls.items() if role == "triage"} == {"migrate"}
    assert set(urls.values()) == {"triage", "triage_app"}
    assert services["migrate"]["command"] == ["migrate", "--app-role", "triage_app"]


def test_secrets_have_no_default():
    text = (ROOT / "docker-compose.yml").read_text()

    for name in REQUIRED:
        assert set(re.findall(rf"\$\{{{name}\}}|\$\{{{name}:?-", text)) == set(), name
        assert f"${{{name}:?" in text


def test_example_names_every_variable_and_gives_no_secret():
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    lines = (ROOT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    assert set(example) == used
    assert [example[name] for name in SECRETS] == [""] * len(SECRETS)


@pytest.mark.parametrize("missing", [None, *REQUIRED])
def test_docker_compose_accepts_it_and_names_what_is_missing(missing):
    compose = _compose_command()
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"} | REQUIRED
    if missing:
        del environment[missing]

    command = [*compose, "--file", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == (1 if missing else 0), done.stderr
    if missing:
        assert f"set {missing}" in done.stderr


def _compose_command() -> list[str]:
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return [docker, "compose"]
    if older := shutil.which("docker-compose"):
        return [older]
    pytest.skip("docker compose is not installed")
