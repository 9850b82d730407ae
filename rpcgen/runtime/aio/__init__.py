"""Channels and servers for asyncio, over the sessions of ``wire``: many calls at once on a connection.

The names are in ``rpcgen.runtime``; nothing is imported here. What generated modules name, the
channel and the server, loads asyncio when one is made.
"""
