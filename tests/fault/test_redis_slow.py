"""A Redis that answers late: a little, and everything goes on; too late, and nobody waits for it twice."""

from pathlib import Path

import pytest

from tests.fault import hands, odd_worker
from tests.fault.promises import all_open, assert_kept, wait_until
from tests.fault.service import Partner, web
from tests.fault.slow_line import slow_line
from tests.people import People
from tests.scorers import free_port
from triage import queue
from triage.queue import Bell

pytestmark = pytest.mark.fault


def texts(about: str) -> list[str]:
    return [f"{about}, invented post number {n}" for n in range(10)]


def redis_socket() -> str:
    path: str = queue.connection().connection_pool.connection_kwargs["path"]
    return path


def test_redis_that_answers_late_rings_and_is_worked_for(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    partner = Partner(f"http://127.0.0.1:{port}", people.partner_key)
    with slow_line(redis_socket(), 0.1) as line, monkeypatch.context() as slow:
        slow.setenv("TRIAGE_REDIS_URL", f"redis://127.0.0.1:{line.port}")
        with web(port, tmp_path / "log"):
            partner.report(texts("one"))
            assert queue.rq_queue(Bell.BULK).count == 1
            with odd_worker.start("slow") as worker:
                try:
                    wait_until(all_open, seconds=120, what="scoring by a slow line")
                    partner.report(texts("two"))
                    wait_until(all_open, seconds=120, what="scoring what came later")
                finally:
                    worker.kill()

    assert_kept(partner.accepted)


def test_redis_that_answers_too_late_is_left_alone(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    partner = Partner(f"http://127.0.0.1:{port}", people.partner_key)
    with slow_line(redis_socket(), 3) as line, monkeypatch.context() as slow:
        slow.setenv("TRIAGE_REDIS_URL", f"redis://127.0.0.1:{line.port}")
        with web(port, tmp_path / "log"):
            waited = [partner.report(texts(f"{n}")) for n in range(5)]

    assert partner.sent_again == {}
    assert sorted(waited)[2] < max(waited), "each of them waited for it"
    assert max(waited) >= 1
    assert queue.rq_queue(Bell.BULK).count <= 1
    hands.keep_order()  # the sweep has a line of its own
    assert queue.rq_queue(Bell.BULK).count == 1
    hands.work_until_all_open()
    assert_kept(partner.accepted)
