"""Addresses that may hold secrets, as they may be shown."""

from __future__ import annotations

import re


def without_secrets(address: str) -> str:
    """`address` for logs, messages and listings: without user, password, query and fragment. A path stays as it is."""
    if "://" not in address:
        return address
    shown = re.sub(r"(?<=://)[^/?#]*@", "", address)
    return re.split(r"[?#]", shown, maxsplit=1)[0]
