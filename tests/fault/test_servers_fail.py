"""The running service while Redis or PostgreSQL is killed, flushed, full, slow, read-only or out of connections.

One service for all of them, on servers of its own, so that each fault also meets what the earlier ones left behind.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select

from tests.factories import report
from tests.fault.promises import all_open, assert_kept, count, wait_until
from tests.fault.service import Partner, up
from tests.people import add_people
from triage import queue
from triage.db import Post
from triage.db.session import engine, transaction
from workers.embedded import EmbeddedServers

pytestmark = [pytest.mark.fault, pytest.mark.model]

BATCH = 24
#: Longest time in which everything has to be open after a fault: a lease, a restart and a slow machine.
SETTLED = 120


@pytest.fixture(scope="module")
def partner(servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partner]:
    """A partner of a running service, with one worker and short leases."""
    with transaction() as session:
        key = add_people(session).partner_key
    log = tmp_path_factory.mktemp("up") / "log"
    with up(log, lanes="bulk", scoring_lease_seconds="3", scoring_attempts="9") as (address, _):
        reporting = Partner(address, key)
        reporting.report(texts("the first"))
        wait_until(all_open, seconds=SETTLED)
        yield reporting


def texts(about: str, number: int = BATCH) -> list[str]:
    return [f"{about}, invented post number {n}, with some words in it" for n in range(number)]


def settle(partner: Partner) -> None:
    """Everything that was accepted comes in front of a person, once."""
    wait_until(all_open, seconds=SETTLED, what="opening all cases")
    assert_kept(partner.accepted)


def restart(servers: EmbeddedServers) -> None:
    """As the supervisor or an operator does."""
    wait_until(lambda: servers.restart_ended() != [], seconds=30, what="the end of a server")
    engine().dispose()


@contextmanager
def redis_settings(**settings: str) -> Iterator[None]:
    before = {name: queue.connection().config_get(name)[name] for name in (key.replace("_", "-") for key in settings)}
    for name, value in settings.items():
        queue.connection().config_set(name.replace("_", "-"), value)
    try:
        yield
    finally:
        for name, value in before.items():
            queue.connection().config_set(name, value)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A server that neither answers nor hangs up."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def in_mid_batch() -> bool:
    return count(select(func.count()).where(Post.scoring_lease_until > func.now())) > 0


def superuser(servers: EmbeddedServers) -> "closing[psycopg.Connection[tuple[object, ...]]]":
    """Closed at the end without another word to the server, which may be dead by then."""
    return closing(psycopg.connect(servers.database_url.replace("+psycopg", ""), autocommit=True))


def test_redis_killed_and_restarted(partner: Partner, servers: EmbeddedServers) -> None:
    partner.report(texts("before Redis died"))
    os.kill(servers.pids["redis"], signal.SIGKILL)
    while_away = partner.report(texts("while Redis was dead"))
    restart(servers)
    partner.report(texts("after Redis died"))

    settle(partner)
    assert while_away < 10


def test_redis_flushed_again_and_again(partner: Partner) -> None:
    for n in range(5):
        partner.report(texts(f"flush {n}"))
        queue.connection().flushall()

    settle(partner)


def test_redis_out_of_memory(partner: Partner) -> None:
    with redis_settings(maxmemory="1", maxmemory_policy="noeviction"):
        partner.report(texts("while Redis was full"))
        partner.report(texts("while Redis was still full"))

    settle(partner)


def test_redis_that_hangs_delays_one_report_and_no_more(partner: Partner, servers: EmbeddedServers) -> None:
    waited = []
    with stopped(servers.pids["redis"]):
        until = time.monotonic() + 8  # the bell is left alone for five seconds after it failed
        while time.monotonic() < until:
            waited.append(partner.report(texts(f"while Redis hung, {len(waited)}", 3)))
            time.sleep(0.2)

    settle(partner)
    assert max(waited) >= 1, "nobody asked the Redis that hung"
    assert sorted(waited)[len(waited) // 2] < 1, "more than half of them waited for it"


def test_postgres_killed_in_mid_transaction_of_a_batch_on_its_way_in(
    partner: Partner, servers: EmbeddedServers
) -> None:
    with superuser(servers) as blocking:
        blocking.autocommit = False
        blocking.execute("LOCK TABLE reports IN ACCESS EXCLUSIVE MODE")
        sending = threading.Thread(target=partner.report, args=(texts("while PostgreSQL died"),))
        sending.start()
        wait_until(lambda: _is_blocked(blocking), seconds=30, what="a request in mid-transaction")
        os.kill(servers.pids["postgres"], signal.SIGQUIT)  # at once, without a checkpoint: recovery from the log
        restart(servers)
        sending.join(60)

    assert not sending.is_alive()
    settle(partner)
    assert partner.sent_again.get(503, 0) >= 1


def _is_blocked(connection: "psycopg.Connection[tuple[object, ...]]") -> bool:
    return connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is not None


def test_postgres_killed_while_a_worker_records_its_batch(partner: Partner, servers: EmbeddedServers) -> None:
    with superuser(servers) as blocking:
        blocking.autocommit = False
        blocking.execute("LOCK TABLE scores IN ACCESS EXCLUSIVE MODE")
        partner.report(texts("scored while PostgreSQL died"))
        wait_until(lambda: _is_blocked(blocking), seconds=60, what="a batch that is recorded")
        os.kill(servers.pids["postgres"], signal.SIGQUIT)
        restart(servers)

    settle(partner)


def test_postgres_out_of_connections(partner: Partner, servers: EmbeddedServers) -> None:
    with ExitStack() as greedy:
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            _take_all(greedy, servers)
        began = time.monotonic()
        status, _ = partner.post("/api/v1/reports/batch", b"{}", "while there was no connection")
        assert status in (202, 503)  # with a connection it kept, or not at all
        assert time.monotonic() - began < 10
    engine().dispose()
    partner.report(texts("after there was no connection"))

    settle(partner)


def _take_all(greedy: ExitStack, servers: EmbeddedServers) -> None:
    while True:
        greedy.enter_context(superuser(servers))


def test_postgres_read_only(partner: Partner, servers: EmbeddedServers) -> None:
    with superuser(servers) as admin:
        admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        admin.execute("SELECT pg_reload_conf()")
        try:
            statuses = []
            wait_until(lambda: _refused(partner, statuses), seconds=20, what="a refusal")
        finally:
            admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            admin.execute("SELECT pg_reload_conf()")
    partner.report(texts("after the database could be written again"))

    settle(partner)
    assert statuses[-1] == 503


def _refused(partner: Partner, statuses: list[int]) -> bool:
    status, answer = partner.post("/api/v1/reports/batch", _one_line(), f"read-only {len(statuses)}")
    if status == 202:  # the reload had not reached this connection
        partner.accepted += [result["report_id"] for result in answer["results"]]
    statuses.append(status)
    return status != 202


def _one_line() -> bytes:
    return json.dumps(report(text="while the database was read-only")).encode()


def test_service_log_holds_no_post_and_no_traceback_with_one(
    partner: Partner, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After all of that."""
    said = Path(tmp_path_factory.getbasetemp()).glob("up*/log")
    assert all("invented post number" not in log.read_text() for log in said)
