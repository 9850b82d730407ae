"""Says which packages are built, and the codec in C; everything else stands in pyproject.toml.

The templates live at the root, where a reader finds them, and ship as ``rpcgen._templates``: a
package beside those found, which pyproject.toml cannot say. Without a C compiler the codec in C
is left out, and the one in Python runs.
"""

from __future__ import annotations

import glob
import os

import setuptools

# Each compiler takes its own words; those of all but Windows' are understood by all the others.
FLAGS = [] if os.name == "nt" else ["-O3", "-std=c11", "-fvisibility=hidden"]

setuptools.setup(
    packages=[*setuptools.find_packages(include=["rpcgen", "rpcgen.*"]), "rpcgen._templates"],
    package_dir={"rpcgen._templates": "templates"},
    package_data={
        "rpcgen": ["py.typed"],
        "rpcgen.compiler": ["*.lark", "*.json"],
        "rpcgen.runtime.wire": ["*.pyi"],
        "rpcgen._templates": ["python/*.j2", "python/**/*.j2"],
    },
    include_package_data=False,
    ext_modules=[
        setuptools.Extension(
            "rpcgen.runtime.wire._codec",
            sorted(glob.glob("rpcgen/runtime/wire/c/*.c")),
            depends=["rpcgen/runtime/wire/c/codec.h"],
            extra_compile_args=FLAGS,
            optional=True,
        )
    ],
)
