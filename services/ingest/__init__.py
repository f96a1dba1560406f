"""Reads live sources and publishes sampled frames."""
