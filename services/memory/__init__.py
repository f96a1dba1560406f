"""Keeps the ledger of every stream: the durable truth, and what to forget."""
