"""gRPC between processes: servers and channels with deadlines, health, traces, and errors that keep their class."""

import livestar.api  # noqa: F401 - first: it says how much gRPC's core may print
from livestar.rpc.channels import Channels
from livestar.rpc.hang_up import answers
from livestar.rpc.retry import retrying
from livestar.rpc.server import RpcServer

__all__ = ["Channels", "RpcServer", "answers", "retrying"]
