"""Fixtures of every folder, and Hypothesis profiles.

``ci`` gives the same examples every time, ``thorough`` looks further:
``make test PROFILE=thorough``.
"""

from __future__ import annotations

import os

import hypothesis

from tests.support.zookeeper import zk_url, zookeeper_of_worker  # noqa: F401

# A developer's own registry is not the tests'.
for _name in ("RPCGEN_REGISTRY", "RPCGEN_REGISTRY_TOKEN"):
    os.environ.pop(_name, None)

# Two busy cores make single examples slow now and then: that says nothing about the code.
_UNHURRIED = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large]

hypothesis.settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    print_blob=True,
    suppress_health_check=_UNHURRIED,
)
hypothesis.settings.register_profile(
    "thorough", deadline=None, max_examples=2000, print_blob=True, suppress_health_check=_UNHURRIED
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
