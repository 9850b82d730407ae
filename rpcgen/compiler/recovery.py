from __future__ import annotations
from rpcgen.compiler.lexer import Faults
from rpcgen.compiler.walk import Walk
from rpcgen.compiler.diagnostics import diagnose
class Recovery:
    def __init__(self, walk: Walk, faults: Faults, lost: set[str]) -> None:
        self.walk, self.faults = walk, faults
    def run(self) -> None:
        n = self.walk.run(0, len(self.walk.tokens.kinds))
        self.faults.add(diagnose("E020", self.walk.tokens.span(n), what="something else"))
