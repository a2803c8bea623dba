"""Migrations keep the rules of docs/operator.md, "A new version without a pause": what each one really sends is read.

A new version's migrations run while the version before it works. So they only add, they wait for no lock for long, and
they hold no large table for long.
"""

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import Script, ScriptDirectory
from sqlalchemy import create_engine, event, text

from triage.db.migrate import config
from triage.db.session import engine
from workers.embedded import EmbeddedServers

#: Tables with a row for each report or more.
LARGE = {
    "assessments",
    "case_words",
    "cases",
    "events",
    "idempotency_keys",
    "post_words",
    "posts",
    "reports",
    "scores",
}
#: These make the first release: no installation ever ran the code between them. What they take away was in none.
FIRST_RELEASE = {f"{number:04}" for number in range(1, 9)}

SCRIPTS: list[Script] = sorted(ScriptDirectory.from_config(config()).walk_revisions(), key=lambda one: one.revision)


@pytest.fixture(scope="module")
def sent(servers: EmbeddedServers) -> Iterator[dict[str, list[str]]]:
    """The statements of each migration, by revision, run one by one on a database of their own."""
    name = f"rules_{secrets.token_hex(4)}"
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        admin.execute(text(f"CREATE DATABASE {name}"))
    ours = create_engine(engine().url.set(database=name))
    statements: list[str] = []
    event.listen(ours, "before_cursor_execute", lambda *args: statements.append(" ".join(str(args[2]).split())))
    found, cfg = {}, config()
    for script in SCRIPTS:
        statements.clear()
        with ours.begin() as connection:
            cfg.attributes["connection"] = connection
            command.upgrade(cfg, script.revision)
        found[script.revision] = [one for one in statements if "alembic_version" not in one]
    yield found
    ours.dispose()
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        admin.execute(text(f"DROP DATABASE {name}"))


def matching(statements: list[str], pattern: str) -> list[str]:
    return [one for one in statements if re.search(pattern, one, flags=re.IGNORECASE)]


def on_large_table(statements: list[str], pattern: str) -> list[str]:
    """Statements on a large table that was there before: ``pattern`` names it in its first group."""
    new = {name for one in statements for name in re.findall(r"CREATE TABLE (\w+)", one)}
    return [
        one
        for one in matching(statements, pattern)
        if (table := re.search(pattern, one, flags=re.IGNORECASE)) and table[1] in LARGE - new
    ]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda one: one.revision)
def test_waits_for_no_lock_for_long(script: Script, sent: dict[str, list[str]]) -> None:
    first = next(one for one in sent[script.revision] if not one.lower().startswith(("select", "show")))

    assert re.fullmatch(r"SET LOCAL lock_timeout = '([1-9]|10)s'", first), first


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda one: one.revision)
def test_takes_nothing_away_that_the_version_before_uses(script: Script, sent: dict[str, list[str]]) -> None:
    """Renamed is taken away. What is no longer used goes one release after the last code that used it: say so here."""
    if script.revision in FIRST_RELEASE:
        return
    taken = matching(sent[script.revision], r"\bDROP (COLUMN|TABLE)\b|\bRENAME\b")
    added = matching(sent[script.revision], r"\bADD COLUMN\b(?!.*\bDEFAULT\b).*\bNOT NULL\b")
    changed = matching(sent[script.revision], r"ALTER COLUMN \w+ (TYPE|SET NOT NULL)")

    assert (taken, added, changed) == ([], [], [])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda one: one.revision)
def test_holds_no_large_table_for_long_without_a_reason(script: Script, sent: dict[str, list[str]]) -> None:
    """An index that may be there already (built CONCURRENTLY by hand before), a constraint that is checked later.

    Otherwise a comment says why it is quick all the same.
    """
    statements = sent[script.revision]
    indexes = on_large_table(statements, r"^CREATE (?:UNIQUE )?INDEX (?!IF NOT EXISTS).* ON (\w+)")
    checked = on_large_table(statements, r"^ALTER TABLE (\w+) ADD CONSTRAINT (?!.*NOT VALID).*(?:CHECK|FOREIGN KEY)")
    written = on_large_table(statements, r"^UPDATE (\w+)")
    source = Path(script.path).read_text(encoding="utf-8")
    reason = re.search(r"^# .*\b(CONCURRENTLY|NOT VALID)\b", source, flags=re.MULTILINE)

    assert reason or script.revision in FIRST_RELEASE or not indexes + checked + written


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("ALTER TABLE posts RENAME COLUMN text TO body", test_takes_nothing_away_that_the_version_before_uses),
        ("ALTER TABLE posts DROP COLUMN text", test_takes_nothing_away_that_the_version_before_uses),
        ("ALTER TABLE posts ADD COLUMN a INTEGER NOT NULL", test_takes_nothing_away_that_the_version_before_uses),
        ("CREATE INDEX ix_a ON posts (a)", test_holds_no_large_table_for_long_without_a_reason),
        ("UPDATE cases SET tier = 'P4'", test_holds_no_large_table_for_long_without_a_reason),
        ("ALTER TABLE posts ADD COLUMN a INTEGER", test_waits_for_no_lock_for_long),
    ],
)
def test_these_checks_can_fail(statement: str, check: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text('"""without a reason"""\n')

    class Later:
        revision, path = "9999", str(tmp_path / "later.py")

    with pytest.raises(AssertionError):
        check(Later, {"9999": [statement]})
    if check is test_holds_no_large_table_for_long_without_a_reason:
        check(Later, {"9999": [statement.replace("INDEX ix_a", "INDEX IF NOT EXISTS ix_a").replace("UPDATE", "--")]})
