"""AsyncServer: connections in an event loop, and what runs their calls."""
