"""Calls the servers in the registry of RPCGEN_REGISTRY, and says each second which of them answered.

python client.py calls until Ctrl-C.
"""

import collections
import signal
import time

from fleet import ClientStub, DistributedChannel

from rpcgen import runtime as rpc


def main() -> None:
    calls = failed = 0
    with DistributedChannel() as channel:
        stub = ClientStub(channel)
        try:
            while True:
                answered: collections.Counter[int] = collections.Counter()
                second = time.monotonic() + 1
                while time.monotonic() < second:
                    try:
                        answered[stub.divide(200, 100).server] += 1
                    except rpc.RpcError as error:
                        failed += 1
                        print(error, flush=True)
                    calls += 1
                    time.sleep(0.002)
                who = ", ".join(f"{server} ×{count}" for server, count in sorted(answered.items()))
                print(f"{calls} calls, {failed} failed; this second: {who}", flush=True)
        except KeyboardInterrupt:
            print(f"{calls} calls, {failed} failed", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` ends it as Ctrl-C does
    main()
