"""`python -m discosim.kernel build` compiles the kernel in place; `status` says whether it is used."""

from __future__ import annotations

import argparse
import sys

from discosim.kernel.build import LIBRARY, build
from discosim.kernel.library import why_not


def main() -> int:
    """Build, or say how things stand; 1 where nothing compiled can be used."""
    parser = argparse.ArgumentParser(prog="python -m discosim.kernel", description=__doc__)
    parser.add_argument("verb", choices=("build", "status"))
    if parser.parse_args().verb == "build" and (why := build()):
        print(f"not compiled: {why}; Python computes the same, more slowly", file=sys.stderr)
        return 1
    why = why_not()
    print(f"not used: {why}" if why else f"used: {LIBRARY}")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
