"""A whole service at work, watched: every figure is told, one report's trace is whole, and no post is told by anything.

One run for all: web, schedule, scorer and workers under `triage up`, with posts that hold a mark, through every way in,
through faults whose messages quote a post, to a decision and a referral. Then each test looks at what was told.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import and_, select, text

from tests import referrals
from tests.collector import Collector, collecting
from tests.factories import report
from tests.fault import service
from tests.local_site import page, serve
from tests.people import PASSWORD, People, add_people
from tests.scorers import bearer, free_port
from tests.watched_files import expressions, names
from triage import queue, referral
from triage.db import Capture, Case, DeadLetter, Post
from triage.db.session import engine, session_factory, transaction
from triage.settings import current
from workers.embedded import EmbeddedServers
from workers.imports import import_file

pytestmark = [pytest.mark.fault, pytest.mark.model]

#: In every post of the run, and in nothing else: a word that nothing normalises away or could make by itself.
MARK = "Quillonzabbat"
THREAT = f"{MARK} I am going to stab you at the bus stop at half three, you are dead"
#: Posts that the database refuses, with messages that quote the row.
REFUSED, TRAPPED = f"{MARK} refused at the door", f"{MARK} and a trap for whoever scores it"
_TRAPS = (
    f"ALTER TABLE posts ADD CONSTRAINT door CHECK (text NOT LIKE '%{REFUSED}%') NOT VALID",
    f"ALTER TABLE posts ADD CONSTRAINT trap CHECK (scoring <> 'done' OR text NOT LIKE '%{TRAPPED}%') NOT VALID",
)


@dataclass
class Told:
    """What the run left behind."""

    servers: EmbeddedServers
    log: Path
    collector: Collector
    redis: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    #: Answers that are errors, by what was asked for.
    refusals: dict[str, httpx2.Response] = field(default_factory=dict)
    request_id: str = ""
    trace: str = ""

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The processes' log lines; the supervisor puts their names in front."""
        found = re.findall(r"^(?:\S+ +)?(\{.*\})$", self.log.read_text(), flags=re.MULTILINE)
        return [json.loads(line) for line in found]


@pytest.fixture(scope="module")
def told(servers: EmbeddedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("watched")
    scorer = free_port()
    with collecting() as collector, serve() as site, listening() as heard:
        told = Told(servers, folder / "log", collector, heard)
        site.pages["/broken"] = page(f"<p>{THREAT} on a page that answers 500</p>", status=500)
        settings = {
            "otlp_endpoint": collector.address,
            "scorer_port": str(scorer),
            "capture_hosts": "localhost",
            "capture_allow_private": "true",
        }
        with session_factory()() as session:
            people = add_people(session)
            session.commit()
        with service.up(told.log, lanes="urgent,capture", **settings) as (address, _):
            _run(told, people, address, f"http://127.0.0.1:{scorer}", site.url("/broken"), folder)
        yield told


def _run(told: Told, people: People, web: str, scorer: str, broken_page: str, folder: Path) -> None:
    with httpx2.Client(base_url=web, headers=bearer(people.partner_key), timeout=30) as partner:
        _report(told, partner)
        _let_the_database_refuse(told, partner)
        _import(folder, people)
        _submit(told, people, web, broken_page)
        _score(told, people, scorer)
        _until(_all_done)
        _decide(people)
        assert partner.get("/api/v1/referrals").status_code == 200
        told.collector.wait_for("case opened", trace=bytes.fromhex(told.trace))
        _until(lambda: "triage_audit_chain_holds{" in partner.get("/metrics").text)
        told.metrics = [partner.get("/metrics").text, httpx2.get(f"{scorer}/metrics").text]
    told.redis += _dump()


def urgent(text: str) -> dict[str, Any]:
    """All go by the urgent lane, so that one worker reads them: each loads a model."""
    return report(text=text, urgent=True)


def _report(told: Told, partner: httpx2.Client) -> None:
    answer = partner.post("/api/v1/reports", json=urgent(text=THREAT), headers={"X-Request-ID": "watched-1"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (202, "watched-1")
    with transaction() as session:
        trace = session.scalar(text("SELECT trace FROM reports"))
    told.trace, told.request_id = trace.split("-")[1], "watched-1"
    posts = [f"{MARK} number {number}, see you at the match" for number in range(20)]
    posts += [f"{MARK}\N{RIGHT-TO-LEFT OVERRIDE}" + "e\N{COMBINING TILDE}" * 5000, f"\N{PISTOL}{MARK}", f"{MARK}\x00"]
    lines = "\n".join(json.dumps(urgent(text=one)) for one in posts)
    assert partner.post("/api/v1/reports/batch", content=lines).status_code == 202
    wrong = {
        "not a report": {"text": THREAT},
        "a long one": urgent(text=MARK * 9000),
    }
    told.refusals |= {name: partner.post("/api/v1/reports", json=body) for name, body in wrong.items()}
    told.refusals["not JSON"] = partner.post("/api/v1/reports", content=f'{{"text": "{MARK}')
    told.refusals["an id that is a sentence"] = partner.get(f"/api/v1/{MARK}", headers={"X-Request-ID": f"a {MARK}"})


def _let_the_database_refuse(told: Told, partner: httpx2.Client) -> None:
    """Its messages quote the row: at the door to the web process, later to the worker, whose job then fails."""
    with engine().begin() as connection:
        for trap in _TRAPS:
            connection.execute(text(trap))
    told.refusals["refused by the database"] = partner.post("/api/v1/reports", json=urgent(text=REFUSED))
    assert partner.post("/api/v1/reports", json=urgent(text=TRAPPED)).status_code == 202
    _until(lambda: any(line["message"] == "job failed" for line in told.lines))
    with engine().begin() as connection:
        connection.execute(text("ALTER TABLE posts DROP CONSTRAINT door, DROP CONSTRAINT trap"))


def _import(folder: Path, people: People) -> None:
    file = folder / "posts.jsonl"
    file.write_text(json.dumps(urgent(text=f"{MARK} from a file")) + "\n")
    import_file(file, partner_name=people.partner.name, rejects=folder / "rejects", wait=False)


def _submit(told: Told, people: People, web: str, url: str) -> None:
    with httpx2.Client(base_url=web, timeout=30) as analyst:
        analyst.post("/sign-in", data={"username": people.analyst.username, "password": PASSWORD})
        token = re.search(r'name="csrf_token" value="([^"]+)"', analyst.get("/").text)
        assert token is not None
        form = {
            "url": url,
            "purpose": "prevention_of_serious_violence",
            "acquisition_mode": "police_open_source",
            "force_code": "99",
            "operation_ref": "OP-1",
            "necessity": "It names a meeting this evening",
            "proportionality": "One public page and nothing else",
            "collateral_intrusion": "Replies by others are not kept",
        }
        answer = analyst.post("/api/v1/submissions", json=form, headers={"X-CSRF-Token": token.group(1)})
        assert answer.status_code == 202
        told.refusals["another host"] = analyst.post(
            "/api/v1/submissions",
            json=form | {"url": f"https://example.test/{MARK}"},
            headers={"X-CSRF-Token": token.group(1)},
        )


def _score(told: Told, people: People, scorer: str) -> None:
    _until(lambda: _answers(f"{scorer}/ready"))
    good = httpx2.post(
        f"{scorer}/api/v1/score", json={"texts": [THREAT]}, headers=bearer(people.partner_key), timeout=60
    )
    assert good.status_code == 200
    for name, body in {"no texts": {"texts": THREAT}, "a number": {"texts": [THREAT, 7]}}.items():
        told.refusals[f"scorer, {name}"] = httpx2.post(
            f"{scorer}/api/v1/score", json=body, headers=bearer(people.partner_key)
        )


def _decide(people: People) -> None:
    with session_factory()() as session:
        case = session.scalars(select(Case).join(Post).where(Post.text == THREAT)).one()
        assert case.status == "open"
        row = referrals.refer(session, people, case)
        referral.approve(session, people.approver, row.id, now=datetime.now(UTC))
        session.commit()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def _all_done() -> bool:
    with transaction() as session:  # or another attempt would come minutes later
        session.execute(text("UPDATE captures SET not_before = NULL WHERE status = 'wanted'"))
    # The post of the page that failed waits in the live lane, which has no worker here.
    scored = _none(Post, and_(Post.scoring == "wanted", Post.lane == "urgent"))
    return scored and _none(Capture, Capture.status == "wanted")


def _none(table: Any, condition: Any) -> bool:
    with transaction() as session:
        return session.scalar(select(table.id).where(condition).limit(1)) is None


def _until(done: Any, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not in {seconds} s: {done}"
        time.sleep(0.2)


@contextmanager
def listening() -> Iterator[list[str]]:
    """Everything that is sent to Redis while the block runs, word for word."""
    heard: list[str] = []
    redis = Redis.from_url(_redis_url())
    with redis.monitor() as monitor:

        def hear() -> None:
            try:
                for command in monitor.listen():
                    heard.append(str(command["command"]))
            except (RedisError, OSError, ValueError, AttributeError):  # the connection was closed
                return

        thread = threading.Thread(target=hear, daemon=True)
        thread.start()
        yield heard
    redis.close()
    thread.join(10)


def _redis_url() -> str:
    url = current().redis_url
    assert url is not None
    return url


def _dump() -> list[str]:
    """Every key and every value that Redis holds."""
    redis = queue.connection()
    readers = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": redis.smembers,
        b"stream": redis.xrange,
        b"none": redis.exists,  # it expired just now
        b"zset": lambda key: redis.zrange(key, 0, -1),
    }
    return [f"{key!r} {readers[redis.type(key)](key)!r}" for key in redis.scan_iter()]


def test_every_series_that_an_alert_or_a_panel_asks_for_is_told(told: Told) -> None:
    served = {re.split(r"[ {]", line)[0] for page in told.metrics for line in page.splitlines() if line[:1] != "#"}

    unknown = {of: names(asked) - served for of, asked in expressions().items() if names(asked) - served}
    assert unknown == {}


def test_the_operator_page_explains_every_series(told: Told) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operator.md").read_text()
    explained = set(re.findall(r"`(triage_[a-z0-9_]+)", page))
    families = set(re.findall(r"^# TYPE (triage_[a-z0-9_]+)", told.metrics[0], flags=re.MULTILINE))

    assert sorted(name for name in families - explained if not name.endswith("_created")) == []


def test_workers_counts_arrive(told: Told) -> None:
    values = dict(line.rsplit(" ", 1) for line in told.metrics[0].splitlines() if line[:1] != "#")

    assert float(values['triage_posts_read_total{lane="urgent",result="assessed"}']) > 0
    assert float(values['triage_case_opening_seconds_count{lane="urgent"}']) > 0
    assert float(values['triage_workers_alive{lane="urgent"}']) == 1
    assert float(values["triage_capture_seconds_count"]) > 0


def test_a_trace_goes_from_the_request_to_the_open_case(told: Told) -> None:
    spans = told.collector.of_trace(bytes.fromhex(told.trace))
    by_name = {span.name: span for _, span in spans}
    processes = {span.name: process for process, span in spans}

    assert {"POST /api/v1/reports", "accept", "ring", "case opened"} <= set(by_name)
    request, opened = by_name["POST /api/v1/reports"], by_name["case opened"]
    assert (processes["POST /api/v1/reports"], processes["case opened"]) == ("triage-web", "triage-worker")
    assert by_name["accept"].parent_span_id == by_name["ring"].parent_span_id == request.span_id
    assert opened.parent_span_id == by_name["accept"].span_id
    batch = told.collector.of_trace(opened.links[0].trace_id)
    assert {"batch", "model", "record"} <= {span.name for _, span in batch}
    told_of = [link.trace_id for _, span in batch if span.name == "batch" for link in span.links]
    assert bytes.fromhex(told.trace) in told_of


def test_lines_carry_the_id_of_their_request_or_job(told: Told) -> None:
    refused = told.refusals["refused by the database"]
    of_request = [line for line in told.lines if line.get("request") == refused.headers["X-Request-ID"]]
    jobs = [line for line in told.lines if line["message"] in ("batch done", "job failed")]

    assert [line["message"] for line in of_request] == ["a server refused or is away"]
    assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
    assert len(of_request[0]["trace"]) == 32
    assert jobs
    assert all(uuid.UUID(line["job"]) for line in jobs)


def test_the_mark_is_where_it_belongs(told: Told) -> None:
    """Else the tests below could not fail."""
    with transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM posts WHERE text LIKE :mark"), {"mark": f"%{MARK}%"}) >= 25
        assert session.scalar(select(DeadLetter.reason).where(DeadLetter.object_type == "capture")) is not None
    assert any(line["message"] == "job failed" for line in told.lines)
    assert [name for name, answer in told.refusals.items() if answer.status_code < 400] == []


def test_redis_never_held_a_post(told: Told) -> None:
    assert any("triage:nudge" in command for command in told.redis)
    assert [said for said in told.redis if MARK in said] == []


def test_no_log_holds_a_post(told: Told) -> None:
    own = [told.log, *(told.servers.wanted.glob("*.log"))]
    assert len(own) >= 3  # the processes', PostgreSQL's, Redis's
    assert [file.name for file in own if MARK in file.read_text(errors="replace")] == []


def test_no_figure_and_no_trace_holds_a_post(told: Told) -> None:
    assert told.collector.raw
    assert [page[:80] for page in told.metrics if MARK in page] == []
    assert [body[:80] for body in told.collector.raw if MARK.encode() in body] == []


def test_no_error_holds_a_post(told: Told) -> None:
    said = {name: answer.text + str(answer.headers) for name, answer in told.refusals.items()}
    assert [name for name, words in said.items() if MARK in words] == []
