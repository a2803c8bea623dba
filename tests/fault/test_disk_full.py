"""A disk that is full, really: evidence and tables on a file system of a few kilobytes, which later grows."""

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from tests.factories import report
from tests.fault import hands
from tests.fault.promises import assert_kept, count
from tests.local_site import page, serve
from tests.people import People
from triage import capture
from triage.db import Capture, Case, Event
from triage.domain.words import Lane
from triage.settings import current
from workers.embedded import EmbeddedServers

pytestmark = pytest.mark.fault

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@contextmanager
def small_disk(folder: Path, size: str, *, owner: Path) -> Iterator[Callable[[str], None]]:
    """A file system of its own at ``folder``; gives what makes it larger. Skips where nobody may mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    whose = owner.stat()
    options = f"size={size},mode=700,uid={whose.st_uid},gid={whose.st_gid}"
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=False)  # noqa: S607
    if made.returncode != 0:
        pytest.skip("only root may mount a small file system")

    def grow(to: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={to}", str(folder)], check=True)  # noqa: S607

    try:
        yield grow
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


@pytest.fixture
def this_machine(database: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The only site that may be captured."""
    monkeypatch.setenv("TRIAGE_CAPTURE_HOSTS", "localhost")
    monkeypatch.setenv("TRIAGE_CAPTURE_ALLOW_PRIVATE", "true")
    current.cache_clear()
    yield
    monkeypatch.undo()
    current.cache_clear()


def tries(number: int) -> None:
    """As a capture worker does over the minutes that lie between two attempts."""
    for n in range(number):
        capture.capture_next(now=datetime.now(UTC) + n * timedelta(minutes=5))


def test_evidence_that_does_not_fit_is_fetched_again_when_there_is_room(this_machine: None, people: People) -> None:
    folder = current().evidence_dir
    with small_disk(folder, "64k", owner=Path(__file__)) as grow, serve() as site:
        site.pages["/p"] = page(b"<body>an invented page " + b"x" * 150_000)
        accepted = hands.accept(people, [None], lane=Lane.LIVE, url=site.url("/p"))
        tries(2)
        assert count(select(func.count()).where(Event.kind == "capture.put_off")) == 2
        assert count(select(func.count()).where(Capture.failure == capture.NOT_STORED)) == 1
        assert [path for path in folder.rglob("*") if path.is_file()] == []

        grow("1m")
        capture.capture_next(now=datetime.now(UTC) + timedelta(minutes=30))

        assert count(select(func.count()).where(Capture.status == "done")) == 1
        hands.work_until_all_open(Lane.LIVE)
        assert_kept(accepted)


def test_evidence_that_never_fits_leaves_the_report_to_a_person(this_machine: None, people: People) -> None:
    with small_disk(current().evidence_dir, "64k", owner=Path(__file__)), serve() as site:
        site.pages["/p"] = page(b"<body>an invented page " + b"x" * 150_000)
        accepted = hands.accept(people, [None], lane=Lane.LIVE, url=site.url("/p"))
        tries(capture.MAX_ATTEMPTS)

        hands.work_until_all_open(Lane.LIVE)

        assert count(select(func.count()).where(Capture.failure == capture.NOT_STORED)) == 1
        assert count(select(func.count()).where(Case.assessed.is_(False), Case.status == "open")) == 1
        assert_kept(accepted)


@contextmanager
def posts_on_a_small_disk(servers: EmbeddedServers, folder: Path) -> Iterator[Callable[[str], None]]:
    owner = Path(f"/proc/{servers.pids['postgres']}")
    with (
        small_disk(folder, "6m", owner=owner) as grow,
        psycopg.connect(servers.database_url.replace("+psycopg", ""), autocommit=True) as admin,
    ):
        admin.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        admin.execute("ALTER TABLE posts SET TABLESPACE small")
        try:
            yield grow
        finally:
            admin.execute("ALTER TABLE posts SET TABLESPACE pg_default")
            admin.execute("DROP TABLESPACE small")


def batch(number: int) -> tuple[bytes, str]:
    """Fifty posts that no compression makes small, and their Idempotency-Key."""
    words = random.Random(number)
    lines = [
        report(text="".join(words.choices(LETTERS, k=15_000)), platform_post_id=f"{number}/{n}") for n in range(50)
    ]
    return "\n".join(json.dumps(line) for line in lines).encode(), f"batch {number}"


def test_database_whose_disk_is_full_accepts_nothing_and_goes_on_when_there_is_room(
    client: TestClient, people: People, servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    accepted: list[str] = []

    def send(number: int) -> int:
        body, key = batch(number)
        headers = {"Authorization": f"Bearer {people.partner_key}", "Idempotency-Key": key}
        answer = client.post("/api/v1/reports/batch", content=body, headers=headers)
        if answer.status_code == 202:
            accepted.extend(result["report_id"] for result in answer.json()["results"])
        else:
            assert int(answer.headers["Retry-After"]) > 0
            assert "text" not in answer.json()
        return answer.status_code

    folder = Path(f"/tmp/triage-fault-disk-{os.getpid()}")  # noqa: S108 -- PostgreSQL's account must reach it
    with posts_on_a_small_disk(servers, folder) as grow:
        number = 0
        while (status := send(number)) == 202:
            number += 1
            assert number < 20, "the disk is never full"
        assert status == 503
        hands.work()  # a worker that meets the full disk

        grow("64m")
        assert send(number) == 202
        hands.work_until_all_open()
        assert_kept(accepted)
    folder.rmdir()
    assert len(accepted) == 50 * (number + 1)
