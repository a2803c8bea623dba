"""Servers of their own for each module of faults: durable ones, because the tests kill them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.elsewhere import installation
from triage.db.migrate import upgrade
from workers.embedded import EmbeddedServers

#: What a worker did not finish is taken again after seconds, not after minutes.
_IMPATIENT = {"TRIAGE_SCORING_LEASE_SECONDS": "3", "TRIAGE_SCORING_RETRY_SECONDS": "1"}


@pytest.fixture(scope="module")
def servers() -> Iterator[EmbeddedServers]:
    """In place of the run's: what a killed one had acknowledged is there when it is back, as in production."""
    folder = Path(tempfile.mkdtemp(prefix="triage-fault-"))
    # `triage up` locks the servers of its data folder: these have their own.
    with installation(folder, TRIAGE_DATA_DIR=str(folder / "data"), **_IMPATIENT) as running:
        upgrade()
        yield running
    shutil.rmtree(folder)
