"""What policies of a finite decision process are worth, exactly: linear equations, and policy iteration.

Undiscounted: every policy that is valued must end. Shapes: `S` hidden states, `P` state-action pairs, slots of
infostates as in `walras.envs.tabular.world`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from walras.envs.game import Array
from walras.envs.tabular.mdp import FiniteMDP


def process_value(process: FiniteMDP, policy: Array) -> float:
    """Expected return of a policy, from the law of the first state.

    Args:
        process: the process.
        policy: (slots,) probabilities of the actions at every infostate, one infostate after another.

    Raises:
        ValueError: if the shape is another, or the policy need not end the episode.
    """
    return float(process.start @ _values(process, _by_pair(process, policy)))


def process_optimum(process: FiniteMDP) -> float:
    """The largest expected return of any policy, where the agent sees the state (policy iteration; Howard 1960).

    Raises:
        ValueError: if states share infostates, or some policy met on the way does not end the episode.
    """
    if len(np.unique(process.info)) < len(process.info):
        raise ValueError(f"process: states of {process.name} share infostates; no optimum is computed for these")
    offset = process.action_offset
    counts = np.diff(offset)
    policy = np.repeat(1.0 / counts, counts)
    while True:
        worth = _worth(process, _values(process, policy))
        best = np.maximum.reduceat(worth, offset[:-1])
        now = np.add.reduceat(worth * policy, offset[:-1])
        better = np.flatnonzero(best > now + 1e-12 * np.maximum(1.0, np.abs(best)))
        if not len(better):
            return float(process.start @ now)
        for state in better:  # the others keep what they do: among equals, to stay for ever may be one
            row = slice(offset[state], offset[state + 1])
            policy[row] = np.arange(counts[state]) == np.argmax(worth[row])


def _by_pair(process: FiniteMDP, policy: Array) -> Array:
    policy = np.asarray(policy, np.float64)
    slots = np.concatenate([[0], np.cumsum(process.n_actions)])
    if policy.shape != (slots[-1],):
        raise ValueError(f"policy: shape {policy.shape} given, {(int(slots[-1]),)} needed")
    counts = process.n_actions[process.info]
    within = np.arange(len(process.first) - 1) - np.repeat(process.action_offset[:-1], counts)
    return np.asarray(policy[np.repeat(slots[process.info], counts) + within])


def _worth(process: FiniteMDP, values: Array) -> Array:
    """(P,) what each state-action pair is worth when the states have these values."""
    after = np.where(process.target >= 0, values[process.target], 0.0)
    return np.asarray(np.add.reduceat(process.probability * (process.reward + after), process.first[:-1]))


def _values(process: FiniteMDP, policy: Array) -> Array:
    """(S,) expected returns from every state under a policy over pairs."""
    from scipy.sparse import coo_matrix, identity
    from scipy.sparse.linalg import MatrixRankWarning, spsolve

    states = len(process.info)
    counts = np.diff(process.action_offset)
    state = np.repeat(np.arange(states), counts)
    entry = np.repeat(np.arange(len(process.first) - 1), np.diff(process.first))
    weight = policy[entry] * process.probability
    paid = np.bincount(state[entry], weight * process.reward, minlength=states)
    on = process.target >= 0
    moves: Any = coo_matrix((weight[on], (state[entry][on], process.target[on])), shape=(states, states))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", MatrixRankWarning)  # told below
        values = np.asarray(spsolve((identity(states) - moves).tocsc(), paid)).reshape(states)
    if not np.isfinite(values).all() or np.abs(values).max() > 1e12:
        raise ValueError(f"policy: it need not end an episode of {process.name}, whose return is then not defined")
    return values
