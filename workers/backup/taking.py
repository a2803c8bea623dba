"""``triage backup``: everything that is the truth, copied while the service runs."""

import os
import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, table, text

from triage import audit
from triage.audit import Entry
from triage.db import Capture, EventSeal
from triage.db.session import engine, transaction
from triage.domain.errors import Conflict
from triage.domain.words import Operation
from triage.settings import current
from workers.backup import manifest, programs
from workers.backup.errors import BackupFailed, NotEmpty
from workers.backup.manifest import DATABASE, EVIDENCE, EVIDENCE_LIST, Manifest

_OPERATOR = audit.system("command line")


def take(folder: Path) -> Manifest:
    """Back the installation up into ``folder``, which is new or empty. The service may work all the while.

    The database is dumped from one snapshot; evidence, which is stored before its row is, is copied after it.

    Raises:
        NotEmpty: something is in the folder already.
        BackupFailed: the dump failed, or the database holds nothing of ours.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise NotEmpty(f"{folder} is not empty: give each backup a folder of its own")
    backup_id = str(uuid.uuid4())
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    with engine().connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as snapshot:
        revision = _revision(snapshot)
        snapshot.rollback()
        _record(backup_id)  # before the snapshot, so that the backup holds it
        facts = _facts(snapshot)
        _dump(snapshot, folder)
        captures = set(snapshot.scalars(select(Capture.sha256).where(Capture.sha256.is_not(None))))
    copied = _copy_evidence(current().evidence_dir, folder)
    whole = Manifest(
        backup_id=backup_id,
        made_at=made_at,
        revision=revision,
        evidence_files=len(copied),
        evidence_lost=sorted(sha256 for sha256 in captures - copied if sha256 is not None),
        parts={name: manifest.part(folder / name) for name in (DATABASE, EVIDENCE_LIST)},
        **facts,
    )
    manifest.write(folder, whole)
    return whole


def _revision(connection: Connection) -> str:
    if connection.scalar(select(func.to_regclass("alembic_version"))) is None:
        raise BackupFailed("The database holds nothing of this service; is TRIAGE_DATABASE_URL the right one?")
    revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is None:
        raise Conflict("The database has no schema yet; run `triage migrate`")
    return str(revision)


def _record(backup_id: str) -> None:
    with transaction() as session:
        audit.record(session, _OPERATOR, Entry(Operation.SYSTEM, "installation.backed_up", "backup", backup_id))


def _facts(snapshot: Connection) -> dict[str, object]:
    """What the manifest says of the database, as of the snapshot."""
    names = set(inspect(snapshot).get_table_names()) - {"alembic_version"}  # of its schema, which may be an older one
    rows = {name: snapshot.scalar(select(func.count()).select_from(table(name))) or 0 for name in sorted(names)}
    newest = select(EventSeal.sha256).order_by(EventSeal.id.desc()).limit(1)
    return {
        "postgres": str(snapshot.scalar(text("SHOW server_version"))),
        "next_transaction": int(snapshot.scalar(text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")) or 0),
        "seal": snapshot.scalar(newest),
        "rows": rows,
    }


def _dump(snapshot: Connection, folder: Path) -> None:
    target = folder / DATABASE
    os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
    exported = snapshot.scalar(text("SELECT pg_export_snapshot()"))
    arguments = ("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={exported}", f"--file={target}")
    programs.run("pg_dump", *arguments, server_major=server_major(snapshot))
    manifest.sync(target)


def server_major(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT current_setting('server_version_num')::int / 10000")) or 0)


def _copy_evidence(source: Path, folder: Path) -> set[str]:
    """Copy every file that is still what its name says; the SHA-256 of those."""
    copied = set()
    listed = folder / EVIDENCE_LIST
    (folder / EVIDENCE).mkdir(mode=0o700)
    with listed.open("w", encoding="ascii") as lines:
        for file in evidence_files(source):
            target = copy_one(file, folder / EVIDENCE)
            if manifest.part(target).sha256 != file.name:
                target.unlink()
                continue
            lines.write(manifest.evidence_line(file.name))
            copied.add(file.name)
    listed.chmod(0o600)
    manifest.sync(listed)
    return copied


def evidence_files(folder: Path) -> Iterator[Path]:
    """The files of evidence, in order. Half-written ones have other names."""
    return (file for file in sorted(folder.glob("??/*")) if not file.name.startswith("."))


def copy_one(file: Path, folder: Path) -> Path:
    """Copy a file of evidence to its place below ``folder``; a file under its name there is always whole."""
    target = manifest.evidence_place(folder, file.name)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = target.with_name(f".part-{target.name}")
    half.unlink(missing_ok=True)  # of a copy that was killed
    shutil.copyfile(file, half)
    half.chmod(0o400)
    manifest.sync(half)
    half.replace(target)
    return target
