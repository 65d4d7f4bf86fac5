"""`python -m walras` is the command `walras`."""

from __future__ import annotations

from walras.cli import main

if __name__ == "__main__":
    main()
