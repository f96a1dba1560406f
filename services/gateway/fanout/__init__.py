"""Each stream's events, read once and told to many."""

from services.gateway.fanout.hub import Hub, HubSettings
from services.gateway.fanout.subscription import Subscription
from services.gateway.fanout.told import Told

__all__ = ["Hub", "HubSettings", "Subscription", "Told"]
