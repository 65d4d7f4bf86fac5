"""The compiled learners of arXiv 2402.11835: ABCs and MAX-CFR, Boltzmann Q-learning, outcome sampling with Hedge.

All of them learn one table over the slots of a world (`walras.envs.tabular.world`): a game tree, a decision process, or
the one stacked before the other. The recursion of the paper is a loop over explicit frames here. Every call of
`advance` touches one node, the unit in which learners are compared.

Letters are the paper's: Q values, n updates, C weights of the average strategy, D remembered ids, tau temperature, x
the last target of a slot, N = max n at an infostate.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from walras.envs.game import Array
from walras.envs.tabular.world import BODY, World, act, begin, bits, identify, look, nature, scramble

_FAST: Any = {"error_model": "numpy", "cache": True}

ADAPTIVE, CUMULATIVE, BOLTZMANN, HEDGE = 0, 1, 2, 3
"""Policies: ABCs's; softmax(Q N); softmax(Q / max(tau, 1 / N)); softmax(Q), where Q is cumulative."""

PUBLISHED, GREEDY, POLICY = 0, 1, 2
"""Corrections of the target of a non-stationary pair, in `Rule.correction`."""


class Rule(NamedTuple):
    """What distinguishes the learners; plain numbers, so that one compilation serves all.

    Attributes:
        policy: `ADAPTIVE`, `CUMULATIVE`, `BOLTZMANN` or `HEDGE`.
        correction: `PUBLISHED`, `GREEDY` or `POLICY`.
        opponent: average where the others move, not at the traverser's visits.
        expand_all: treat every pair as non-stationary and pass over pairs that are not expanded (MAX-CFR).
        oracle: take verdicts from `Table.verdict` as they stand.
        spending: the k-th test of a pair is held at a smaller level, so that all tests together keep it.
        matching: regret matching+ in place of Hedge at non-stationary infostates.
        minimum: entries without which a pair counts as stationary.
        clearing: probability that all verdicts are forgotten at the start of an iteration.
        decay: factor of the temperature.
        every: iterations between two decays.
        end: probability that a step of the process is its last.
        limit: steps after which the process ends.
        explore: share of uniform play in outcome sampling.
        late: outcome sampling passes on the last reward only, and Boltzmann Q-learning looks beyond the end (as
            published).
    """

    policy: int
    correction: int
    opponent: bool
    expand_all: bool
    oracle: bool
    spending: bool
    matching: bool
    minimum: int
    clearing: float
    decay: float
    every: int
    end: float
    limit: int
    explore: float
    late: bool


class Table(NamedTuple):
    """What is learned and remembered, over S slots.

    Attributes:
        q: (S,) float64.
        n: (S,) int64.
        c: (S,) float64.
        x: (S,) float64, last target.
        regret: (S,) float64, regrets of regret matching+.
        ring: (S, window) int64, remembered ids; (S, 1) where nothing is tested.
        seen: (S,) int64, ids remembered so far, overwritten ones included.
        verdict: (S,) int8, 1 stationary, 2 not.
        fresh: (S,) int64, the generation in which the verdict was found.
        tests: (S,) int64, tests of the pair so far.
        expanded: (S,) int64, the last iteration in which the pair was expanded.
        updated: (S,) int64.
        tally: (8,) int64: iterations, nodes, generation, tests, verdicts of non-stationarity, longest stack.
        tau: (1,) float64.
    """

    q: Array
    n: Array
    c: Array
    x: Array
    regret: Array
    ring: Array
    seen: Array
    verdict: Array
    fresh: Array
    tests: Array
    expanded: Array
    updated: Array
    tally: Array
    tau: Array


ITERATIONS, NODES, GENERATION, TESTS, ALARMS = 0, 1, 2, 3, 4
"""Places in `Table.tally`."""


class Stack(NamedTuple):
    """Scratch space: frames of depth d, and a hash table for counting ids. A is the largest number of actions.

    Attributes:
        node: (D,) int64, the hidden state's node.
        body: (D, 6) float64, and its body.
        info: (D,) int64.
        sampled: (D,) int64, the action that is followed in any case.
        turn: (D,) int64, the next action to query.
        pi: (D, A) float64, the policy when the frame was opened.
        reward: (D, A) float64.
        child: (D, A) int64, infostate after the action; -1 at the end, -2 where the pair was passed over.
        old: (D, A, A) float64, the child's values before the recursion.
        before: (D, A, A) float64, the child's policy before the recursion.
        other: (A,) float64, a policy of somebody else.
        key: (H,) int64, of the hash table, with H a power of two.
        mark: (H,) int64, the test that last used the entry.
        early: (H,) int64, counts in the older half.
        late: (H,) int64, counts in the newer half.
        place: (window,) int64, entries in use.
        clock: (1,) int64, tests so far.
        critical: (20, window) float64, critical values by block of tests and degrees of freedom.
        u: (4,) float64.
    """

    node: Array
    body: Array
    info: Array
    sampled: Array
    turn: Array
    pi: Array
    reward: Array
    child: Array
    old: Array
    before: Array
    other: Array
    key: Array
    mark: Array
    early: Array
    late: Array
    place: Array
    clock: Array
    critical: Array
    u: Array


def table(slots: int, window: int) -> Table:
    """An empty table; `window` ids are remembered for each slot."""
    def whole() -> Array:
        return np.zeros(slots, np.int64)

    return Table(
        np.zeros(slots), whole(), np.zeros(slots), np.zeros(slots), np.zeros(slots),
        np.zeros((slots, window), np.int64), whole(), np.zeros(slots, np.int8), whole(), whole(), whole(), whole(),
        np.array([0, 0, 1, 0, 0, 0, 0, 0]), np.ones(1),
    )  # fmt: skip


def stack(world: World, depth: int, window: int, level: float) -> Stack:
    """Scratch space for frames `depth` deep and tests at `level`."""
    actions = int(np.diff(world.info_offset).max(initial=1))
    size = 16
    while size < 2 * window:
        size *= 2
    return Stack(
        np.zeros(depth, np.int64), np.zeros((depth, BODY)), np.zeros(depth, np.int64), np.zeros(depth, np.int64),
        np.zeros(depth, np.int64), np.zeros((depth, actions)), np.zeros((depth, actions)),
        np.zeros((depth, actions), np.int64), np.zeros((depth, actions, actions)),
        np.zeros((depth, actions, actions)), np.zeros(actions), np.zeros(size, np.int64), np.zeros(size, np.int64),
        np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(window, np.int64), np.zeros(1, np.int64),
        critical_values(window, level), np.zeros(4),
    )  # fmt: skip


def critical_values(window: int, level: float) -> Array:
    """(20, window) the statistic at which a test with d degrees of freedom says non-stationary, row by row.

    Row 0 holds the level itself. Row j + 1 serves tests 2**j to 2**(j+1) - 1 of a pair under error control: the block
    spends level / ((j + 1) (j + 2)), evenly, so that all tests of the pair together raise a false alarm with a
    probability of at most `level`.
    """
    from scipy.special import chdtri

    levels = np.append(level, [level / ((j + 1) * (j + 2)) / 2**j for j in range(19)])
    freedom = np.maximum(np.arange(window), 1)
    return np.asarray(chdtri(freedom[None], levels[:, None]))


@njit(**_FAST)
def statistic(ring: Any, start: int, length: int, stack: Any) -> Any:
    """The chi-squared statistic of the older half of `length` ids against the newer half, and its degrees of freedom.

    As `scipy.stats.chi2_contingency`: with one degree of freedom, Yates's continuity correction.
    """
    window = len(ring)
    stack.clock[0] += 1
    now, size = stack.clock[0], np.uint64(len(stack.key) - 1)
    half, distinct = length // 2, 0
    for i in range(length):
        at = start + i
        if at >= window:
            at -= window
        id_ = ring[at]
        h = np.int64(scramble(np.uint64(id_)) & size)
        while stack.mark[h] == now and stack.key[h] != id_:
            h = np.int64(np.uint64(h + 1) & size)
        if stack.mark[h] != now:
            stack.mark[h], stack.key[h], stack.early[h], stack.late[h] = now, id_, 0, 0
            stack.place[distinct] = h
            distinct += 1
        if i < half:
            stack.early[h] += 1
        else:
            stack.late[h] += 1
    share = half / length
    total = 0.0
    for i in range(distinct):
        h = stack.place[i]
        both = stack.early[h] + stack.late[h]
        expected, other = both * share, both * (1.0 - share)
        off = abs(stack.early[h] - expected)
        if distinct == 2:
            off -= min(0.5, off)
        total += off * off / expected + off * off / other
    return total, distinct - 1


@njit(**_FAST)
def stationary(rule: Any, table: Any, stack: Any, slot: int) -> bool:
    """The verdict on a pair: cached, or found by a test."""
    if rule.oracle:
        return bool(table.verdict[slot] != 2)
    if table.fresh[slot] == table.tally[2]:
        return bool(table.verdict[slot] == 1)
    window = table.ring.shape[1]
    seen = table.seen[slot]
    length = min(seen, window)
    verdict = 1
    if length >= rule.minimum:
        total, freedom = statistic(table.ring[slot], seen % window if seen > window else 0, length, stack)
        row = 0
        if rule.spending:
            k = table.tests[slot] + 1
            row = 1
            while k > 1 and row < stack.critical.shape[0] - 1:
                k >>= 1
                row += 1
        table.tests[slot] += 1
        table.tally[3] += 1
        if freedom > 0 and total >= stack.critical[row, freedom]:
            verdict = 2
            table.tally[4] += 1
    table.verdict[slot] = verdict
    table.fresh[slot] = table.tally[2]
    return verdict == 1


@njit(**_FAST)
def policy(rule: Any, world: Any, table: Any, stack: Any, info: int, pi: Any) -> None:
    """Write the exploration policy of an infostate."""
    a0 = world.info_offset[info]
    count = world.info_offset[info + 1] - a0
    if rule.policy == 3:
        softmax(table.q, a0, count, 1.0, pi)
        return
    unvisited, most = 0, 0
    for a in range(count):
        unvisited += table.n[a0 + a] == 0
        most = max(most, table.n[a0 + a])
    if unvisited:
        for a in range(count):
            pi[a] = 1.0 / unvisited if table.n[a0 + a] == 0 else 0.0
        return
    if rule.policy == 2:
        softmax(table.q, a0, count, 1.0 / max(table.tau[0], 1.0 / most), pi)
        return
    calm = rule.policy == 0
    if calm:
        for a in range(count):
            if not stationary(rule, table, stack, a0 + a):
                calm = False
                break
    if calm:
        softmax(table.q, a0, count, 1.0 / table.tau[0], pi)
    elif rule.matching:
        total = 0.0
        for a in range(count):
            total += table.regret[a0 + a]
        for a in range(count):
            pi[a] = table.regret[a0 + a] / total if total > 0.0 else 1.0 / count
    else:
        softmax(table.q, a0, count, float(most), pi)


@njit(**_FAST)
def softmax(q: Any, first: int, count: int, scale: float, pi: Any) -> None:
    """Write softmax(q * scale) of neighbouring values."""
    top = q[first]
    for a in range(1, count):
        top = max(top, q[first + a])
    total = 0.0
    for a in range(count):
        pi[a] = np.exp((q[first + a] - top) * scale)
        total += pi[a]
    for a in range(count):
        pi[a] /= total


@njit(**_FAST)
def draw(pi: Any, count: int, u: float) -> int:
    """The action that the uniform `u` picks; never one of probability zero."""
    choice = 0
    for a in range(count):
        if pi[a] > 0.0:
            choice = a
            u -= pi[a]
            if u < 0.0:
                break
    return choice


@njit(**_FAST)
def settle(rule: Any, world: Any, table: Any, stack: Any, player: int, d: int, rng: Any) -> Any:
    """In the tree, let nature and the others move in frame d until `player` must.

    Returns (what the player was paid on the way, its infostate or -1 at the end).
    """
    node, paid = stack.node[d], 0.0
    while world.kind[node] != 2:
        if world.kind[node] == 0:
            node = nature(world, node, rng.random())
        else:
            info = world.node_info[node]
            if world.info_player[info] == player:
                stack.node[d] = node
                return paid, int(info)
            policy(rule, world, table, stack, info, stack.other)
            a0 = world.info_offset[info]
            count = world.info_offset[info + 1] - a0
            if rule.opponent:
                for a in range(count):
                    table.c[a0 + a] += stack.other[a]
            node = world.first_child[node] + draw(stack.other, count, rng.random())
        paid += world.reward[node, player]
    stack.node[d] = node
    return paid, -1


@njit(**_FAST)
def reset(rule: Any, world: Any, table: Any, stack: Any, player: int, rng: Any) -> Any:
    """Start an episode in frame 0; player 0 of a stack begins with the process, the others with the game.

    Returns (what nature paid, infostate or -1).
    """
    if world.process != 0 and player == 0:
        for k in range(4):
            stack.u[k] = rng.random()
        begin(world, stack.body[0], stack.u)
        stack.node[0] = -1
        return 0.0, look(world, stack.body[0])
    stack.node[0] = 0
    paid, info = settle(rule, world, table, stack, player, 0, rng)
    return paid + world.reward[0, player], info


@njit(**_FAST)
def advance(rule: Any, world: Any, table: Any, stack: Any, player: int, d: int, action: int, rng: Any) -> Any:
    """Apply an action in frame d and move on until the player must move again; the result stands in frame d + 1.

    Returns (reward, infostate or -1 at the end).
    """
    table.tally[1] += 1
    if stack.node[d] >= 0:
        node = world.first_child[stack.node[d]] + action
        stack.node[d + 1] = node
        paid, info = settle(rule, world, table, stack, player, d + 1, rng)
        return paid + world.reward[node, player], info
    body = stack.body[d + 1]
    body[:] = stack.body[d]
    paid, over = act(world, body, action, rng.random())
    if rule.end > 0.0 and rng.random() < rule.end:
        over = True
    if body[4] >= rule.limit:
        over = True
    stack.node[d + 1] = -1
    if not over:
        return paid, look(world, body)
    if len(world.kind) == 0:
        return paid, -1
    stack.node[d + 1] = 0
    more, info = settle(rule, world, table, stack, player, d + 1, rng)
    return paid + more + world.reward[0, player], info


@njit(**_FAST)
def fingerprint(world: Any, stack: Any, d: int, paid: float, info: int) -> int:
    """The id that D remembers: of the hidden state in frame d, or of the reward at the end."""
    if info < 0:
        return int(np.int64((scramble(bits(paid)) >> np.uint64(2)) << np.uint64(1)) | np.int64(1 << 62))
    if stack.node[d] >= 0:
        return int(2 * stack.node[d])
    return int(identify(world, stack.body[d]))


@njit(**_FAST)
def open_frame(rule: Any, world: Any, table: Any, stack: Any, d: int, info: int, rng: Any) -> None:
    """Prepare the visit of an infostate: its policy, and the action that is followed in any case."""
    policy(rule, world, table, stack, info, stack.pi[d])
    count = world.info_offset[info + 1] - world.info_offset[info]
    stack.info[d] = info
    stack.sampled[d] = draw(stack.pi[d], count, rng.random())
    stack.turn[d] = 0


@njit(**_FAST)
def visit(rule: Any, world: Any, table: Any, stack: Any, player: int, info: int, now: int, rng: Any) -> None:
    """Visit an infostate and all that it expands (section 4.3): queries first, updates after all recursion."""
    d = 0
    open_frame(rule, world, table, stack, 0, info, rng)
    while d >= 0:
        info = stack.info[d]
        a0 = world.info_offset[info]
        count = world.info_offset[info + 1] - a0
        a = stack.turn[d]
        if a == count:
            update(rule, world, table, stack, d, now)
            d -= 1
            continue
        stack.turn[d] = a + 1
        slot = a0 + a
        nonstationary = rule.expand_all or not stationary(rule, table, stack, slot)
        expand = a == stack.sampled[d] or (nonstationary and table.expanded[slot] != now)
        if rule.expand_all and not expand:
            stack.child[d, a] = -2
            continue
        paid, below = advance(rule, world, table, stack, player, d, a, rng)
        stack.reward[d, a] = paid
        stack.child[d, a] = below
        if not (rule.oracle or rule.expand_all):
            window = table.ring.shape[1]
            table.ring[slot, table.seen[slot] % window] = fingerprint(world, stack, d + 1, paid, below)
            table.seen[slot] += 1
        if below < 0:
            continue
        b0 = world.info_offset[below]
        for b in range(world.info_offset[below + 1] - b0):
            stack.old[d, a, b] = table.q[b0 + b]
        if expand:
            table.expanded[slot] = now
            if rule.correction == 2:
                policy(rule, world, table, stack, below, stack.before[d, a])
            d += 1
            open_frame(rule, world, table, stack, d, below, rng)


@njit(**_FAST)
def update(rule: Any, world: Any, table: Any, stack: Any, d: int, now: int) -> None:
    """Move the values of all actions queried in frame d towards their targets."""
    info = stack.info[d]
    a0 = world.info_offset[info]
    count = world.info_offset[info + 1] - a0
    value = 0.0
    for a in range(count):
        below, slot = stack.child[d, a], a0 + a
        if below == -2:
            continue
        target = stack.reward[d, a]
        if below >= 0:
            b0 = world.info_offset[below]
            width = world.info_offset[below + 1] - b0
            top = stack.old[d, a, 0]
            for b in range(1, width):
                top = max(top, stack.old[d, a, b])
            bootstrap = top
            nonstationary = rule.expand_all or not stationary(rule, table, stack, slot)
            # A child that was never updated has no target to correct by (its infostate recurs in the episode).
            if nonstationary and table.updated[slot] != now and (rule.correction == 0 or table.n[b0] > 0):
                bootstrap = correct(rule, table, stack, d, a, b0, width, top)
            target += bootstrap
        n = table.n[slot]
        table.q[slot] = (n * table.q[slot] + target) / (n + 1)
        table.n[slot] = n + 1
        table.x[slot] = target
        table.updated[slot] = now
        value += stack.pi[d, a] * target
        if not rule.opponent:
            table.c[slot] += stack.pi[d, a]
    if rule.matching:
        for a in range(count):
            if stack.child[d, a] != -2:
                table.regret[a0 + a] = max(0.0, table.regret[a0 + a] + table.x[a0 + a] - value)


@njit(**_FAST)
def correct(rule: Any, table: Any, stack: Any, d: int, a: int, b0: int, width: int, top: float) -> float:
    """The child's value just found, in place of its average: by the latest target of its actions."""
    if rule.correction == 2:
        total = 0.0
        for b in range(width):
            total += stack.before[d, a, b] * table.x[b0 + b]
        return total
    total, ties = 0.0, 0
    for b in range(width):
        old = stack.old[d, a, b]
        if old == top:
            ties += 1
            if rule.correction == 1:
                total += table.x[b0 + b]
            else:
                n = table.n[b0 + b]
                latest = n * table.q[b0 + b] - (n - 1) * old
                total += top + latest - table.q[b0 + b]
    return total / ties


@njit(**_FAST)
def tick(rule: Any, table: Any) -> None:
    """Close an iteration: count it and cool down."""
    table.tally[0] += 1
    if table.tally[0] % rule.every == 0:
        table.tau[0] *= rule.decay


@njit(**_FAST)
def branch(rule: Any, world: Any, table: Any, stack: Any, budget: int, end: int, rng: Any) -> None:
    """Iterations of ABCs or MAX-CFR until `budget` nodes are touched or `end` iterations are done (all time)."""
    while table.tally[1] < budget and table.tally[0] < end:
        if not (rule.oracle or rule.expand_all) and rng.random() < rule.clearing:
            table.tally[2] += 1
        for player in range(world.n_players):
            _, info = reset(rule, world, table, stack, player, rng)
            if info >= 0:
                visit(rule, world, table, stack, player, info, table.tally[0] + 1, rng)
        tick(rule, table)


@njit(**_FAST)
def follow(rule: Any, world: Any, table: Any, stack: Any, budget: int, end: int, rng: Any) -> None:
    """Iterations of Boltzmann Q-learning: one trajectory a player, the action taken is updated at once."""
    while table.tally[1] < budget and table.tally[0] < end:
        for player in range(world.n_players):
            _, info = reset(rule, world, table, stack, player, rng)
            while info >= 0:
                a0 = world.info_offset[info]
                count = world.info_offset[info + 1] - a0
                policy(rule, world, table, stack, info, stack.pi[0])
                action = draw(stack.pi[0], count, rng.random())
                target, below = advance(rule, world, table, stack, player, 0, action, rng)
                seen = below
                if below < 0 and rule.late and world.process == 2 and stack.node[1] < 0:
                    seen = look(world, stack.body[1])
                if seen >= 0:
                    b0 = world.info_offset[seen]
                    top = table.q[b0]
                    for b in range(b0 + 1, world.info_offset[seen + 1]):
                        top = max(top, table.q[b])
                    target += top
                slot = a0 + action
                n = table.n[slot]
                table.q[slot] = (n * table.q[slot] + target) / (n + 1)
                table.n[slot] = n + 1
                if not rule.opponent:
                    policy(rule, world, table, stack, info, stack.pi[0])
                    for a in range(count):
                        table.c[a0 + a] += stack.pi[0, a]
                stack.node[0] = stack.node[1]
                stack.body[0] = stack.body[1]
                info = below
        tick(rule, table)


@njit(**_FAST)
def outcome(rule: Any, world: Any, table: Any, stack: Any, budget: int, end: int, rng: Any) -> None:
    """Iterations of outcome sampling: one trajectory a player, valued by importance weights (section 4.5)."""
    while table.tally[1] < budget and table.tally[0] < end:
        for player in range(world.n_players):
            _, info = reset(rule, world, table, stack, player, rng)
            d = 0
            while info >= 0:
                a0 = world.info_offset[info]
                count = world.info_offset[info + 1] - a0
                stack.info[d] = info
                policy(rule, world, table, stack, info, stack.pi[d])
                for a in range(count):  # what is followed: a mixture with uniform play
                    stack.old[d, 0, a] = rule.explore / count + (1.0 - rule.explore) * stack.pi[d, a]
                action = draw(stack.old[d, 0], count, rng.random())
                stack.sampled[d] = action
                stack.reward[d, 0], info = advance(rule, world, table, stack, player, d, action, rng)
                d += 1
            reach = 1.0
            for i in range(d):
                reach *= stack.old[i, 0, stack.sampled[i]]
                stack.before[i, 0, 0] = reach
            value = 0.0
            for i in range(d - 1, -1, -1):
                info, action = stack.info[i], stack.sampled[i]
                a0 = world.info_offset[info]
                if i < d - 1:
                    later = stack.sampled[i + 1]
                    value *= stack.pi[i + 1, later] / stack.old[i + 1, 0, later]
                if i == d - 1 or not rule.late:
                    value += stack.reward[i, 0]
                table.q[a0 + action] += value / stack.before[i, 0, 0]
                for a in range(world.info_offset[info + 1] - a0):
                    table.n[a0 + a] += 1
                    if not rule.opponent:
                        table.c[a0 + a] += stack.pi[i, a]
        tick(rule, table)


@njit(**_FAST)
def rollouts(world: Any, strategy: Any, episodes: int, limit: int, rng: Any, body: Any, u: Any) -> float:
    """Mean return of the process over episodes of at most `limit` steps, by a strategy (S,) over slots."""
    total = 0.0
    for _ in range(episodes):
        for k in range(4):
            u[k] = rng.random()
        begin(world, body, u)
        for _ in range(limit):
            info = look(world, body)
            a0 = world.info_offset[info]
            count = world.info_offset[info + 1] - a0
            action = draw(strategy[a0 : a0 + count], count, rng.random())
            paid, over = act(world, body, action, rng.random())
            total += paid
            if over:
                break
    return total / episodes
