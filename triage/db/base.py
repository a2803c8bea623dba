"""What all tables share: naming of constraints, and columns that recur."""

import secrets
import time
import uuid
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from sqlalchemy import DateTime, MetaData, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, mapped_column


class Base(DeclarativeBase):
    """Parent of every table. Times are aware UTC; kinds are text with a CHECK, not database enums."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        uuid.UUID: UUID(as_uuid=True),
        dict[str, Any]: JSONB(none_as_null=True),
        dict[str, float]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: ARRAY(Text),
        list[uuid.UUID]: ARRAY(UUID(as_uuid=True)),
    }


#: uuidv7 sorts by time of creation, which the queues rely on (PostgreSQL 18).
Id = Annotated[uuid.UUID, mapped_column(primary_key=True, server_default=text("uuidv7()"))]
CreatedAt = Annotated[datetime, mapped_column(server_default=text("clock_timestamp()"))]


def one_of(column: str, kinds: Iterable[StrEnum]) -> str:
    """A CHECK expression: ``column`` holds one of ``kinds``."""
    return f"{column} IN ({', '.join(repr(str(kind)) for kind in kinds)})"


def new_id() -> uuid.UUID:
    """A version 7 UUID (RFC 9562): milliseconds since 1970, then 74 random bits.

    Made here and not by the database where a batch must know its ids before it is inserted.
    """
    value = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    return uuid.UUID(int=value | 0b10 << 62 | secrets.randbits(62))
