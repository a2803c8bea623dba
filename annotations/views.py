"""Saved views: filters of the queue that one person gave a name. Nobody else sees them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from triage import accounts
from triage.db import SavedView, User
from triage.domain.errors import Conflict, InvalidInput, NotFound
from triage.domain.words import Role

#: More than a list of names shows at a glance is no help.
MOST_VIEWS = 20
_LONGEST_NAME = 40


def views_of(session: Session, user: User) -> Sequence[SavedView]:
    """The person's own views, by name."""
    return session.scalars(select(SavedView).where(SavedView.user_id == user.id).order_by(SavedView.name)).all()


def save_view(session: Session, user: User, *, name: str, filters: Mapping[str, Any]) -> None:
    """Keep filters under a name; the same name again replaces them.

    Raises:
        InvalidInput: the name is empty or too long.
        Conflict: there are ``MOST_VIEWS`` already.
    """
    accounts.require(user, Role.MODERATOR)
    name = name.strip()
    if not name:
        raise InvalidInput("Give the view a name", field="name")
    if len(name) > _LONGEST_NAME:
        raise InvalidInput(f"The name may have {_LONGEST_NAME} characters at most", field="name")
    others = select(func.count()).where(SavedView.user_id == user.id, SavedView.name != name)
    if (session.scalar(others) or 0) >= MOST_VIEWS:
        raise Conflict(f"You have {MOST_VIEWS} views: delete one first", field="name")
    session.execute(
        upsert(SavedView)
        .values(user_id=user.id, name=name, filters=dict(filters))
        .on_conflict_do_update(index_elements=[SavedView.user_id, SavedView.name], set_={"filters": dict(filters)})
    )


def delete_view(session: Session, user: User, view_id: uuid.UUID) -> None:
    """Forget one of the person's own views. Raises NotFound."""
    gone = session.scalar(
        delete(SavedView).where(SavedView.id == view_id, SavedView.user_id == user.id).returning(SavedView.id)
    )
    if gone is None:
        raise NotFound("You have no such view")
