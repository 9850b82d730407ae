"""Says which packages are built, and what is in C; everything else stands in pyproject.toml.

The templates live at the root, where a reader finds them, and ship as ``rpcgen._templates``: a
package beside those found, which pyproject.toml cannot say. Without a C compiler
what is in C is left out, and its like in Python runs.
"""

from __future__ import annotations

import glob
import os
import pathlib
import platform
import tempfile

import setuptools
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

# Each compiler takes its own words; those of all but Windows' are understood by all the others.
FLAGS = [] if os.name == "nt" else ["-O3", "-std=gnu11", "-fvisibility=hidden"]

# Not all compilers know these. Intel's processors from Skylake to Cascade Lake read jumps that cross 32 bytes
# slowly (Intel, "Mitigations for Jump Conditional Code Erratum", 2019), which costs the codec a tenth.
PERHAPS = ["-Wa,-mbranches-within-32B-boundaries"] if platform.machine() == "x86_64" else []


class BuildExtensions(build_ext):  # type: ignore[misc]  # setuptools says no types
    """Compiles with those of ``PERHAPS`` that the compiler knows."""

    def build_extensions(self) -> None:
        known = [flag for flag in PERHAPS if self._knows(flag)]
        for made in self.extensions:
            made.extra_compile_args += known
        super().build_extensions()

    def _knows(self, flag: str) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "nothing.c")
            source.write_text("int nothing(void) { return 0; }\n")
            try:
                self.compiler.compile([str(source)], output_dir=folder, extra_postargs=[flag])
            except CompileError:
                return False
        return True


def extension(name: str, folder: str) -> setuptools.Extension:
    return setuptools.Extension(
        name,
        sorted(glob.glob(f"{folder}/*.c")),
        depends=sorted(glob.glob("rpcgen/runtime/*/c/*.h")),
        extra_compile_args=list(FLAGS),
        optional=True,
    )


setuptools.setup(
    cmdclass={"build_ext": BuildExtensions},
    packages=[*setuptools.find_packages(include=["rpcgen", "rpcgen.*"]), "rpcgen._templates"],
    package_dir={"rpcgen._templates": "templates"},
    package_data={
        "rpcgen": ["py.typed"],
        "rpcgen.compiler": ["*.lark", "*.json"],
        "rpcgen.runtime.http": ["*.html"],
        "rpcgen.runtime.wire": ["*.pyi"],
        "rpcgen.runtime.sync": ["*.pyi"],
        "rpcgen._templates": ["python/*.j2", "python/**/*.j2"],
    },
    include_package_data=False,
    ext_modules=[
        extension("rpcgen.runtime.wire._codec", "rpcgen/runtime/wire/c"),
        extension("rpcgen.runtime.sync._turns", "rpcgen/runtime/sync/c"),
    ],
)
