"""Calls that are queued in ZooKeeper, and outlive those who make them and those who run them.

``layout`` says where things stand, ``envelopes`` what is in them. ``picture`` decides what a
master does next: it has no thread, no clock and no ZooKeeper. ``leading`` asks and writes for it,
``master``, ``worker`` and ``queue`` are what a program sees, each with one thread that talks to
ZooKeeper.
"""
