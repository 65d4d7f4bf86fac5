"""Compiled sweeps over one player's treeplex, over two players' payoffs, and over a whole tree.

`x` is a realisation plan (Q,), `g` a gradient (Q,): what each sequence is worth to its player, first by the leaves it
ends in alone, after a sweep up with all that follows. Layouts are those of `walras.envs.tabular.sequence`.

The inner loops run over neighbouring memory without branches, so that they become vector instructions; `NARROW` groups
are handled number by number, because there the preparation of such loops would cost more than they save.
"""

from __future__ import annotations

from typing import Any

from numba import njit

NARROW = 12
"""Groups of fewer infostates are swept number by number."""

_FAST: Any = {"error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}, "cache": True}


@njit(**_FAST)
def multiply(payoffs: Any, y: Any, g: Any) -> None:
    """Gradient at the leaves: the payoff matrix times the other player's plan `y`, written to `g`."""
    runs, column, value = payoffs
    for i in range(runs.shape[0]):
        a, width, entries, e = runs[i, 0], runs[i, 1] - runs[i, 0], runs[i, 2], runs[i, 3]
        if width < 4:
            for m in range(width):
                total = 0.0
                for j in range(entries):
                    total += value[e + j * width + m] * y[column[e + j * width + m]]
                g[a + m] = total
            continue
        out = g[a : a + width]
        odd = entries % 4
        if odd == 0:
            for m in range(width):
                out[m] = 0.0
        for j in range(odd):
            c, v = column[e : e + width], value[e : e + width]
            e += width
            if j == 0:
                for m in range(width):
                    out[m] = v[m] * y[c[m]]
            else:
                for m in range(width):
                    out[m] += v[m] * y[c[m]]
        for _ in range(odd, entries, 4):
            c0, v0 = column[e : e + width], value[e : e + width]
            c1, v1 = column[e + width : e + 2 * width], value[e + width : e + 2 * width]
            c2, v2 = column[e + 2 * width : e + 3 * width], value[e + 2 * width : e + 3 * width]
            c3, v3 = column[e + 3 * width : e + 4 * width], value[e + 3 * width : e + 4 * width]
            e += 4 * width
            for m in range(width):
                out[m] += (v0[m] * y[c0[m]] + v1[m] * y[c1[m]]) + (v2[m] * y[c2[m]] + v3[m] * y[c3[m]])


@njit(**_FAST)
def collect(last: Any, chance: Any, utility: Any, plans: Any, base: Any, player: int, g: Any) -> None:
    """Gradient at the leaves for any number of players: every leaf weighs with the others' plans and nature's law.

    Args:
        last: (L, N) sequences at the leaves.
        chance: (L,).
        utility: (L,) the player's returns.
        plans: all players' plans, one after another.
        base: (N,) where each begins.
        player: whose gradient.
        g: written to.
    """
    g[:] = 0.0
    for leaf in range(len(chance)):
        weight = chance[leaf] * utility[leaf]
        for other in range(len(base)):
            if other != player:
                weight *= plans[base[other] + last[leaf, other]]
        g[last[leaf, player]] += weight


@njit(**_FAST)
def improve(plex: Any, sigma: Any, regret: Any, g: Any, v: Any, gain: float, loss: float) -> None:
    """Sweep up under the strategy `sigma` (Q,), add to the regrets, and match them: the new strategy replaces the old.

    Positive regrets are multiplied by `gain`, negative ones by `loss`: (1, 1) is plain regret matching, (1, 0) regret
    matching+, other numbers discount. `v` is scratch space for the widest group.
    """
    groups, parent, _ = plex
    for i in range(groups.shape[0] - 1, -1, -1):
        b, width, actions, k = groups[i, 0], groups[i, 1], groups[i, 2], groups[i, 3]
        end = b + actions * width
        if width < NARROW:
            for m in range(width):
                value = 0.0
                for q in range(b + m, end, width):
                    value += sigma[q] * g[q]
                total = 0.0
                for q in range(b + m, end, width):
                    r = regret[q] + (g[q] - value)
                    r *= gain if r > 0.0 else loss
                    regret[q] = r
                    r = max(r, 0.0)
                    sigma[q] = r
                    total += r
                for q in range(b + m, end, width):
                    sigma[q] = sigma[q] / total if total > 0.0 else 1.0 / actions
                g[parent[k + m]] += value
            continue
        value_ = v[:width]
        s, h = sigma[b : b + width], g[b : b + width]
        for m in range(width):
            value_[m] = s[m] * h[m]
        for q in range(b + width, end, width):
            s, h = sigma[q : q + width], g[q : q + width]
            for m in range(width):
                value_[m] += s[m] * h[m]
        up = parent[k : k + width]
        for m in range(width):
            g[up[m]] += value_[m]
        for q in range(b, end, width):
            s, h, r = sigma[q : q + width], g[q : q + width], regret[q : q + width]
            for m in range(width):
                new = r[m] + (h[m] - value_[m])
                new *= gain if new > 0.0 else loss
                r[m] = new
                s[m] = max(new, 0.0)
        s = sigma[b : b + width]
        for m in range(width):
            value_[m] = s[m]
        for q in range(b + width, end, width):
            s = sigma[q : q + width]
            for m in range(width):
                value_[m] += s[m]
        even = 1.0 / actions
        for q in range(b, end, width):
            s = sigma[q : q + width]
            for m in range(width):
                share = s[m] / value_[m]
                s[m] = share if value_[m] > 0.0 else even


@njit(**_FAST)
def realise(plex: Any, sigma: Any, x: Any, total: Any, weight: float, v: Any) -> None:
    """Add the plan `x` to `total` with its weight, then replace it by the plan of `sigma`: a sweep down."""
    groups, parent, _ = plex
    for i in range(groups.shape[0]):
        b, width, actions, k = groups[i, 0], groups[i, 1], groups[i, 2], groups[i, 3]
        end = b + actions * width
        if width < NARROW:
            for m in range(width):
                above = x[parent[k + m]]
                for q in range(b + m, end, width):
                    total[q] += weight * x[q]
                    x[q] = above * sigma[q]
            continue
        above_, up = v[:width], parent[k : k + width]
        for m in range(width):
            above_[m] = x[up[m]]
        for q in range(b, end, width):
            t, y, s = total[q : q + width], x[q : q + width], sigma[q : q + width]
            for m in range(width):
                t[m] += weight * y[m]
                y[m] = above_[m] * s[m]


@njit(**_FAST)
def plan(plex: Any, strategy: Any, x: Any) -> None:
    """Write the plan of a strategy over slots (S,): a sweep down."""
    groups, parent, slot = plex
    x[0] = 1.0
    for i in range(groups.shape[0]):
        b, width, actions, k = groups[i, 0], groups[i, 1], groups[i, 2], groups[i, 3]
        for a in range(actions):
            for m in range(width):
                q = b + a * width + m
                x[q] = x[parent[k + m]] * strategy[slot[q]]


@njit(**_FAST)
def respond(plex: Any, g: Any, best: Any) -> float:
    """Sweep up taking the best action everywhere (the first of equally good ones), its number written to `best` (K,).

    Returns the value of the whole, `g[0]`.
    """
    groups, parent, _ = plex
    for i in range(groups.shape[0] - 1, -1, -1):
        b, width, actions, k = groups[i, 0], groups[i, 1], groups[i, 2], groups[i, 3]
        for m in range(width):
            value, choice = g[b + m], 0
            for a in range(1, actions):
                if g[b + a * width + m] > value:
                    value, choice = g[b + a * width + m], a
            best[k + m] = choice
            g[parent[k + m]] += value
    return float(g[0])


@njit(**_FAST)
def best_value(plex: Any, g: Any, v: Any) -> float:
    """The value of the best response alone."""
    groups, parent, _ = plex
    for i in range(groups.shape[0] - 1, -1, -1):
        b, width, actions, k = groups[i, 0], groups[i, 1], groups[i, 2], groups[i, 3]
        end = b + actions * width
        if width < NARROW:
            for m in range(width):
                value = g[b + m]
                for q in range(b + m + width, end, width):
                    value = max(value, g[q])
                g[parent[k + m]] += value
            continue
        value_, h, up = v[:width], g[b : b + width], parent[k : k + width]
        for m in range(width):
            value_[m] = h[m]
        for q in range(b + width, end, width):
            h = g[q : q + width]
            for m in range(width):
                value_[m] = max(value_[m], h[m])
        for m in range(width):
            g[up[m]] += value_[m]
    return float(g[0])


@njit(**_FAST)
def iterate_pairs(
    plexes: Any,
    payoffs: Any,
    players: Any,
    clock: Any,
    end: int,
    plus: bool,
    power: Any,
    discount: Any,
    alternate: bool,
) -> None:
    """Iterations of CFR for two players in sequence form, from those that are done up to number `end`.

    Args:
        plexes: both treeplexes.
        payoffs: both payoff matrices.
        players: for each player (sigma, regret, plan, total, gradient, scratch).
        clock: (1,) int64, iterations done: counted here, so that an interruption finds the count and the tables alike.
        end: number of the last iteration.
        plus: forget negative regrets.
        power: iteration t enters the average with weight t ** power.
        discount: exponents (alpha, beta) of positive and negative regrets; not finite: none.
        alternate: the second player answers the first one's new plan.
    """
    (s0, r0, x0, t0, g0, v0), (s1, r1, x1, t1, g1, v1) = players
    for t in range(clock[0] + 1, end + 1):
        gain, loss, weight = factors(t, plus, power, discount)
        multiply(payoffs[0], x1, g0)
        if not alternate:
            multiply(payoffs[1], x0, g1)
        improve(plexes[0], s0, r0, g0, v0, gain, loss)
        realise(plexes[0], s0, x0, t0, weight, v0)
        if alternate:
            multiply(payoffs[1], x0, g1)
        improve(plexes[1], s1, r1, g1, v1, gain, loss)
        realise(plexes[1], s1, x1, t1, weight, v1)
        clock[0] = t


@njit(**_FAST)
def iterate_leaves(
    plexes: Any, last: Any, chance: Any, utility: Any, plans: Any, base: Any, players: Any, clock: Any, end: int,
    plus: bool, power: float, discount: Any, alternate: bool,
) -> None:  # fmt: skip
    """The same for any number of players, by the leaves (`collect`); `plans` holds the plans of `players`."""
    for t in range(clock[0] + 1, end + 1):
        gain, loss, weight = factors(t, plus, power, discount)
        if not alternate:
            for player in range(len(base)):
                collect(last, chance, utility[player], plans, base, player, players[player][4])
        for player in range(len(base)):
            sigma, regret, plan_, total, g, v = players[player]
            if alternate:
                collect(last, chance, utility[player], plans, base, player, g)
            improve(plexes[player], sigma, regret, g, v, gain, loss)
            realise(plexes[player], sigma, plan_, total, weight, v)
        clock[0] = t


@njit(**_FAST)
def factors(t: int, plus: bool, power: float, discount: Any) -> Any:
    """What multiplies positive and negative regrets in iteration t, and the weight of its plan in the average."""
    gain, loss = 1.0, 0.0 if plus else 1.0
    alpha, beta = discount
    if alpha < 1e300:
        grown = float(t) ** alpha
        gain = grown / (grown + 1.0)
    if beta < 1e300:
        grown = float(t) ** beta
        loss = grown / (grown + 1.0)
    return gain, loss, float(t) ** power
