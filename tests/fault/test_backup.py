"""A machine is lost with everything on it; what was backed up while it worked is restored on another one."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from tests import referrals
from tests.fault import hands
from tests.fault.elsewhere import installation, pointed_at
from tests.fault.promises import assert_kept, count, wait_until
from tests.people import PASSWORD, People
from triage import accounts, audit, evidence
from triage.db import Capture, Decision, Event, Post, Report, UserSession, WorkerBeat
from triage.db.migrate import upgrade
from triage.db.session import engine, transaction
from triage.domain.words import CaptureStatus
from triage.settings import current
from workers import backup, beats
from workers.backup import manifest
from workers.backup.errors import BackupUnusable, NotEmpty, RestoredWrong

pytestmark = pytest.mark.fault

PAGE = b"<p>an invented page</p>"


def triage(*arguments: object, **settings: str) -> "subprocess.Popen[str]":
    """A command as an operator types it, with these settings and no others."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    command = [sys.executable, "-m", "workers.cli", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment | settings, stdout=pipe, stderr=pipe, text=True)


def here() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("TRIAGE_")}


def done(command: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its exit status and all that it said."""
    said, complained = command.communicate(timeout=600)
    return command.returncode, said + complained


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where servers may live: a short path, open to the account they run under."""
    place = Path(tempfile.mkdtemp(prefix="triage-"))
    place.chmod(0o711)
    yield place
    shutil.rmtree(place)


@dataclass(frozen=True)
class Work:
    """An installation that has been busy."""

    reports: set[str]
    captured: str
    people: People


def stored() -> set[str]:
    with transaction() as session:
        return {str(report) for report in session.scalars(select(Report.id))}


@pytest.fixture
def work(people: People, session: Session) -> Work:
    """Reports, some scored, one decided and referred, one with evidence; somebody is signed in; the log is sealed."""
    referrals.approved(session, people)
    assert accounts.sign_in(session, username="morgan", password=PASSWORD, now=datetime.now(UTC), hours=1)
    sha256 = evidence.keep(current().evidence_dir, PAGE)
    post = session.scalars(select(Post)).one()
    captured = {"status": CaptureStatus.DONE.value, "sha256": sha256, "captured_at": datetime.now(UTC)}
    session.add(Capture(post_id=post.id, url="https://chirper.example/1", **captured))
    session.commit()
    hands.accept(people, [f"invented post number {n}" for n in range(200)])
    hands.work()
    use_up_transactions(5000)  # an installation that has been there for longer than a new one
    with transaction() as sealing:
        audit.seal(sealing)
    return Work(stored(), sha256, people)


def use_up_transactions(number: int) -> None:
    use_up = f"DO $$ BEGIN FOR i IN 1..{number} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(use_up))


@contextmanager
def beside(folder: Path) -> Iterator[None]:
    """A new, empty database of the same server, and a new data folder."""
    name = f"beside_{secrets.token_hex(4)}"
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    address = engine().url.set(database=name).render_as_string(hide_password=False)
    with pointed_at({"TRIAGE_DATABASE_URL": address, "TRIAGE_DATA_DIR": str(folder / name)}):
        yield


def test_backed_up_at_work_and_restored_on_another_machine(work: Work, folder: Path) -> None:
    def report() -> None:
        for n in range(20):
            hands.accept(work.people, [f"reported meanwhile {n} {m}" for m in range(10)])

    backed_up, *others = hands.at_once(
        lambda: done(triage("backup", folder / "backup", **here())), report, hands.work_until_all_open
    )
    assert not isinstance(backed_up, Exception)
    assert (backed_up[0], others[0]) == (0, None), backed_up
    seal = re.findall("[0-9a-f]{64}", str(backed_up[1]))[0]

    machine = folder / "machine"
    machine.mkdir(mode=0o711)
    status, said = done(triage("restore", folder / "backup", "--expect", seal, TRIAGE_DATA_DIR=str(machine)))

    assert (status, "the chain holds" in said) == (0, True), said
    with installation(machine):
        there = stored()
        assert work.reports <= there
        assert count(select(func.count()).select_from(Decision)) == 1
        assert count(select(func.count()).select_from(UserSession)) == 0
        assert evidence.read(current().evidence_dir, work.captured) == PAGE
        told = select(func.count()).where(Event.kind.in_(["installation.backed_up", "installation.restored"]))
        assert count(told) == 2
        after = hands.accept(work.people, ["reported where it was restored"])
        hands.work_until_all_open()
        assert_kept(there | set(after))


def test_restored_beside_into_a_named_database(work: Work, folder: Path) -> None:
    backup.take(folder / "backup")

    with beside(folder):
        upgrade()  # as the compose file does before anything else
        proved = backup.restore(folder / "backup")
        assert proved.problem is None
        assert stored() == work.reports
        with pytest.raises(NotEmpty, match="is not empty"):
            backup.restore(folder / "backup")

    with beside(folder), pytest.raises(RestoredWrong, match="the expected seal is not in the chain"):
        backup.restore(folder / "backup", expect="0" * 64)


def test_a_counter_too_far_behind_is_for_the_operator_to_set(work: Work, folder: Path) -> None:
    made = backup.take(folder / "backup")
    manifest.write(folder / "backup", made.model_copy(update={"next_transaction": 5_000_000_123}))

    with beside(folder), pytest.raises(NotEmpty, match="--epoch=1 --next-transaction-id=705691648 "):
        backup.restore(folder / "backup")


def test_backup_cut_off_is_recognised(work: Work, folder: Path) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with engine().begin() as blocking:
        blocking.execute(text("CREATE SCHEMA other CREATE TABLE somebody_elses ()"))
    with engine().begin() as blocking:
        blocking.execute(text("LOCK TABLE other.somebody_elses"))  # pg_dump waits for it, and is killed there
        cut = triage("backup", folder / "backup", **here())
        wait_until(lambda: count(waiting) > 0, seconds=300, what="a dump")
        cut.send_signal(signal.SIGKILL)
        cut.communicate()
        blocking.execute(text("DROP SCHEMA other CASCADE"))

    with pytest.raises(BackupUnusable, match="cut off"):
        backup.check(folder / "backup")


def test_changed_byte_is_named(work: Work, folder: Path) -> None:
    backup.take(folder / "backup")
    files = sorted(path for path in (folder / "backup").rglob("*") if path.is_file())
    assert len(files) == 4

    for file in files:
        whole = file.read_bytes()
        middle = len(whole) // 2
        file.chmod(0o600)
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        with pytest.raises(BackupUnusable, match=re.escape(str(file))):
            backup.check(folder / "backup")
        file.write_bytes(whole)
    assert backup.check(folder / "backup").rows["reports"] == len(work.reports)


def test_evidence_lost_before_the_backup_is_told(work: Work, folder: Path) -> None:
    lost = current().evidence_dir / work.captured[:2] / work.captured
    lost.unlink()

    status, said = done(triage("backup", folder / "backup", **here()))

    assert (status, work.captured in said) == (1, True)
    assert backup.check(folder / "backup").evidence_lost == [work.captured]


def test_foreign_evidence_and_a_living_worker_stand_in_the_way(work: Work, folder: Path) -> None:
    backup.take(folder / "backup")

    with beside(folder):
        upgrade()
        with beats.beating("worker-bulk", "bulk"):
            wait_until(lambda: count(select(func.count()).select_from(WorkerBeat)) == 1, seconds=20)
            with pytest.raises(NotEmpty, match="stop them first: worker-bulk"):
                backup.restore(folder / "backup")
        evidence.keep(current().evidence_dir, b"of somebody else")
        with pytest.raises(NotEmpty, match="is not in this backup"):
            backup.restore(folder / "backup")
        assert stored() == set()
