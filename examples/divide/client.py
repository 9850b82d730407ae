"""Calls the server: python client.py PORT."""

import sys

from service import Channel, ClientStub, InvalidOperation

with Channel("127.0.0.1", int(sys.argv[1])) as channel:
    stub = ClientStub(channel)
    print("divide(200, 100) →", stub.divide(200, 100))
    print("divide(200)      →", stub.divide(200))
    try:
        stub.divide(1, 0)
    except InvalidOperation as refusal:
        print("divide(1, 0)     → InvalidOperation:", refusal)
