"""``triage restore``: a backup back into an empty installation, and the proof that it is the one that was made."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, delete, func, inspect, select, table, text

from triage import attendance, audit
from triage.audit import Entry, Verification
from triage.db import Base, Event, EventSeal, UserSession, WorkerBeat
from triage.db.migrate import config, upgrade
from triage.db.session import engine, transaction
from triage.domain.words import Operation
from triage.settings import current
from workers.backup import manifest, programs, taking
from workers.backup.errors import BackupUnusable, NotEmpty, RestoredWrong
from workers.backup.manifest import DATABASE, EVIDENCE, Manifest
from workers.embedded import EmbeddedServers

_OPERATOR = audit.system("command line")
#: Transaction numbers are used up at about 100,000 a second. More than this is the business of `pg_resetwal`.
_MOST_NUMBERS = 200_000_000
_NUMBERS_AT_ONCE = 100_000
#: `pg_resetwal` is given the first number of a segment of the commit log: for any other the server wants the segment.
_NUMBERS_OF_A_SEGMENT = 1 << 20
#: A transaction that was rolled back inside another one has used up a number of its own.
_USE_UP = """
DO $$ BEGIN
    FOR i IN 1..{count} LOOP
        BEGIN PERFORM pg_current_xact_id(); EXCEPTION WHEN division_by_zero THEN NULL; END;
    END LOOP;
END $$
"""
#: Filled by the running of the service, not by its use.
_NOT_CONTENT = {WorkerBeat.__tablename__, "alembic_version"}


def restore(folder: Path, *, expect: str | None = None) -> Verification:
    """Restore ``folder`` into the installation that the settings name, which has to be empty; what its log proves.

    Nothing is changed before every byte of the backup was checked. The database appears whole or not at all. Where no
    database is named, the embedded one is started for it.

    Args:
        expect: a seal's SHA-256 that was kept elsewhere.

    Raises:
        BackupUnusable: the backup is cut off or altered, or from a newer version.
        NotEmpty: what stands in the way.
        BackupFailed: PostgreSQL's program failed; the database is as it was.
        RestoredWrong: the result is not what was backed up.
    """
    backup = manifest.check(folder)
    _require_known(backup.revision)
    with _database():
        with engine().connect() as connection:
            _require_empty(connection)
            server_major = taking.server_major(connection)
        _restore_evidence(folder, current().evidence_dir)
        _pass_transaction(backup.next_transaction)
        _clear_schema()
        arguments = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(folder / DATABASE))
        programs.run("pg_restore", *arguments, server_major=server_major)
        _require_same_rows(backup)
        upgrade()
        _settle(backup)
        return _prove(backup, expect)


@contextmanager
def _database() -> Iterator[None]:
    """The database that is named, or the embedded one for as long as this takes."""
    if current().database_url is not None:
        yield
        return
    with EmbeddedServers(current().data_dir / "servers", redis=False) as servers:
        current().database_url = servers.database_url
        try:
            yield
        finally:
            engine().dispose()
            engine.cache_clear()
            current().database_url = None


def _require_known(revision: str) -> None:
    try:
        ScriptDirectory.from_config(config()).get_revision(revision)
    except CommandError:
        raise BackupUnusable(
            f"The backup's schema {revision} is unknown here: restore it with the version that made it, or a later one"
        ) from None


def _require_empty(connection: Connection) -> None:
    database = engine().url.database
    tables = set(inspect(connection).get_table_names())
    if foreign := tables - _NOT_CONTENT - set(Base.metadata.tables):
        raise NotEmpty(f"The database {database} holds tables of something else: {', '.join(sorted(foreign)[:3])}")
    for name in sorted(tables - _NOT_CONTENT):
        count = connection.scalar(select(func.count()).select_from(table(name))) or 0
        if count:
            raise NotEmpty(f"The database {database} is not empty: {count:,} rows in {name}")
    if WorkerBeat.__tablename__ in tables:
        alive = connection.scalars(
            select(WorkerBeat.name).where(WorkerBeat.beat_at > datetime.now(UTC) - attendance.SILENT_AFTER)
        ).all()
        if alive:
            raise NotEmpty(f"Processes use the database {database}, stop them first: {', '.join(sorted(alive))}")


def _restore_evidence(folder: Path, target: Path) -> None:
    """Before the database, so that no row ever names a file that is not there. Doing it twice does no harm.

    Raises:
        NotEmpty: files lie there that are not of this backup.
    """
    listed = set(manifest.evidence_list(folder))
    for file in taking.evidence_files(target):
        if file.name not in listed:
            raise NotEmpty(f"The folder {target} is not empty: {file.name} is not in this backup")
    for sha256 in sorted(listed):
        taking.copy_one(manifest.evidence_place(folder / EVIDENCE, sha256), target)


def _pass_transaction(wanted: int) -> None:
    """Use up transaction numbers until this cluster's are past the backup's.

    The log orders its events by them. In a cluster that counts from a lower number new events would come before those
    that are sealed, and never be sealed themselves.

    Raises:
        NotEmpty: too many are missing to use them up one by one.
    """
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        number = text("SELECT pg_current_xact_id()::text")
        missing = wanted - int(connection.scalar(number) or 0)
        if missing > _MOST_NUMBERS:
            epoch, start = divmod((wanted // _NUMBERS_OF_A_SEGMENT + 1) * _NUMBERS_OF_A_SEGMENT, 2**32)
            reset = f"pg_resetwal --epoch={epoch} --next-transaction-id={start or _NUMBERS_OF_A_SEGMENT} DATA_FOLDER"
            raise NotEmpty(
                f"This cluster's transaction counter is {missing:,} behind the backup's: stop PostgreSQL, `{reset}`, "
                "start it, and restore again"
            )
        while missing > 0:
            connection.execute(text(_USE_UP.format(count=min(missing, _NUMBERS_AT_ONCE))))
            missing = wanted - int(connection.scalar(number) or 0)


def _clear_schema() -> None:
    """Take away tables without rows, which `triage migrate` may have made already: the dump brings its own."""
    cfg = config()
    with engine().begin() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        if inspect(connection).has_table("alembic_version"):
            cfg.attributes["connection"] = connection
            command.downgrade(cfg, "base")
            connection.execute(text("DROP TABLE alembic_version"))


def _require_same_rows(backup: Manifest) -> None:
    with engine().connect() as connection:
        for name, expected in backup.rows.items():
            found = connection.scalar(select(func.count()).select_from(table(name)))
            if found != expected:
                raise RestoredWrong(f"{name} has {found:,} rows and had {expected:,}; do not work with this")


def _settle(backup: Manifest) -> None:
    """People sign in again, old beats are forgotten, and the log says where it came from."""
    with transaction() as session:
        session.execute(delete(UserSession))
        session.execute(delete(WorkerBeat))
        data = {"made_at": backup.made_at, "seal": backup.seal, "events": backup.rows[Event.__tablename__]}
        entry = Entry(Operation.SYSTEM, "installation.restored", "backup", backup.backup_id, data=data)
        audit.record(session, _OPERATOR, entry)
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))  # a dump brings no statistics, and plans without them are bad ones


def _prove(backup: Manifest, expect: str | None) -> Verification:
    with transaction() as session:
        found = audit.verify(session, expect=expect or backup.seal)
        sealed = backup.seal is None or session.scalar(select(EventSeal.id).where(EventSeal.sha256 == backup.seal))
    problem = found.problem or (None if sealed else "the seal in the manifest is not in the chain")
    if problem:
        raise RestoredWrong(f"The audit chain does not hold: {problem}; do not work with this")
    return found
