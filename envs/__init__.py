"""Settings and doors. One package for each setting; `game` is the abstraction, `doors` the ways in."""
