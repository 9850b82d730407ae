"""Coverage-guided fuzzing of what reads bytes: ``make fuzz TARGET=server_session SECONDS=60``.

``targets`` says what must hold of any bytes; ``corpus`` holds inputs that reach much, or that once failed: the
normal suite replays them (tests/hardening/test_corpus.py).
"""
