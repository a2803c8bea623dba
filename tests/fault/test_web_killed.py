"""The web process is killed while batches are on their way: sent again with its key, each is stored once."""

import json
import os
import random
import socket
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.factories import report
from tests.fault import hands
from tests.fault.promises import assert_kept, count
from tests.fault.service import Partner, web
from tests.people import People
from tests.scorers import free_port
from triage.db import Report

pytestmark = pytest.mark.fault

KILLS = 5
LINES = 400


def test_web_killed_at_random_while_batches_arrive(people: People, tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED", time.time_ns() % 10_000))
    chance = random.Random(seed)
    port = free_port()
    partner = Partner(f"http://127.0.0.1:{port}", people.partner_key)
    for round_ in range(KILLS):
        texts = [f"round {round_}, invented post number {n}" for n in range(LINES)]
        sending = threading.Thread(target=partner.report, args=(texts,))
        with web(port, tmp_path / "log") as process:
            sending.start()
            time.sleep(chance.uniform(0.0, 0.4))  # anywhere between the first byte and the answer
            process.kill()
            process.wait()
        with web(port, tmp_path / "log"):
            sending.join(60)
            assert not sending.is_alive(), f"SEED={seed}"

    assert len(partner.accepted) == KILLS * LINES
    hands.work_until_all_open()
    assert_kept(partner.accepted)


def test_half_a_batch_is_no_batch(people: People, tmp_path: Path) -> None:
    port = free_port()
    body = "\n".join(json.dumps(report(text=f"invented post number {n}")) for n in range(LINES)).encode()
    head = (
        "POST /api/v1/reports/batch HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {people.partner_key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with web(port, tmp_path / "log") as process, socket.create_connection(("127.0.0.1", port)) as upload:
        upload.sendall(head.encode() + body[: len(body) // 2])
        time.sleep(0.3)  # the web process reads what there is
        process.kill()
        process.wait()
    assert count(select(func.count()).select_from(Report)) == 0

    with web(port, tmp_path / "log"):
        with socket.create_connection(("127.0.0.1", port)) as upload:
            upload.sendall(head.encode() + body[: len(body) // 2])
        partner = Partner(f"http://127.0.0.1:{port}", people.partner_key)
        partner.report(["a report after somebody who hung up"])
    hands.work_until_all_open()
    assert_kept(partner.accepted)
