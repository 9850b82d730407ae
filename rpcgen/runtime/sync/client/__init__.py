"""Channels: calls over pooled connections, or over one for all threads."""
