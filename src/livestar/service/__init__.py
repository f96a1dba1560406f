"""The frame that every service hangs in: settings from the environment, and a process that starts, serves and drains."""

from livestar.service.ports import GATEWAY_PORT, GRPC_PORTS, HTTP_PORTS, local_address
from livestar.service.process import Process, run
from livestar.service.settings import Names, Port, ServiceSettings, settings_or_exit

__all__ = [
    "GATEWAY_PORT",
    "GRPC_PORTS",
    "HTTP_PORTS",
    "Names",
    "Port",
    "Process",
    "ServiceSettings",
    "local_address",
    "run",
    "settings_or_exit",
]
