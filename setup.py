"""Says which packages are built; everything else stands in pyproject.toml.

The templates live at the root, where a reader finds them, and ship as ``rpcgen._templates``: a
package beside those found, which pyproject.toml cannot say.
"""

from __future__ import annotations

import setuptools

setuptools.setup(
    packages=[*setuptools.find_packages(include=["rpcgen", "rpcgen.*"]), "rpcgen._templates"],
    package_dir={"rpcgen._templates": "templates"},
    package_data={
        "rpcgen": ["py.typed"],
        "rpcgen.compiler": ["*.lark", "*.json"],
        "rpcgen._templates": ["python/*.j2", "python/**/*.j2"],
    },
    include_package_data=False,
)
