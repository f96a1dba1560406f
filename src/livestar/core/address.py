"""Addresses that may hold secrets, as they may be shown."""

from __future__ import annotations

import re


def without_secrets(address: str) -> str:
    """`address` for logs, messages and listings: without user, password, query and fragment. A path stays as it is."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    port = authority.rpartition(":")[2] if ":" in authority and not authority.endswith("]") else "0"
    # No port: the beginning of a password that holds a slash.
    return f"{scheme}://{rest if port.isdigit() else rest.rpartition('@')[2]}"
