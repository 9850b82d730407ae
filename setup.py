"""Says which packages are built, and what is in C; everything else stands in pyproject.toml.

The templates live at the root, where a reader finds them, and ship as ``rpcgen._templates``: a
package beside those found, which pyproject.toml cannot say. Without a C compiler
what is in C is left out, and its like in Python runs.
"""

from __future__ import annotations

import glob
import os

import setuptools

# Each compiler takes its own words; those of all but Windows' are understood by all the others.
FLAGS = [] if os.name == "nt" else ["-O3", "-std=gnu11", "-fvisibility=hidden"]


def extension(name: str, folder: str) -> setuptools.Extension:
    return setuptools.Extension(
        name,
        sorted(glob.glob(f"{folder}/*.c")),
        depends=sorted(glob.glob(f"{folder}/*.h")),
        extra_compile_args=FLAGS,
        optional=True,
    )


setuptools.setup(
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
