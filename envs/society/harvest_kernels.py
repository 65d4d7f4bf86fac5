"""Compiled loops of the harvest worlds: dealing, one step, and the players' windows. Imported at the first game.

Lanes are played one after the other, everything inside a lane as written in section 3.1 of arXiv 2402.14090's
experiment (Melting Pot 2.4, commons_harvest). A lane's random numbers come from SplitMix64 (Steele, Lea and Flood
2014), begun anew in every step from two of the lane's own uniforms: a step takes a varying count of numbers, and the
lanes must not notice. Arrays are as in `HarvestState`; tables as in `HarvestMap`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

GONE = 5
"""Steps until a player who was zapped is back: it misses 4 whole frames and comes back in the next one."""
COOLDOWN = 2
"""Steps after a zap in which a player cannot zap."""
BEAM = 3
"""Length of the beam; the rays beside it begin at the player's side and reach as far less one."""

_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 1.0 / 9007199254740992.0
# Where a move goes, in quarter turns from the way the player faces: forward, backward, left, right.
_TURN = np.array([0, 0, 2, 3, 1], np.int64)


@njit(cache=True, inline="always")
def _begin(u: Any) -> Any:
    """State of SplitMix64 from two uniforms: 32 bits of each."""
    return (np.uint64(u[0] * 4294967296.0) << np.uint64(32)) | np.uint64(u[1] * 4294967296.0)


@njit(cache=True, inline="always")
def _draw(s: Any) -> Any:
    """The uniform in [0, 1) of state `s`; the next state is `s + _GOLDEN`."""
    z = s + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * _TO_UNIT


@njit(cache=True, inline="always")
def count(word: Any) -> Any:
    """How many bits of a uint64 are set."""
    x = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True)
def deal(u: Any, inside: Any, outside: Any, place: Any, facing: Any) -> None:
    """First places and directions: the first players inside in random order, the others on distinct cells outside.

    Args:
        u: (B, 2) uniforms.
        inside: (I,) cells.
        outside: (O,) cells, at least as many as players who find no place inside.
        place: (B, n) written.
        facing: (B, n) written.
    """
    lanes, n = place.shape
    within, without = inside.copy(), outside.copy()
    for b in range(lanes):
        s = _begin(u[b])
        within[:] = inside
        without[:] = outside
        for i in range(n):
            if i < len(inside):
                k = i + int(_draw(s) * (len(inside) - i))
                within[i], within[k] = within[k], within[i]
                place[b, i] = within[i]
            else:
                j = i - len(inside)
                k = j + int(_draw(s) * (len(outside) - j))
                without[j], without[k] = without[k], without[j]
                place[b, i] = without[j]
            s += _GOLDEN
            facing[b, i] = int(_draw(s) * 4)
            s += _GOLDEN


@njit(cache=True, inline="always")
def _ray(at: Any, step: Any, length: Any, wall: Any, taken: Any, hit: Any) -> None:
    """A ray of `length` cells from `at` on, until a wall or a player, who is hit."""
    for _ in range(length):
        if wall[at]:
            return
        if taken[at] != 0:
            hit[taken[at] - 1] = True
            return
        at += step


@njit(cache=True)
def step(
    u: Any, actions: Any, wall: Any, apples: Any, apple_at: Any, neighbours: Any, outside: Any, steps: Any,
    growth: Any, skip: Any, shuffled: bool,
    place: Any, facing: Any, away: Any, cooling: Any, live: Any, fresh: Any, rewards: Any,
) -> None:  # fmt: skip
    """One step of B lanes: moves in random order, zaps, returns, regrowth.

    Args:
        u: (B, 2) uniforms.
        actions: (B, n) int.
        wall: of the map, like the next five.
        apples: of the map.
        apple_at: of the map.
        neighbours: of the map.
        outside: of the map.
        steps: of the map.
        growth: (K,) probability of sprouting with k ripe neighbours, over the largest of them; the last for more.
        skip: (A + 1,) powers of one minus the largest probability: all but the cells it skips are looked at.
        shuffled: players move in a fresh random order, or else the last one first.
        place: of the state before, overwritten with that after, like the next five.
        facing: of the state.
        away: of the state.
        cooling: of the state.
        live: of the state.
        fresh: of the state.
        rewards: (B, n) zeros, written: apples eaten.
    """
    lanes, n = place.shape
    cells, classes = len(apples), len(growth)
    taken = np.zeros(len(wall), np.int8)
    order = np.empty(n, np.int64)
    hit = np.zeros(n, np.bool_)
    for b in range(lanes):
        s = _begin(u[b])
        before, ripe = live[b], live[b]
        eaten = _ZERO
        for i in range(n):
            order[i] = n - 1 - i
            if away[b, i] == 0:
                taken[place[b, i]] = i + 1
        if shuffled:
            for i in range(n - 1, 0, -1):
                k = int(_draw(s) * (i + 1))
                s += _GOLDEN
                order[i], order[k] = order[k], order[i]

        zapped = False
        for t in range(n):
            i = order[t]
            if away[b, i] > 0:
                continue
            a = actions[b, i]
            if a == 0:
                continue
            if a <= 4:
                target = place[b, i] + steps[(facing[b, i] + _TURN[a]) & 3]
                if wall[target] or taken[target] != 0:
                    continue
                taken[place[b, i]] = 0
                taken[target] = i + 1
                place[b, i] = target
                apple = apple_at[target]
                if apple >= 0:
                    bit = _ONE << np.uint64(apple)
                    if ripe & bit:
                        ripe ^= bit
                        eaten |= bit
                        rewards[b, i] += 1.0
            elif a == 5:
                facing[b, i] = (facing[b, i] + 3) & 3
            elif a == 6:
                facing[b, i] = (facing[b, i] + 1) & 3

        # All beams are cast on the places after the moves: two players may zap each other (Melting Pot's queue removes
        # those who are hit after the last beam).
        for i in range(n):
            if away[b, i] > 0:
                continue
            if cooling[b, i] > 0:
                cooling[b, i] -= 1
            elif actions[b, i] == 7:
                cooling[b, i] = COOLDOWN
                ahead = steps[facing[b, i]]
                for turn in (3, 1):
                    _ray(place[b, i] + steps[(facing[b, i] + turn) & 3], ahead, BEAM, wall, taken, hit)
                _ray(place[b, i] + ahead, ahead, BEAM, wall, taken, hit)
                zapped = True

        for i in range(n):
            if away[b, i] == 0:
                continue
            away[b, i] -= 1
            if away[b, i] > 0:
                continue
            free = 0
            for k in range(len(outside)):
                if taken[outside[k]] == 0:
                    free += 1
            if free == 0:
                away[b, i] = 1  # the next step may have room
                continue
            chosen = int(_draw(s) * free)
            s += _GOLDEN
            for k in range(len(outside)):
                if taken[outside[k]] == 0:
                    if chosen == 0:
                        place[b, i] = outside[k]
                        break
                    chosen -= 1
            taken[place[b, i]] = i + 1
            facing[b, i] = int(_draw(s) * 4)
            s += _GOLDEN
        if zapped:
            for i in range(n):
                if hit[i]:
                    hit[i] = False
                    taken[place[b, i]] = 0
                    away[b, i] = GONE

        # A cell that is empty since the step before last sprouts by the neighbours it had at the end of the last step.
        # Each is looked at with the largest probability, by leaps over those that are not, and sprouts with its share.
        idle = before | fresh[b]
        at = -1
        while True:
            x = _draw(s)
            s += _GOLDEN
            at += 1
            least, most = 0, cells + 1 - at  # the leap is the number of powers, the first left out, above x
            while most - least > 1:
                middle = (least + most) >> 1
                if skip[middle] > x:
                    least = middle
                else:
                    most = middle
            at += least
            if at >= cells:
                break
            bit = _ONE << np.uint64(at)
            if idle & bit:
                continue
            k = min(count(before & neighbours[at]), classes - 1)
            x = _draw(s)
            s += _GOLDEN
            if x < growth[k]:
                who = taken[apples[at]]
                if who != 0:
                    rewards[b, who - 1] += 1.0
                    eaten |= bit
                else:
                    ripe |= bit
        live[b] = ripe
        fresh[b] = eaten
        for i in range(n):
            taken[place[b, i]] = 0


@njit(cache=True)
def views(
    padded: Any, width: int, pad: int, apples: Any, neighbours: Any, window: Any, middle: int,
    place: Any, facing: Any, away: Any, live: Any, view: Any,
) -> None:  # fmt: skip
    """What the players of B lanes see, by class.

    Args:
        padded: (H + 2 pad, W + 2 pad) int8, 1 at walls and around the map.
        width: W.
        pad: cells around the map.
        apples: of the map.
        neighbours: of the map.
        window: of the map.
        middle: which cell of the window is the player's own.
        place: of the state.
        facing: of the state.
        away: of the state.
        live: of the state.
        view: (B, n, 121) int8, written; all 1 (outside) for players who are away.
    """
    lanes, n = place.shape
    wide = width + 2 * pad
    grid = padded.copy().ravel()
    where = np.empty(len(apples), np.int64)
    for k in range(len(apples)):
        where[k] = (apples[k] // width + pad) * wide + apples[k] % width + pad
    at = np.empty(n, np.int64)
    for b in range(lanes):
        word = live[b]
        for k in range(len(apples)):
            if (word >> np.uint64(k)) & _ONE:
                grid[where[k]] = 2
            else:
                grid[where[k]] = 5 if word & neighbours[k] else 0
        for i in range(n):
            at[i] = (place[b, i] // width + pad) * wide + place[b, i] % width + pad
            if away[b, i] == 0:
                grid[at[i]] = 3
        for i in range(n):
            row = view[b, i]
            if away[b, i] > 0:
                row[:] = 1
                continue
            cells = window[facing[b, i]]
            for c in range(len(cells)):
                row[c] = grid[at[i] + cells[c]]
            row[middle] = 4
        for i in range(n):
            grid[at[i]] = 0  # floor; the apple cells are written anew


@njit(cache=True)
def worlds(
    wall: Any, apples: Any, neighbours: Any, place: Any, away: Any, live: Any, world: Any
) -> None:  # fmt: skip
    """The whole map by the classes of a view, for each player of B lanes: `world` (B, n, H * W) int8, written."""
    lanes, n = place.shape
    for b in range(lanes):
        first = world[b, 0]
        for c in range(len(wall)):
            first[c] = 1 if wall[c] else 0
        word = live[b]
        for k in range(len(apples)):
            if (word >> np.uint64(k)) & _ONE:
                first[apples[k]] = 2
            elif word & neighbours[k]:
                first[apples[k]] = 5
        for i in range(n):
            if away[b, i] == 0:
                first[place[b, i]] = 3
        for i in range(1, n):
            world[b, i] = first
        for i in range(n):
            if away[b, i] == 0:
                world[b, i, place[b, i]] = 4
