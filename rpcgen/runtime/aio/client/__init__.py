"""AsyncChannel: calls of one event loop over one connection."""
