"""Asked to stop, a process ends what it has begun and begins nothing more."""

import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import func, select, text

from tests.factories import report, scores
from tests.fault import hands, odd_worker
from tests.fault.promises import assert_kept, count, wait_until
from tests.fault.service import Partner, web
from tests.people import People
from tests.scorers import around, bearer, free_port
from triage.db import Post, WorkerBeat
from triage.db.session import engine
from triage.domain.scores import Scores
from triage.domain.words import Lane

pytestmark = pytest.mark.fault

POSTS, BATCH = 200, 8


def held() -> int:
    return count(select(func.count()).where(Post.scoring_lease.is_not(None)))


def scored() -> int:
    return count(select(func.count()).where(Post.scoring == "done"))


def test_worker_ends_its_batch_and_gives_back_the_rest(people: People) -> None:
    accepted = hands.accept(people, [f"invented post number {n}" for n in range(POSTS)])

    with odd_worker.start("slow", batch_size=str(BATCH)) as worker:
        wait_until(lambda: scored() > 0 and held() > 0, seconds=120, what="a batch after the first")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0

    assert held() == 0
    assert BATCH < scored() < POSTS
    assert scored() % BATCH == 0
    assert count(select(func.count()).where(Post.scoring_attempts > 0, Post.scoring != "done")) == 0
    assert count(select(func.count()).select_from(WorkerBeat)) == 0
    hands.work_until_all_open()
    assert_kept(accepted)


def somebody_waits() -> bool:
    """For the table that the test has locked."""
    return count(text("SELECT count(*) FROM pg_locks WHERE NOT granted")) > 0


def test_web_process_answers_what_is_under_way(people: People, tmp_path: Path) -> None:
    port = free_port()
    partner = Partner(f"http://127.0.0.1:{port}", people.partner_key)
    body = json.dumps(report(text="a report under way")).encode()
    answers: list[tuple[int, dict[str, object]]] = []

    with web(port, tmp_path / "log") as process:
        with engine().begin() as blocking:
            blocking.execute(text("LOCK TABLE reports IN ACCESS EXCLUSIVE MODE"))
            sending = threading.Thread(target=lambda: answers.append(partner.post("/api/v1/reports", body, "a key")))
            sending.start()
            wait_until(somebody_waits, seconds=60, what="a request under way")
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: _refuses(port), seconds=60, what="closing the door")
            assert process.poll() is None
        sending.join(60)
        status = process.wait(60)

    assert status in (0, -signal.SIGTERM)
    assert [answer[0] for answer in answers] == [202]
    hands.work_until_all_open(Lane.LIVE)
    assert_kept([str(answers[0][1]["report_id"])])


def _refuses(port: int) -> bool:
    try:
        httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5)
    except httpx2.TransportError:
        return True
    return False


def test_scorer_answers_what_is_under_way(people: People) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def score(texts: object) -> list[Scores]:
        begun.set()
        go_on.wait(60)
        return [scores() for _ in texts]  # type: ignore[attr-defined]

    with ThreadPoolExecutor(1) as pool:
        with around(score) as (address, _):
            asked = pool.submit(
                httpx2.post,
                f"{address}/api/v1/score",
                json={"text": "hello"},
                headers=bearer(people.partner_key),
                timeout=60,
            )
            assert begun.wait(60)
            threading.Timer(0.5, go_on.set).start()  # once the server was told to stop, below
        assert asked.result().status_code == 200
