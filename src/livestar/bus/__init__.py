"""The bus and everything else on Redis: streams of messages, leases, the registry. Never reaches torch."""

from livestar.bus import keys
from livestar.bus.bus import START, TRACEPARENT, Backlog, Bus, Entry
from livestar.bus.directory import Address, Directory
from livestar.bus.embedded import EmbeddedRedis
from livestar.bus.group_reader import Delivery, GroupReader, GroupSettings
from livestar.bus.in_memory import InMemoryBus
from livestar.bus.in_memory_leases import InMemoryLeases
from livestar.bus.in_memory_registry import InMemoryRegistry
from livestar.bus.lease import Lease, Leases, Role
from livestar.bus.lease_keeper import LeaseKeeper
from livestar.bus.redis_leases import RedisLeases
from livestar.bus.redis_link import Patience, RedisLink
from livestar.bus.redis_registry import RedisRegistry
from livestar.bus.redis_streams import RedisStreams
from livestar.bus.registry import FINAL, Page, Registry
from livestar.bus.specification import check_channel, check_gate, checked

__all__ = [
    "FINAL",
    "START",
    "TRACEPARENT",
    "Address",
    "Backlog",
    "Bus",
    "Delivery",
    "Directory",
    "EmbeddedRedis",
    "Entry",
    "GroupReader",
    "GroupSettings",
    "InMemoryBus",
    "InMemoryLeases",
    "InMemoryRegistry",
    "Lease",
    "LeaseKeeper",
    "Leases",
    "Page",
    "Patience",
    "RedisLeases",
    "RedisLink",
    "RedisRegistry",
    "RedisStreams",
    "Registry",
    "Role",
    "check_channel",
    "check_gate",
    "checked",
    "keys",
]
