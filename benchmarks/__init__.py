"""How fast it is: ``python -m benchmarks [NAME…]``, or ``make bench``.

Each benchmark is a module here with ``run(quick: bool) -> Iterable[Figure]``, where quick
asks for a smoke run of seconds. The frame in ``__main__`` runs them one after the other,
prints a table with each goal beside its figure and writes everything as one JSON file.
Goals are ratios within one run where they can be: times drift from machine to machine.
"""
