"""Bracket taxes and their redistribution as plain arithmetic, batched over leading axes.

Shapes: `income` (..., n), `rates` (..., K), `edges` (K - 1,) ascending positive incomes that separate K brackets.
"""

from __future__ import annotations

import numpy as np

from walras.envs.game import Array


def bracket_tax(income: Array, rates: Array, edges: Array) -> Array:
    """Marginal tax (..., n): each rate is due on the part of the income that lies in its bracket.

    `T(w) = tau_1 min(w, e_1) + tau_2 max(0, min(w, e_2) - e_1) + ...`; incomes below zero pay nothing.
    """
    income, rates = np.asarray(income, np.float64), np.asarray(rates, np.float64)
    lower = np.concatenate([[0.0], edges])
    upper = np.concatenate([edges, [np.inf]])
    tax = np.zeros(np.broadcast_shapes(income.shape, (*rates.shape[:-1], 1)))
    for k in range(len(lower)):
        part = np.clip(income, lower[k], upper[k]) - lower[k]
        tax = tax + rates[..., k, None] * part
    return tax


def bracket_of(income: Array, edges: Array) -> Array:
    """Number of the bracket (..., n) that an income falls into; an edge belongs to the bracket above it."""
    return np.searchsorted(np.asarray(edges, np.float64), income, side="right")


def lump_sum(tax: Array) -> Array:
    """What remains due when the proceeds go back in equal parts: `tax_i - mean(tax)`, (..., n), summing to zero."""
    return np.asarray(tax - tax.mean(axis=-1, keepdims=True))
