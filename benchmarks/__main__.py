"""`python -m walras.benchmarks`: the bench by itself, the same commands as `walras bench`."""

if __name__ == "__main__":  # worker processes import this module too: it must stay empty for them
    import sys

    from walras.benchmarks.cli import main

    sys.exit(main())
