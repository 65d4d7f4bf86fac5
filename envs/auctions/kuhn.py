"""Kuhn (Freudenthal) triangulation of the unit cube: which simplex holds a point, its vertices, its halves.

The cube [0, 1]^d is cut into `cells`^d equal cells and each cell into d! simplices, one for each order of the
coordinates. A simplex has the number (row-major number of the cell) * d! + rank of the order, where the order lists
the coordinates by falling fractional part and its rank is its place among `itertools.permutations(range(d))`. The
triangulation with twice as many cells refines it, and it restricts to the one of the same kind on every subset of
coordinates (H. W. Kuhn 1960, Some combinatorial lemmas in topology).
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import array_api_compat
import numpy as np

from walras.envs.auctions.mechanism import Array


def count(cells: int, dimension: int) -> int:
    """Number of simplices, as a Python integer: cells^d * d!."""
    return int(cells**dimension * math.factorial(dimension))


@functools.lru_cache(maxsize=16)
def orders(dimension: int) -> Array:
    """All orders of the coordinates, (d!, d) in the sequence of their ranks."""
    return np.array(list(itertools.permutations(range(dimension))), dtype=np.int64).reshape(
        math.factorial(dimension), dimension
    )


def ranks(given: Array) -> Any:
    """Place (S,) of each order of 0..d-1 in `given` (S, d) among all orders (numpy)."""
    size, d = given.shape
    result = np.zeros(size, dtype=np.int64)
    for k in range(d):
        result = result * (d - k) + np.sum(given[:, k + 1 :] < given[:, k : k + 1], axis=1)
    return result


def number(corner: Array, order: Array, cells: int) -> Any:
    """Number (S,) of the simplex at the cell corners (S, d), in 0..cells - 1, with the orders (S, d) (numpy)."""
    result = np.zeros(len(corner), dtype=np.int64)
    for k in range(corner.shape[1]):
        result = result * cells + corner[:, k]
    return result * math.factorial(corner.shape[1]) + ranks(order)


def locate(points: Array, cells: int) -> Array:
    """Number (N,) of the simplex that holds each of the `points` (N, d) in [0, 1].

    A point on a shared face belongs to the cell above it (on the upper border of the cube: below it), and there to
    the order that takes the lower coordinate first.
    """
    xp = array_api_compat.array_namespace(points)
    device = array_api_compat.device(points)
    size, d = points.shape
    whole = xp.int64
    if d == 0:
        return xp.zeros((size,), dtype=whole, device=device)
    scaled = points * cells
    corner = xp.clip(xp.floor(scaled), 0, cells - 1)
    order = xp.argsort(scaled - corner, axis=1, descending=True, stable=True)
    number = xp.zeros((size,), dtype=whole, device=device)
    rank = xp.zeros((size,), dtype=whole, device=device)
    for k in range(d):
        number = number * cells + xp.astype(corner[:, k], whole)
        smaller = xp.sum(xp.astype(order[:, k + 1 :] < order[:, k : k + 1], whole), axis=1)
        rank = rank * (d - k) + smaller
    return number * math.factorial(d) + rank


def _corners(simplices: Array, cells: int, dimension: int) -> tuple[Any, Any]:
    """Corner (S, d) of the cell, and rank (S,) of the order, of numbered simplices."""
    cell, rank = np.divmod(np.asarray(simplices, dtype=np.int64), math.factorial(dimension))
    corner = np.empty((len(cell), dimension), dtype=np.int64)
    for k in reversed(range(dimension)):
        cell, corner[:, k] = np.divmod(cell, cells)
    return corner, rank


def vertices(simplices: Array, cells: int, dimension: int) -> Any:
    """Vertices (S, d + 1, d) of numbered `simplices` (S,), as integers in 0..cells (numpy).

    The first is the low corner of the cell; each further one takes one step in the next coordinate of the order.
    """
    corner, rank = _corners(simplices, cells, dimension)
    steps = np.eye(dimension, dtype=np.int64)[orders(dimension)[rank]]  # (S, d, d): the k-th step is a unit vector
    result = np.empty((len(corner), dimension + 1, dimension), dtype=np.int64)
    result[:, 0] = corner
    np.cumsum(steps, axis=1, out=result[:, 1:])
    result[:, 1:] += corner[:, None]
    return result


@functools.lru_cache(maxsize=8)
def halves(dimension: int) -> tuple[Any, Any]:
    """For each order: the 2^d cells (d!, 2^d, d) in {0, 1} and the ranks (d!, 2^d) of the simplices that refine it."""
    corners = np.array(list(itertools.product((0, 1), repeat=dimension)), dtype=np.int64).reshape(
        2**dimension, dimension
    )
    perms = orders(dimension)
    # Barycentres of all simplices of the halved cell, in units of 1 / (2 (d + 1)) of the cell: integers, no ties.
    place = np.empty_like(perms)
    np.put_along_axis(place, perms, np.broadcast_to(np.arange(dimension), perms.shape), axis=1)
    inside = dimension - place  # coordinate order[k] is 1 on the last d - k of the d + 1 vertices
    centre = corners[:, None, :] * (dimension + 1) + inside[None]  # (2^d, d!, d)
    order = np.argsort(-centre, axis=2, kind="stable").reshape(len(corners) * len(perms), dimension)
    parent = ranks(order)
    cell, rank = np.divmod(np.arange(len(order)), len(perms))
    by_parent = np.argsort(parent, kind="stable").reshape(len(perms), -1)
    return corners[cell[by_parent]], rank[by_parent]


def halve(simplices: Array, cells: int, dimension: int) -> Any:
    """The 2^d simplices (S, 2^d) on twice as many cells that make up each of the `simplices` (S,) (numpy)."""
    corner, rank = _corners(simplices, cells, dimension)
    offsets, places = halves(dimension)
    fine = 2 * corner[:, None, :] + offsets[rank]
    number = np.zeros(fine.shape[:2], dtype=np.int64)
    for k in range(dimension):
        number = number * (2 * cells) + fine[..., k]
    return number * math.factorial(dimension) + places[rank]


def parents(simplices: Array, cells: int, dimension: int) -> Any:
    """The simplex (S,) on half as many cells that holds each of the `simplices` (S,) of `cells` cells a side (numpy).

    Raises:
        ValueError: `cells` is odd.
    """
    if cells % 2:
        raise ValueError(f"cells: must be even, got {cells}")
    corner, rank = _corners(simplices, cells, dimension)
    order = orders(dimension)[rank]
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.broadcast_to(np.arange(dimension), order.shape), axis=1)
    # Barycentre within the larger cell, in whole numbers that are all different.
    centre = (corner % 2) * (dimension + 1) + dimension - place
    return number(corner // 2, np.argsort(-centre, axis=1, kind="stable"), cells // 2)
