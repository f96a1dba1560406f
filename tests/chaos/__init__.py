"""Chaos: the real system under a seeded schedule of kills, stops, drains and cuts, and an account of what its subscribers saw."""
