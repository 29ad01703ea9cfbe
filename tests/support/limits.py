"""How long tests wait for what must happen."""

LIMIT = 60.0
"""Seconds: many times what anything takes on a slow and busy machine, for only what hangs shall reach it."""
