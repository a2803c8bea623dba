"""The doorbell and the facts about RQ that it relies on (docs/decisions/0002-rq.md)."""

import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rq import Queue, SimpleWorker
from sqlalchemy.orm import Session

from tests.factories import accept
from tests.people import People
from triage import queue
from triage.queue import Bell
from workers import jobs
from workers.embedded import EmbeddedServers


def waiting() -> int:
    return queue.rq_queue(Bell.LIVE).count


@pytest.mark.usefixtures("database")
def test_bell_rings_once_until_it_is_answered() -> None:
    assert [queue.ring(Bell.LIVE) for _ in range(3)] == [True, True, True]
    assert waiting() == 1

    queue.answer(Bell.LIVE)
    queue.ring(Bell.LIVE)

    assert waiting() == 2


def test_bell_rings_after_the_commit_and_not_before(session: Session, people: People) -> None:
    accept(session, people)
    assert waiting() == 0

    session.commit()

    assert waiting() == 1


def test_rollback_and_savepoint_ring_nothing(session: Session, people: People) -> None:
    with session.begin_nested():
        accept(session, people)
    assert waiting() == 0

    session.rollback()
    session.commit()

    assert waiting() == 0


def test_redis_away_loses_no_report(session: Session, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    from redis import Redis

    away = Redis.from_url("unix:///nowhere/redis.sock")
    monkeypatch.setattr(queue, "connection", lambda: away)

    accepted = accept(session, people)
    session.commit()

    assert accepted.report_id


@contextmanager
def frozen(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.mark.usefixtures("database")
def test_redis_that_hangs_costs_one_second_once_and_is_rung_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    queue.connection.cache_clear()
    redis = int(queue.connection().info()["process_id"])
    with frozen(redis):
        began = time.monotonic()
        assert queue.ring(Bell.LIVE) is False
        first = time.monotonic() - began
        assert [queue.ring(bell) for bell in Bell] == [False] * len(Bell)
        both = time.monotonic() - began

    assert first < 2
    assert both - first < 0.5
    later = time.monotonic() + queue._QUIET_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert queue.ring(Bell.URGENT) is True
    assert queue.rq_queue(Bell.URGENT).count == 1


@pytest.mark.usefixtures("database")
def test_waiting_for_a_job_has_no_limit_of_a_second() -> None:
    waiting = queue.waiting_connection()
    SimpleWorker([queue.rq_queue(Bell.LIVE, waiting)], connection=waiting, serializer="json")

    assert waiting.connection_pool.connection_kwargs["socket_timeout"] > 60
    assert queue.connection().connection_pool.connection_kwargs["socket_timeout"] == 1


@pytest.mark.usefixtures("database")
def test_job_in_redis_is_json_with_a_lane_and_nothing_else() -> None:
    queue.ring(Bell.LIVE)

    job = queue.rq_queue(Bell.LIVE).jobs[0]
    held = queue.connection().hgetall(job.key)
    assert isinstance(held, dict)
    assert (job.func_name, list(job.args), job.kwargs) == ("workers.jobs.classify", ["live"], {})
    assert held[b"description"] == b"doorbell live"
    assert not any(value.startswith(b"\x80") for value in held.values())  # how a pickle begins


@pytest.mark.usefixtures("database")
def test_rq_refuses_to_enqueue_what_json_cannot_carry() -> None:
    with pytest.raises(TypeError, match="UUID"):
        queue.rq_queue(Bell.LIVE).enqueue("workers.jobs.classify", uuid.uuid4())


@jobs.wordless()
def fail_with_words() -> None:
    raise ValueError("unmistakable words of a post")


@pytest.mark.usefixtures("database")
def test_failed_job_keeps_no_words_in_redis() -> None:
    rq_queue = queue.rq_queue(Bell.LIVE)
    failed = rq_queue.enqueue(fail_with_words, description="doorbell live")

    SimpleWorker([rq_queue], connection=queue.waiting_connection(), serializer="json").work(
        burst=True, logging_level="ERROR"
    )

    assert failed.get_status() == "failed"
    assert "ValueError" in str(failed.latest_result().exc_string)
    redis = queue.connection()
    held = b"".join(redis.dump(key) or b"" for key in redis.scan_iter())
    assert b"unmistakable" not in held


@pytest.mark.usefixtures("database")
def test_finished_job_leaves_nothing_in_redis() -> None:
    before = set(queue.connection().scan_iter())
    rq_queue = queue.rq_queue(Bell.LIVE)
    rq_queue.enqueue(json.dumps, "x", result_ttl=0, description="")

    SimpleWorker([rq_queue], connection=queue.waiting_connection(), serializer="json").work(
        burst=True, logging_level="ERROR"
    )

    left = {key for key in queue.connection().scan_iter() if b"job" in key or b"result" in key} - before
    assert left == set()


def test_worker_of_one_queue_moves_a_job_and_never_merely_pops_it(database: EmbeddedServers) -> None:
    """With two queues RQ uses BLPOP, and a job popped by a killed worker exists nowhere."""
    commands = queue.connection()
    commands.config_resetstat()
    one = Queue("one", connection=commands, serializer="json")
    one.enqueue(json.dumps, "x", result_ttl=0)

    SimpleWorker([one], connection=queue.waiting_connection(), serializer="json").work(
        max_idle_time=1, logging_level="ERROR"
    )

    used = {name.removeprefix("cmdstat_").lower() for name in commands.info("commandstats")}
    assert "blpop" not in used
    assert used & {"blmove", "lmove"}
