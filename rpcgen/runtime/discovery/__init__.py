"""Registries, and the channel that calls the servers they list.

``zookeeper``, ``embedded`` and ``static`` implement ``rpcgen.runtime.registry``. ``routing``
decides where a call goes, without I/O; ``distributed`` carries it there.
"""
