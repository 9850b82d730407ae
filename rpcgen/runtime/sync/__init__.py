"""Blocking channels and servers, on sockets and threads.

The names are in ``rpcgen.runtime``; nothing is imported here, so that a client loads no server.
"""
