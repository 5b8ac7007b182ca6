"""Bytes by URL: connections, listings, pinned reads."""
