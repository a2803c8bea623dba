"""Bring the database to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from triage.db.session import engine


def config() -> Config:
    cfg = Config()
    cfg.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    cfg.set_main_option("file_template", "%%(year)d%%(month).2d%%(day).2d_%%(slug)s")
    return cfg


def upgrade() -> None:
    """Run all migrations that are missing. Safe to run twice, and from two processes at once."""
    cfg = config()
    with engine().begin() as connection:
        cfg.attributes["connection"] = connection
        command.upgrade(cfg, "head")
