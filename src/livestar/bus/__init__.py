"""The bus and everything else on Redis: streams of messages, leases, the registry. Never reaches torch."""

from livestar.bus.bus import START, TRACEPARENT, Backlog, Bus, Entry
from livestar.bus.group_reader import Delivery, GroupReader, GroupSettings
from livestar.bus.in_memory import InMemoryBus
from livestar.bus.redis_link import Patience, RedisLink
from livestar.bus.redis_streams import RedisStreams

__all__ = [
    "START",
    "TRACEPARENT",
    "Backlog",
    "Bus",
    "Delivery",
    "Entry",
    "GroupReader",
    "GroupSettings",
    "InMemoryBus",
    "Patience",
    "RedisLink",
    "RedisStreams",
]
