"""Lane random numbers: numpy's Philox row by row, the same for every batch, and as random as numbers should be."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from walras.envs.lanes import WORLD, Clock, LaneRandom, clock, part

WORD = st.integers(0, 2**32 - 2)


def at(now, episode=0, step=0):
    """The clock at another moment."""
    return now._replace(
        episode=np.full_like(now.episode, episode),
        step=np.full_like(now.step, step),
    )


def numpy_row(now, i, call, stream, size):
    """Row `i` of a call as `numpy.random.Philox` gives it, by the formula in the class's docstring."""
    counter = [0, call + stream * 2**32, int(now.step[i]), int(now.lane[i]) + int(now.episode[i]) * 2**32]
    return np.random.Generator(np.random.Philox(key=now.key[i], counter=np.array(counter, np.uint64))).random(size)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**70),
    lane=st.integers(0, 2**31),
    episode=WORD,
    step=WORD,
    stream=st.integers(0, 40),
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_every_row_of_every_call_is_numpy_philox_with_the_documented_key_and_counter(
    seed, lane, episode, step, stream, widths
):
    now = at(clock(seed, 3, lane), episode, step)
    np.testing.assert_array_equal(now.key[0], np.random.SeedSequence(seed).generate_state(2, np.uint64))
    rng = LaneRandom(now, stream)
    for call, width in enumerate(widths):
        drawn = rng.random((3, width))
        for i in range(3):
            np.testing.assert_array_equal(drawn[i], numpy_row(now, i, call, stream, width))


def test_lanes_of_a_batch_are_consecutive_numbers_of_one_seed():
    assert clock(5, 4, lane=7).lane.tolist() == [7, 8, 9, 10]
    assert clock(5, 2).episode.tolist() == clock(5, 2).step.tolist() == [0, 0]


def test_a_list_of_seeds_makes_every_lane_lane_zero_of_its_own_seed():
    drawn = LaneRandom(clock([8, 3, 8], 3)).random((3, 5))
    for i, seed in enumerate((8, 3, 8)):
        np.testing.assert_array_equal(drawn[i], LaneRandom(clock(seed, 1)).random((1, 5))[0])


def test_a_lane_does_not_depend_on_the_batch_it_runs_in():
    whole = LaneRandom(clock(1, 100)).random((100, 3))
    np.testing.assert_array_equal(LaneRandom(clock(1, 7, lane=40)).random((7, 3)), whole[40:47])
    np.testing.assert_array_equal(LaneRandom(clock(1, 1)).random((1, 3)), whole[:1])


def test_a_subset_of_lanes_receives_its_own_rows():
    now = clock(1, 20)
    index = np.array([2, 3, 11])
    part = LaneRandom(Clock(*(word[index] for word in now))).random((3, 6))
    np.testing.assert_array_equal(part, LaneRandom(now).random((20, 6))[index])


def test_the_shape_of_a_call_does_not_change_the_order_of_its_numbers():
    flat = LaneRandom(clock(2, 3)).random((3, 12))
    np.testing.assert_array_equal(LaneRandom(clock(2, 3)).random((3, 4, 3)), flat.reshape(3, 4, 3))
    np.testing.assert_array_equal(LaneRandom(clock(2, 3)).random(3), flat[:, 0])
    assert LaneRandom(clock(2, 3)).random((3, 0)).shape == (3, 0)


def test_a_longer_call_begins_with_the_numbers_of_a_shorter_one():
    for width in range(1, 9):
        short = LaneRandom(clock(2, 2)).random((2, width))
        np.testing.assert_array_equal(short, LaneRandom(clock(2, 2)).random((2, 11))[:, :width])


def test_calls_streams_steps_episodes_lanes_and_seeds_give_different_numbers():
    now = clock(0, 2)
    rng = LaneRandom(now)
    draws = [rng.random((2, 4)), rng.random((2, 4))]
    draws += [LaneRandom(now, stream).random((2, 4)) for stream in (1, 2, 3)]
    draws += [LaneRandom(at(now, step=t)).random((2, 4)) for t in (1, 2)]
    draws += [LaneRandom(at(now, episode=e)).random((2, 4)) for e in (1, 2)]
    draws += [LaneRandom(clock(0, 2, lane=2)).random((2, 4)), LaneRandom(clock(1, 2)).random((2, 4))]
    numbers = np.concatenate([draw.ravel() for draw in draws])
    assert len(np.unique(numbers)) == numbers.size


def test_moving_to_a_moment_starts_counting_calls_anew():
    now = clock(3, 4)
    rng = LaneRandom(now, stream=2)
    first, second = rng.random((4, 2)), rng.random((4, 2))
    assert (first != second).all()
    assert rng.at(now) is rng
    np.testing.assert_array_equal(rng.random((4, 2)), first)
    np.testing.assert_array_equal(rng.random((4, 2)), second)


@pytest.mark.parametrize(
    "name",
    ["normal", "integers", "choice", "exponential", "permutation", "shuffle", "uniform", "standard_normal", "bytes"],
)
def test_other_samplers_are_refused_with_advice(name):
    rng = LaneRandom(clock(0, 2))
    with pytest.raises(TypeError, match=rf"rng\.{name} .*neighbours.*rng\.random\(\(batch, \.\.\.\)\).*inverse CDF"):
        getattr(rng, name)(3)


def test_no_sampler_of_numpy_is_left_open():
    rng = LaneRandom(clock(0, 2))
    samplers = {n for n in dir(np.random.Generator) if not n.startswith("_")} - {"random", "bit_generator", "spawn"}
    assert len(samplers) > 40
    for name in samplers:
        with pytest.raises(TypeError, match=name):
            getattr(rng, name)()


@pytest.mark.parametrize("size", [None, 1, 3, (3,), (1, 2), (4, 2), ()])
def test_a_first_axis_that_is_not_the_lanes_is_refused(size):
    with pytest.raises(ValueError, match=r"size: the first axis must be the 2 lanes"):
        LaneRandom(clock(0, 2)).random(size)


def test_a_refused_call_does_not_count():
    rng, twin = LaneRandom(clock(0, 2)), LaneRandom(clock(0, 2))
    with pytest.raises(ValueError, match="size"):
        rng.random((3, 1))
    np.testing.assert_array_equal(rng.random((2, 1)), twin.random((2, 1)))


def test_other_dtypes_and_output_arrays_are_refused():
    rng = LaneRandom(clock(0, 2))
    with pytest.raises(TypeError, match="float64"):
        rng.random((2,), dtype=np.float32)
    with pytest.raises(TypeError, match="out"):
        rng.random((2,), out=np.zeros(2))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0, 0), "batch"),
        ((0, -3), "batch"),
        ((0, 2.5), "batch"),
        ((0, 2, 1.5), "lane"),
        ((-1, 2), "seed"),
        ((1.5, 2), "seed"),
        ((True, 2), "seed"),
        (([1, 2, 3], 2), "seed"),
        (([1, -2], 2), "seed"),
        ((0, 2, -1), "lane"),
        ((0, 2, 2**32 - 2), "lane"),
    ],
)
def test_a_clock_refuses_what_is_out_of_range_by_name(arguments, named):
    with pytest.raises(ValueError, match=rf"^{named}\b"):
        clock(*arguments)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda rng: pickle.loads(pickle.dumps(rng))])
def test_copies_and_pickles_go_on_where_the_original_stands(clone):
    rng = LaneRandom(at(clock(9, 3), 2, 5), stream=4)
    rng.random((3, 2))
    other = clone(rng)
    assert type(other) is LaneRandom and other.stream == 4
    for width in (1, 5):
        np.testing.assert_array_equal(other.random((3, width)), rng.random((3, width)))


def test_it_is_a_numpy_generator():
    assert isinstance(LaneRandom(clock(0, 1), WORLD), np.random.Generator)


def test_numbers_are_uniform_along_every_coordinate():
    along = {
        "position": LaneRandom(clock(0, 1)).random((1, 20_000))[0],
        "lane": LaneRandom(clock(0, 20_000)).random(20_000),
        "seed": LaneRandom(clock(list(range(5_000)), 5_000)).random(5_000),
        "step": np.array([LaneRandom(at(clock(0, 1), step=t)).random(1)[0] for t in range(2_000)]),
        "episode": np.array([LaneRandom(at(clock(0, 1), episode=e)).random(1)[0] for e in range(2_000)]),
        "stream": np.array([LaneRandom(clock(0, 1), stream=k).random(1)[0] for k in range(2_000)]),
    }
    rng = LaneRandom(clock(0, 1))
    along["call"] = np.array([rng.random(1)[0] for _ in range(2_000)])
    for name, numbers in along.items():
        assert numbers.min() >= 0.0 and numbers.max() < 1.0
        assert stats.kstest(numbers, "uniform").pvalue > 1e-3, name


def test_neighbours_are_uncorrelated():
    size = 20_000
    here = LaneRandom(clock(0, size)).random((size, 4))
    pairs = {
        "next lane": (here[:-1, 0], here[1:, 0]),
        "next position": (here[:, 0], here[:, 1]),
        "next block": (here[:, 0], LaneRandom(clock(0, size)).random((size, 8))[:, 4]),
        "next step": (here[:, 0], LaneRandom(at(clock(0, size), step=1)).random(size)),
        "next episode": (here[:, 0], LaneRandom(at(clock(0, size), episode=1)).random(size)),
        "next seed": (here[:, 0], LaneRandom(clock(1, size)).random(size)),
        "a seat's policy": (here[:, 0], LaneRandom(clock(0, size), stream=1).random(size)),
    }
    for name, (a, b) in pairs.items():
        assert abs(stats.pearsonr(a, b).statistic) < 4.5 / np.sqrt(len(a)), name
        assert abs(stats.pearsonr((a - 0.5) ** 2, (b - 0.5) ** 2).statistic) < 4.5 / np.sqrt(len(a)), name


def test_a_part_of_the_lanes_draws_what_these_lanes_draw_in_numbers_of_its_own():
    whole = LaneRandom(clock(5, 6))
    first, second = part(whole, fork=0).random((6, 3)), part(whole, fork=1).random((6, 3))
    np.testing.assert_array_equal(part(whole, np.array([1, 4]), fork=1).random((2, 3)), second[[1, 4]])
    assert len(np.unique(np.concatenate([whole.random((6, 3)), first, second]))) == 54
    plain = np.random.default_rng(0)
    assert part(plain, np.array([0])) is plain
