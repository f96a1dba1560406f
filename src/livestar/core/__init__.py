"""Nouns that depend on nothing: ids, errors, decisions."""
