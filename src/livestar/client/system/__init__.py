"""The whole system on this machine: Redis and every service as processes of their own, started, watched and stopped in order."""

from livestar.client.system.plan import SystemSettings
from livestar.client.system.system import ServiceEnded, System

__all__ = ["ServiceEnded", "System", "SystemSettings"]
