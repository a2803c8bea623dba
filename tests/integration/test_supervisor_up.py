"""`triage up` refuses in one sentence, before it starts anything."""

import socket

import pytest

from triage.domain.errors import InvalidInput, Unavailable
from triage.settings import Settings
from workers.up import run_up


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "var", database_url=None, redis_url=None)


def test_busy_port_is_one_sentence_that_names_the_setting(settings):
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]

        with pytest.raises(Unavailable) as refusal:
            run_up(settings.model_copy(update={"port": port}))

    assert refusal.value.detail == (
        f"Port {port} is in use, perhaps by another `make up`: stop that, or choose another with TRIAGE_PORT"
    )
    assert not settings.data_dir.exists()


def test_unknown_lane_is_one_sentence_that_names_the_lanes(settings):
    with pytest.raises(InvalidInput) as refusal:
        run_up(settings.model_copy(update={"worker_lanes": "urgent, slow"}))

    assert refusal.value.detail == "TRIAGE_WORKER_LANES names slow; there are only urgent, live, bulk, capture"


def test_address_of_another_machine_is_one_sentence(settings):
    with pytest.raises(InvalidInput, match=r"^Cannot listen on 192\.0\.2\.1 port 8000 \(.*\): see TRIAGE_HOST"):
        run_up(settings.model_copy(update={"host": "192.0.2.1"}))
