"""Many rows in one statement. They travel as one JSON parameter: each row as its own takes several times as long.

Values are what JSON and ``str`` can say and PostgreSQL reads again: text, numbers, UUIDs, times, lists, dicts, nothing.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Insert, Result, Text, bindparam, cast, column, func, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import FromClause
from sqlalchemy.sql.selectable import TableValuedAlias

from triage.db.base import Base

Row = Mapping[str, Any]


def insert_rows(session: Session, into: Insert, rows: Sequence[Row]) -> Result[*tuple[Any, ...]]:
    """Run ``into``, an INSERT without values, with these rows (one at least), which all have the same columns.

    It may carry ON CONFLICT and RETURNING; what comes back is in no particular order.
    """
    names = tuple(rows[0])
    sent = _sent(into.table, names)
    statement = into.from_select(names, select(*(sent.c[name] for name in names)))
    return session.connection().execute(statement, _parameter(rows))


def update_rows(session: Session, model: type[Base], rows: Sequence[Row]) -> None:
    """Set columns of many rows (one at least). Each names its ``id`` and the columns to set, the same for all."""
    names = tuple(rows[0])
    sent = _sent(model.__table__, names)
    values = {name: sent.c[name] for name in names if name != "id"}
    statement = update(model.__table__).where(model.__table__.c.id == sent.c.id).values(values)  # type: ignore[arg-type]
    session.connection().execute(statement, _parameter(rows))


@lru_cache(maxsize=64)  # made anew it is half the cost of a statement about one row
def _sent(table: FromClause, names: tuple[str, ...]) -> TableValuedAlias:
    of_all = func.jsonb_to_recordset(cast(bindparam("rows", type_=Text), JSONB))
    return of_all.table_valued(*(column(name, table.c[name].type) for name in names)).render_derived(
        name="sent", with_types=True
    )


def _parameter(rows: Sequence[Row]) -> dict[str, str]:
    # Not escaped to ASCII: half a surrogate pair then fails here, in words that quote nothing.
    return {"rows": json.dumps([dict(row) for row in rows], default=str, ensure_ascii=False)}
