"""The compiled first layer of a network on classes."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True)
def first_layer(classes: Any, numbers: Any, starts: Any, matrix: Any, bias: Any, out: Any) -> None:
    """`out` (B, o) = bias + one row of `matrix` (i, o) for each class but the first, + numbers times their rows.

    Args:
        classes: (B, C) int8.
        numbers: (B, F) float32.
        starts: (C + 1,) first row of each cell, and of the numbers.
        matrix: (i, o) float32.
        bias: (o,) float32.
        out: (B, o) float32, written.
    """
    wide = bias.shape[0]
    for lane in range(classes.shape[0]):
        row = out[lane]
        for j in range(wide):
            row[j] = bias[j]
        for c in range(classes.shape[1]):
            kind = classes[lane, c]
            if kind > 0:
                weights = matrix[starts[c] + kind - 1]
                for j in range(wide):
                    row[j] += weights[j]
        for f in range(numbers.shape[1]):
            factor = numbers[lane, f]
            weights = matrix[starts[-1] + f]
            for j in range(wide):
                row[j] += factor * weights[j]
