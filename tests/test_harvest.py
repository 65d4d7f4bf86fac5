"""Commons Harvest: rules against a plain reading of the specification, micro-tests, statistics, pictures.

Long, because the second reading of the rules, cell by cell, stands here.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import walras
from walras.envs.lanes import LaneRandom, clock
from walras.envs.society.commons import REGROWTH, CommonsHarvest
from walras.envs.society.harvest_map import AHEAD, SIDE, harvest_map
from walras.envs.society.harvest_theory import largest_growth, most_apples, patches

STAY, FORWARD, BACKWARD, LEFT, RIGHT, TURN_LEFT, TURN_RIGHT, ZAP = range(8)


class World:
    """One lane, stepped by lists of actions."""

    def __init__(self, game, seed=0, batch=1):
        self.game, self.at = game, clock(seed, batch)
        self.rng = LaneRandom(self.at)
        self.state = game.initial(batch, self.rng)

    def step(self, *actions):
        self.at = self.at._replace(step=self.at.step + np.uint64(1))
        given = np.broadcast_to(np.array(actions), self.state.place.shape)
        self.state, rewards = self.game.step(self.state, {"player": given}, self.rng.at(self.at))
        return rewards[0].astype(int).tolist()

    def set(self, **fields):
        self.state = self.state._replace(**{k: np.asarray(v, getattr(self.state, k).dtype) for k, v in fields.items()})


def small(rows, **parameters):
    parameters = {"zap": False, "order": "last-first", "regrowth": (0.0,), **parameters}
    return CommonsHarvest(sum(mark.isdigit() for row in rows for mark in row), level=rows, **parameters)


def bits(*cells):
    return np.array([sum(1 << cell for cell in cells)], np.uint64)


# -- the map -----------------------------------------------------------------------------------------------------------


def test_the_open_map_is_melting_pots():
    level = harvest_map("open")
    assert level.shape == (18, 24) and len(level.apples) == 64
    assert len(level.outside) == 60 and [divmod(int(c), 24) for c in level.inside] == [(7, 7), (7, 16)]
    neighbours = np.bitwise_count(level.neighbours)
    assert dict(zip(*np.unique(neighbours, return_counts=True), strict=True)) == {3: 4, 4: 20, 5: 4, 7: 32, 12: 4}
    assert sorted(len(cells) for cells in patches(level)) == [6, 6, 13, 13, 13, 13]


def test_fixed_places_are_the_follow_ups():
    world = World(walras.make("walras/FixedSpawnHarvest-v0"))
    places = [divmod(int(c), 24) for c in world.state.place[0]]
    assert places == [(13, 17), (13, 14), (7, 7), (7, 16), (13, 11), (13, 8), (13, 5)]
    assert not world.state.facing.any() and world.game.roles[0].action_space.n == 7


def test_first_places_are_two_inside_and_five_outside_all_distinct():
    game = CommonsHarvest()
    state = World(game, batch=2000).state
    assert np.isin(state.place[:, :2], game.map.inside).all() and np.isin(state.place[:, 2:], game.map.outside).all()
    assert all(len(set(row)) == 7 for row in state.place.tolist())
    assert 0.45 < (state.place[:, 0] == game.map.inside[0]).mean() < 0.55
    counts = np.bincount(state.place[:, 2:].ravel(), minlength=432)[game.map.outside]
    assert counts.min() > 100 and abs(counts.mean() - 2000 * 5 / 60) < 1e-9
    assert (np.bincount(state.facing.ravel(), minlength=4) > 3200).all()


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("opne", "one of"),
        (["####", "#A #", "###"], "one length"),
        (["####", "#A  ", "####"], "border"),
        (["####", "#  #", "####"], "1 to 64"),
        (["#####", "#A12#", "#####"], "0, 1"),
        ([1, 2], "rows of text"),
    ],
)
def test_malformed_maps_are_refused(level, words):
    with pytest.raises((ValueError, TypeError), match=words):
        CommonsHarvest(1, level=level, zap=False)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"players": 0}, "players"),
        ({"players": 63, "zap": False}, "too few"),
        ({"level": "open-fixed", "players": 8}, "digit"),
        ({"zap": 1}, "zap"),
        ({"order": "first"}, "order"),
        ({"sight": "all"}, "sight"),
        ({"regrowth": (0.0, 1.5)}, "regrowth"),
        ({"horizon": 0}, "horizon"),
    ],
)
def test_bad_parameters_are_refused_by_name(parameters, words):
    with pytest.raises(ValueError, match=words):
        CommonsHarvest(**{"players": 7, **parameters})


# -- moves -------------------------------------------------------------------------------------------------------------


def test_moves_are_relative_to_the_facing():
    game = small(["#######", "#     #", "#     #", "#  0  #", "#     #", "#A    #", "#######"])
    for facing, (down, right) in enumerate(((-1, 0), (0, 1), (1, 0), (0, -1))):
        ways = {FORWARD: (down, right), BACKWARD: (-down, -right), RIGHT: (right, -down), LEFT: (-right, down)}
        for action, (rows, columns) in ways.items():
            world = World(game)
            world.set(facing=[[facing]])
            world.step(action)
            assert divmod(int(world.state.place[0, 0]), 7) == (3 + rows, 3 + columns), (facing, action)


def test_turns_go_round():
    world = World(small(["####", "#0A#", "####"]))
    seen = []
    for action in (TURN_LEFT, TURN_LEFT, TURN_RIGHT, TURN_RIGHT, TURN_RIGHT):
        world.step(action)
        seen.append(int(world.state.facing[0, 0]))
    assert seen == [3, 2, 3, 0, 1]


def test_walls_and_players_block_and_a_cell_left_earlier_is_free():
    game = small(["######", "# 01A#", "######"])
    world = World(game)
    world.set(facing=[[1, 1]])
    assert world.step(FORWARD, FORWARD) == [0, 1]  # the last player moves first, player 0 takes its cell
    assert (world.state.place[0] == [9, 10]).all()
    world.step(FORWARD, FORWARD)
    assert (world.state.place[0] == [9, 10]).all()  # a wall ahead of player 1, player 1 ahead of player 0
    world.step(FORWARD, BACKWARD)
    assert (world.state.place[0] == [9, 10]).all()  # no swapping of places


def test_contested_apples_are_won_by_either_in_half_the_cases():
    game = small(["#####", "#0A1#", "#####"], order="random")
    world = World(game, batch=4000)
    world.set(facing=np.tile([1, 3], (4000, 1)))
    at = world.at._replace(step=world.at.step + np.uint64(1))
    _, rewards = game.step(world.state, {"player": np.full((4000, 2), FORWARD)}, world.rng.at(at))
    assert (rewards.sum(axis=1) == 1).all() and abs(rewards[:, 0].mean() - 0.5) < 0.03


def test_the_order_of_moves_is_uniform_over_permutations():
    """Three players around one apple: whoever is first of them takes it; and the order is drawn anew in each step."""
    game = small(["#####", "# 0 #", "#1A2#", "#####"], order="random")
    world = World(game, batch=6000)
    world.set(facing=np.tile([2, 1, 3], (6000, 1)))
    at = world.at._replace(step=world.at.step + np.uint64(1))
    _, rewards = game.step(world.state, {"player": np.full((6000, 3), FORWARD)}, world.rng.at(at))
    assert np.abs(rewards.mean(axis=0) - 1 / 3).max() < 0.025


# -- apples ------------------------------------------------------------------------------------------------------------


def test_an_isolated_apple_never_comes_back():
    world = World(small(["#########", "#0A    A#", "#########"], regrowth=(0.0, 1.0)))
    world.set(facing=[[1]])
    assert world.step(FORWARD) == [1]
    for _ in range(300):
        assert world.step(STAY) == [0]
    assert world.game.ripe(world.state)[0] == 1


@pytest.mark.parametrize(
    ("offset", "counts"),
    [((0, 2), True), ((1, 1), True), ((2, 0), True), ((0, 1), True), ((1, 2), False), ((0, 3), False), ((2, 2), False)],
)
def test_neighbours_lie_within_euclidean_distance_two(offset, counts):
    rows = [list("#" * 8)] + [list("#      #") for _ in range(6)] + [list("#" * 8)]
    rows[2][2] = "A"
    rows[2 + offset[0]][2 + offset[1]] = "A"
    rows[2][1] = "0"
    world = World(small(["".join(row) for row in rows], regrowth=(0.0, 1.0)))
    world.set(facing=[[1]])
    assert world.step(FORWARD) == [1]
    assert [world.step(STAY) for _ in range(4)] == ([[0], [1], [0], [1]] if counts else [[0]] * 4)


def test_an_apple_that_sprouts_under_a_player_is_eaten_at_once_every_other_step():
    world = World(small(["#####", "#0AA#", "#####"], regrowth=(0.0, 1.0)))
    world.set(facing=[[1]])
    assert [world.step(a)[0] for a in (FORWARD, *[STAY] * 7)] == [1, 0, 1, 0, 1, 0, 1, 0]


def test_a_sprout_can_be_eaten_one_step_after_it():
    world = World(small(["######", "#0 AA#", "######"], regrowth=(0.0, 1.0)))
    world.set(facing=[[1]])
    ate = [world.step(a)[0] for a in (FORWARD, FORWARD, BACKWARD, STAY, FORWARD)]
    # eaten in step 2; left in step 3; sprouts in step 4; eaten by the move of step 5
    assert ate == [0, 1, 0, 0, 1]


@pytest.mark.parametrize("ripe", [1, 2, 3, 5])
def test_the_mean_gap_between_meals_is_one_step_and_the_inverse_rate(ripe):
    """401, 201, 41 steps for one, two, three neighbours (section 3.1), over 1,000 lanes with the neighbours kept."""
    game = small(["#######", "# AAA #", "# A0A #", "# AAA #", "#######"], regrowth=REGROWTH)
    own = 3  # the cell to the left of the middle: five others lie around it
    around = [k for k in range(8) if int(game.map.neighbours[own]) >> k & 1][:ripe]
    live, lanes = np.full(1000, sum(1 << k for k in around), np.uint64), 1000
    world = World(game, batch=lanes)
    world.set(place=np.full((lanes, 1), game.map.apples[own]), live=live, fresh=np.full(lanes, 1 << own))
    mean = 1 + 1 / REGROWTH[min(ripe, 3)]
    meals, steps = 0, int(8 * mean)
    for _ in range(steps):
        world.at = world.at._replace(step=world.at.step + np.uint64(1))
        state, rewards = game.step(world.state, {"player": np.zeros((lanes, 1), int)}, world.rng.at(world.at))
        ate = rewards[:, 0] > 0
        world.state = state._replace(live=live, fresh=np.where(ate, 1 << own, 0).astype(np.uint64))
        meals += int(ate.sum())
    assert abs(meals * mean / (lanes * steps) - 1) < 4 / meals**0.5


def test_growth_uses_the_neighbours_at_the_end_of_the_step_before_last():
    """The neighbour is eaten in the very step in which the cell is drawn: it still counts."""
    rows = ["#######", "#0AA1 #", "#######"]
    world = World(small(rows, regrowth=(0.0, 1.0)))
    world.set(facing=[[1, 3]], live=bits(1), fresh=np.zeros(1, np.uint64), place=[[8, 11]])
    assert world.step(STAY, FORWARD) == [0, 1]
    assert world.state.live[0] == bits(0)[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_eaten_and_ripe_are_all_that_ever_was_ripe(seed, zap):
    """Exact conservation: eaten + ripe = 64 + sprouted, with sprouts counted cell by cell from the states."""
    game = CommonsHarvest(zap=zap, regrowth=(0.0, 0.1, 0.3, 0.6))
    world = World(game, seed=seed)
    rng = np.random.default_rng(seed)
    eaten, sprouted = 0, 0
    for _ in range(60):
        before, fresh = int(world.state.live[0]), int(world.state.fresh[0])
        ate = sum(world.step(*rng.integers(0, 8 if zap else 7, 7)))
        after, emptied = int(world.state.live[0]), int(world.state.fresh[0])
        assert not emptied & after and not fresh & (after & ~before), "a cell emptied last step may not sprout in this"
        eaten += ate
        sprouted += (after & ~before).bit_count() + (emptied & ~before).bit_count()
        assert ate == emptied.bit_count()
        assert eaten + after.bit_count() == 64 + sprouted


# -- against a plain reading of the specification ----------------------------------------------------------------------


def plain_step(rows, place, facing, away, cooling, live, fresh, actions, near):
    """Section 3.1 with sets and loops, growth left to the caller; the last player moves first."""
    ways = ((-1, 0), (0, 1), (1, 0), (0, -1))
    n = len(place)
    before, eaten, rewards = set(live), set(), [0] * n
    for i in reversed(range(n)):
        if away[i] or actions[i] == STAY:
            continue
        if actions[i] in (TURN_LEFT, TURN_RIGHT):
            facing[i] = (facing[i] + (3 if actions[i] == TURN_LEFT else 1)) % 4
        elif actions[i] != ZAP:
            turn = {FORWARD: 0, BACKWARD: 2, LEFT: 3, RIGHT: 1}[actions[i]]
            down, right = ways[(facing[i] + turn) % 4]
            cell = (place[i][0] + down, place[i][1] + right)
            if rows[cell[0]][cell[1]] != "#" and not any(place[j] == cell and not away[j] for j in range(n)):
                place[i] = cell
                if cell in live:
                    live.remove(cell)
                    eaten.add(cell)
                    rewards[i] += 1
    hit = set()
    for i in range(n):
        if away[i]:
            continue
        if cooling[i]:
            cooling[i] -= 1
        elif actions[i] == ZAP:
            cooling[i] = 2
            down, right = ways[facing[i]]
            for side in (-1, 0, 1):
                for ahead in range(0 if side else 1, 3 if side else 4):
                    cell = (place[i][0] + ahead * down + side * right, place[i][1] + ahead * right - side * down)
                    there = [j for j in range(n) if not away[j] and place[j] == cell]
                    if rows[cell[0]][cell[1]] == "#":
                        break
                    if there:
                        hit.update(there)
                        break
    for i in range(n):
        if away[i]:
            away[i] -= 1
            if away[i] == 0:
                place[i], facing[i] = None, None  # anywhere free
    for i in hit:
        away[i] = 5
    return before, eaten, rewards


@settings(max_examples=60, deadline=None)
@example(581)
@given(st.integers(0, 2**32))
def test_steps_agree_with_a_plain_reading_of_the_rules(seed):
    """Random small maps, all actions, beams and returns, with growth that is certain or impossible."""
    rng = np.random.default_rng(seed)
    grid = rng.choice(list("AA   #P"), (8, 9))
    grid[0], grid[-1], grid[:, 0], grid[:, -1] = "#", "#", "#", "#"
    free = [(r, c) for r in range(1, 7) for c in range(1, 8)]
    spots = rng.permutation(len(free))[:5]
    grid[free[spots[0]]] = "A"
    grid[free[spots[4]]] = "P"
    for i in range(3):
        grid[free[spots[1 + i]]] = str(i)
    rows = ["".join(row) for row in grid]
    growth = (0.0, *rng.integers(0, 2, 3).astype(float).tolist())
    game = small(rows, zap=True, regrowth=growth)
    world, wide = World(game, seed=seed % 1000), 9
    cells = [divmod(int(c), wide) for c in game.map.apples]
    near = {a: {b for b in cells if a != b and (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 <= 4} for a in cells}
    place = [divmod(int(c), wide) for c in world.state.place[0]]
    facing, away, cooling, live, fresh = [0] * 3, [0] * 3, [0] * 3, set(cells), set()
    for _ in range(40):
        actions = rng.choice([0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 7], 3).tolist()
        before, eaten, rewards = plain_step(rows, place, facing, away, cooling, live, fresh, actions, near)
        got = world.step(*actions)
        state = world.state
        for i in range(3):
            if place[i] is None:
                place[i], facing[i] = divmod(int(state.place[0, i]), wide), int(state.facing[0, i])
                if state.away[0, i]:  # there was no room: it tries again in the next step
                    away[i] = 1
                    stood = {place[j] for j in range(3) if j != i and away[j] in (0, 5)}
                    assert {cell for cell in free if rows[cell[0]][cell[1]] == "P"} <= stood
                else:
                    assert rows[place[i][0]][place[i][1]] == "P"
        for cell in cells:
            k = min(len(near[cell] & before), len(growth) - 1)
            if cell not in before and cell not in fresh and growth[k] == 1.0:
                under = [i for i in range(3) if not away[i] and place[i] == cell]
                if under:
                    rewards[under[0]] += 1
                    eaten.add(cell)
                else:
                    live.add(cell)
        fresh = eaten
        assert got == rewards
        assert [divmod(int(c), wide) for c in state.place[0]] == place and state.facing[0].tolist() == facing
        assert state.away[0].tolist() == away and state.cooling[0].tolist() == cooling
        assert {cells[k] for k in range(len(cells)) if int(state.live[0]) >> k & 1} == live
        assert {cells[k] for k in range(len(cells)) if int(state.fresh[0]) >> k & 1} == fresh


# -- beams -------------------------------------------------------------------------------------------------------------


def test_a_player_who_is_hit_misses_four_frames_and_comes_back_outside():
    rows = ["#######", "#  1  #", "#     #", "#  0  #", "#A P P#", "#######"]
    world = World(small(rows, zap=True))
    world.step(ZAP, STAY)
    missing = []
    while world.state.away[0, 1]:
        missing.append(int(world.state.away[0, 1]))
        assert (world.game.view(world.state)[0, 1] == 1).all() and world.game.ready(world.state)[0, 1] == 0
        world.step(STAY, FORWARD)
    assert missing == [5, 4, 3, 2, 1]
    assert int(world.state.place[0, 1]) in world.game.map.outside


def test_beams_reach_three_ahead_and_two_ahead_of_the_cells_beside():
    rows = ["#########", "#       #", "#       #", "#       #", "#       #", "#   0   #", "#A1    P#", "#########"]
    game = small(rows, zap=True)
    reached = set()
    for cell in range(72):
        if game.map.wall[cell] or cell == 49:
            continue
        world = World(game)
        world.set(place=[[49, cell]])
        world.step(ZAP, STAY)
        if world.state.away[0, 1]:
            row, column = divmod(cell, 9)
            reached.add((row - 5, column - 4))
    assert reached == {(-1, 0), (-2, 0), (-3, 0)} | {(-k, side) for side in (-1, 1) for k in range(3)}


def test_two_players_may_hit_each_other_and_a_beam_takes_two_steps_to_cool():
    rows = ["#####", "#P1P#", "#   #", "#A0 #", "#####"]
    world = World(small(rows, zap=True))
    world.set(facing=[[0, 2]])
    world.step(ZAP, ZAP)
    assert (world.state.away[0] == 5).all()
    world = World(small(["#####", "#P 1#", "#   #", "#A0 #", "#####"], zap=True))
    world.set(facing=[[2, 0]])
    ready = []
    for _ in range(5):
        world.step(ZAP, STAY)
        ready.append(float(world.game.ready(world.state)[0, 0]))
    assert ready == [0.0, 0.5, 1.0, 0.0, 0.5]


# -- views -------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_views_agree_with_cutting_and_turning_the_map(seed):
    game = CommonsHarvest(regrowth=(0.0, 0.02, 0.04, 0.2))
    world, rng = World(game, seed=seed % 10_000, batch=3), np.random.default_rng(seed)
    for _ in range(int(rng.integers(1, 60))):
        world.at = world.at._replace(step=world.at.step + np.uint64(1))
        world.state, _ = game.step(world.state, {"player": rng.integers(0, 8, (3, 7))}, world.rng.at(world.at))
    view = game.view(world.state)
    for lane in range(3):
        live = int(world.state.live[lane])
        grid = game.map.wall.astype(int)
        for k, cell in enumerate(game.map.apples):
            near = live & int(game.map.neighbours[k])
            grid[cell] = 2 if live >> k & 1 else 5 if near else 0
        here = world.state.away[lane] == 0
        grid[world.state.place[lane][here]] = 3
        for i in range(7):
            if not here[i]:
                assert (view[lane, i] == 1).all()
                continue
            row, column = divmod(int(world.state.place[lane, i]), 24)
            wide = np.pad(grid.reshape(18, 24), 12, constant_values=1)
            wide[row + 12, column + 12] = 4
            around = np.rot90(wide[row : row + 25, column : column + 25], int(world.state.facing[lane, i]))
            np.testing.assert_array_equal(
                view[lane, i], around[12 - AHEAD : 12 + 2, 12 - SIDE : 12 + SIDE + 1], err_msg=f"lane {lane} player {i}"
            )
    seen = game.nearby(world.state)
    others = (view == 3).sum(axis=(2, 3))
    np.testing.assert_array_equal(seen.sum(axis=2), others)


def test_pictures_have_melting_pots_sizes_and_turn_with_the_player():
    from walras.envs.society.harvest_view import draw_view

    world = World(CommonsHarvest(), seed=3)
    assert world.game.render_rgb(world.state).shape == (144, 192, 3)
    world.set(facing=[[0, 1, 2, 3, 0, 1, 2]])
    for i in range(7):
        picture = draw_view(world.game, world.state, i)
        assert picture.shape == (88, 88, 3) and picture.dtype == np.uint8
        row, column = divmod(int(world.state.place[0, i]), 24)
        own = world.game.render_rgb(world.state)[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        drawn = picture[8 * AHEAD : 8 * AHEAD + 8, 8 * SIDE : 8 * SIDE + 8]
        np.testing.assert_array_equal(drawn, np.rot90(own, int(world.state.facing[0, i])))
        dark = (picture.reshape(11, 8, 11, 8, 3) == (24, 24, 28)).all(axis=(1, 3, 4))
        inside = np.pad(np.zeros((18, 24), bool), 12, constant_values=True)
        around = np.rot90(inside[row : row + 25, column : column + 25], int(world.state.facing[0, i]))
        np.testing.assert_array_equal(dark, around[3:14, 7:18])


def test_films_are_animated(tmp_path):
    from PIL import Image

    from walras.envs.society.harvest_view import save_film

    world = World(CommonsHarvest(), seed=3)
    states = [world.state]
    for _ in range(4):
        world.step(*[FORWARD] * 7)
        states.append(world.state)
    assert save_film(world.game, states, tmp_path / "film.gif", scale=1) == 5
    with Image.open(tmp_path / "film.gif") as film:
        assert film.size == (192, 144) and film.n_frames == 5
    with pytest.raises(ValueError, match="at least one"):
        save_film(world.game, [], tmp_path / "none.gif")


def test_text_shows_players_apples_and_who_is_away():
    rows = ["######", "#0A 1#", "#A  P#", "######"]
    world = World(small(rows, zap=True))
    world.set(facing=[[1, 3]])
    assert "#>A <#" in world.game.render_text(world.state)
    world.step(ZAP, STAY)
    assert "player_1 away for 5 steps" in world.game.render_text(world.state)


# -- whole episodes ----------------------------------------------------------------------------------------------------


def test_the_largest_growth_is_that_of_corners_and_diamonds():
    level = harvest_map("open")
    assert largest_growth(level, REGROWTH) == pytest.approx(0.91)
    assert most_apples(level, REGROWTH, 1000) == pytest.approx(972.18)
    assert CommonsHarvest().truths()[1].value == pytest.approx(138.88, abs=0.01)


@pytest.mark.parametrize(
    ("parameters", "mean", "room"),
    [({}, 141.3, 10.0), ({"zap": False}, 182.0, 10.0), (None, 190.6, 6.0)],
    ids=["8 actions", "7 actions", "follow-up"],
)
def test_random_play_eats_as_much_as_in_melting_pot(parameters, mean, room):
    from walras.agents.harvest import harvest_totals

    game = walras.make("walras/FixedSpawnHarvest-v0") if parameters is None else CommonsHarvest(**parameters)
    total = harvest_totals(game, None, episodes=400, seed=5).sum(axis=1).mean()
    assert abs(total - mean) < room


@pytest.mark.parametrize(("k", "mean"), [(0, 67.5), (1, 119.0), (3, 574.2), (4, 546.2)])
def test_restraint_pays_as_specified(k, mean):
    from walras.agents.harvest import harvest_totals

    totals = harvest_totals(CommonsHarvest(zap=False, sight="world"), k, episodes=100, seed=2)
    assert abs(totals.sum(axis=1).mean() / mean - 1) < 0.05
    assert totals.sum(axis=1).max() < 972.2


def test_episodes_end_at_random_as_in_melting_pot():
    game = CommonsHarvest(2, zap=False, random_end=True)
    assert game.horizon == 5000
    played = walras.play(game, "zero", batch=400, seed=1)
    assert played.lengths.min() == 1000 and (played.lengths % 100 == 0).all()
    assert abs((played.lengths == 1000).mean() - 0.15) < 0.06


def test_restraint_refuses_what_it_cannot_play():
    from walras.agents.harvest import Restraint, restraint

    with pytest.raises(ValueError, match="k must"):
        Restraint(13)
    with pytest.raises(ValueError, match="view"):
        restraint(walras.make("walras/PrisonersDilemma-v0"), "player_0")
    assert restraint(CommonsHarvest(), "player_0", 2) == Restraint(2)


def test_the_pages_blocks_run_in_their_order(capsys):
    page = (Path(__file__).resolve().parents[1] / "docs" / "harvest.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "harvest.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "(144, 192, 3) (88, 88, 3)" in printed and "(64, 7, 11, 11) (64, 7)" in printed
