"""Owns streams and decides when to speak."""
