"""One layer of a network, lane by lane: unlike a BLAS product, a row does not depend on how many rows there are."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True)
def affine(x: Any, matrix: Any, bias: Any, out: Any) -> None:
    """`out` (B, o) = `x` (B, i) @ `matrix` (i, o) + `bias` (o,), every sum in the order of the inputs."""
    for lane in range(x.shape[0]):
        for j in range(bias.shape[0]):
            out[lane, j] = bias[j]
        for i in range(x.shape[1]):
            factor = x[lane, i]
            for j in range(bias.shape[0]):
                out[lane, j] += factor * matrix[i, j]
