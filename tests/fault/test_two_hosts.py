"""Two hosts, each with settings and a data folder of its own, against one PostgreSQL and one Redis; one is cut off.

The hosts are two trees of processes, each under a supervisor; what they share is reached over ways that can be cut.
"""

import http.client
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, make_url, select

from tests.fault.promises import all_open, assert_kept, count, wait_until
from tests.fault.service import Partner, children, up
from tests.fault.way import Way
from tests.people import People
from triage import attendance
from triage.db import Post, PostScores, WorkerBeat
from triage.db.session import transaction
from workers.embedded import EmbeddedServers

pytestmark = [pytest.mark.fault, pytest.mark.model]

BATCH = 40
SETTINGS = {"scoring_lease_seconds": "10", "scoring_attempts": "9", "batch_size": "16", "hung_after_seconds": "60"}


@dataclass
class Host:
    """Web, schedule and a worker; ``ways`` is all that ties it to the rest."""

    address: str
    supervisor: "subprocess.Popen[bytes]"
    ways: list[Way]

    def ready(self) -> dict[str, Any]:
        """What its /ready says, with the status."""
        try:
            with urllib.request.urlopen(f"{self.address}/ready", timeout=20) as answer:  # noqa: S310 -- ours
                return {"status": answer.status} | json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return {"status": refused.code} | json.load(refused)
        except (OSError, http.client.HTTPException):
            return {"status": 0}

    def worker_works(self) -> bool:
        """Its worker has given a sign of life a moment ago."""
        pid = children(self.supervisor.pid).get("worker bulk", 0)
        seen = WorkerBeat.seen_at > func.now() - attendance.SILENT_AFTER / 3
        return count(select(func.count()).where(WorkerBeat.pid == pid, seen)) == 1

    def cut_off(self) -> None:
        for way in self.ways:
            way.cut()

    def tie(self) -> None:
        for way in self.ways:
            way.mend()


@contextmanager
def host(folder: Path, servers: EmbeddedServers) -> Iterator[Host]:
    folder.mkdir()
    sockets = Path(str(make_url(servers.database_url).query["host"]))
    database, redis = Way(sockets / ".s.PGSQL.5432"), Way(sockets / "redis.sock")
    ours = SETTINGS | {
        "database_url": f"postgresql+psycopg://triage@127.0.0.1:{database.port}/triage",
        "redis_url": f"redis://127.0.0.1:{redis.port}/0",
        "data_dir": str(folder),
    }
    try:
        with up(folder / "log", lanes="bulk", **ours) as (address, supervisor):
            one = Host(address, supervisor, [database, redis])
            try:
                yield one
            finally:
                one.tie()
    finally:
        database.close()
        redis.close()


def texts(of: str, number: int = BATCH) -> list[str]:
    return [f"invented post {n} from {of}" for n in range(number)]


def doctor() -> str:
    command = [sys.executable, "-m", "workers.cli", "doctor"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stdout


def in_mid_work() -> bool:
    claimed = count(select(func.count()).where(Post.scoring_lease_until > func.now()))
    return claimed > 0 and count(select(func.count()).select_from(PostScores)) > 0


def test_a_host_cut_off_in_mid_work_loses_nothing_and_comes_back(
    people: People, servers: EmbeddedServers, tmp_path: Path
) -> None:
    with host(tmp_path / "one", servers) as one, host(tmp_path / "two", servers) as two:
        partners = [Partner(place.address, people.partner_key) for place in (one, two)]
        wait_until(lambda: one.worker_works() and two.worker_works(), seconds=300, what="two workers")
        for partner in partners:
            for n in range(5):
                partner.report(texts(f"{partner.address} {n}"))
        wait_until(in_mid_work, seconds=120, what="work")

        two.cut_off()

        assert two.ready()["status"] == 503
        assert "database" in " ".join(two.ready()["reasons"])
        assert one.ready()["status"] == 200
        status, _ = partners[1].post("/api/v1/reports/batch", b"{}", "never answered, or refused")
        assert status in (0, 503)
        partners[0].report(texts("one while two is cut off"))
        wait_until(all_open, seconds=240, what="all by one host")
        wait_until(lambda: "silent" in doctor(), seconds=120, what="doctor's word")

        two.tie()

        wait_until(lambda: two.ready()["status"] == 200 and two.worker_works(), seconds=240, what="the second host")
        partners[1].report(texts("two when it is back"))
        one.cut_off()  # so that the second one has to do it
        wait_until(all_open, seconds=240, what="all by the other host")
        accepted = [report for partner in partners for report in partner.accepted]
        with transaction() as session:
            assert attendance.without_worker(session) == {}
        assert_kept(accepted)
