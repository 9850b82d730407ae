"""Waits for a task that was queued before, here or elsewhere: python result.py ID."""

import sys

from jobs import RenderProtocol

from rpcgen import runtime as rpc

if __name__ == "__main__":
    with rpc.TaskQueue() as queue:
        print(queue.task(sys.argv[1], RenderProtocol).result(timeout=60))
