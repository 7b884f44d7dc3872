"""Compiles the kernel for a wheel or an editable install; without a compiler both are plain Python."""

from __future__ import annotations

import os
import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "discosim/kernel/kernel.so"


class KernelHook(BuildHookInterface):
    """Builds the kernel in the source tree, and lets the wheel hold it and say for which platform it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before files are collected."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        if os.environ.get("DISCOSIM_NO_KERNEL", "") not in {"", "0"}:
            (root / LIBRARY).unlink(missing_ok=True)
            self.app.display_info("DISCOSIM_NO_KERNEL is set: plain Python")
            return
        why: str = runpy.run_path(str(root / "discosim" / "kernel" / "build.py"))["build"]()
        if why:
            (root / LIBRARY).unlink(missing_ok=True)  # of another text, perhaps
            self.app.display_warning(f"kernel not compiled, plain Python instead: {why}")
        elif version != "editable":  # which uses the source tree, the library in it
            build_data["force_include"][str(root / LIBRARY)] = LIBRARY
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
