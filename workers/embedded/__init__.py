"""A PostgreSQL and a Redis of our own, for a machine that has none: see `EmbeddedServers`."""

from workers.embedded.errors import EmbeddedError
from workers.embedded.servers import EmbeddedServers, temporary_servers

__all__ = ["EmbeddedError", "EmbeddedServers", "temporary_servers"]
