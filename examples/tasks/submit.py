"""Queues a task at the URL in RPCGEN_REGISTRY, says its id, and ends: python submit.py FILM."""

import sys

from jobs import TaskStub

from rpcgen import runtime as rpc

if __name__ == "__main__":
    with rpc.TaskQueue() as queue:
        task = TaskStub(queue).render(sys.argv[1])  # an rpc.Task[Rendered]; task.result() would wait here
        print(task.id)
