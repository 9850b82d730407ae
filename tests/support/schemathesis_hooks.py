"""What schemathesis cannot know: ``SCHEMATHESIS_HOOKS=tests.support.schemathesis_hooks st run …``.

JSON Schema calls 1.0 an integer, rpcgen does not.
"""

from __future__ import annotations

import typing

import schemathesis


@schemathesis.hook
def map_body(context: object, body: typing.Any) -> typing.Any:
    """Writes whole numbers as integers."""
    if isinstance(body, dict):
        return {name: map_body(context, value) for name, value in body.items()}
    if isinstance(body, list):
        return [map_body(context, value) for value in body]
    if isinstance(body, float) and body.is_integer():
        return int(body)
    return body
