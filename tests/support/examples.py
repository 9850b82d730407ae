"""How many examples a property test has: shares of the profile's, so that ``thorough`` looks further everywhere."""

from __future__ import annotations

import hypothesis

FEW = hypothesis.settings(max_examples=max(1, hypothesis.settings().max_examples // 4))
"""Where each example starts a process, or takes as long."""
