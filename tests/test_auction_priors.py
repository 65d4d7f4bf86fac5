"""Laws and priors: distribution functions against each other, against quadrature and against samples."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from walras.envs.auctions import theory
from walras.envs.auctions.ironing import iron
from walras.envs.auctions.priors import (
    PRESETS,
    Beta,
    Contextual,
    Discrete,
    Exponential,
    Independent,
    ParetoTail,
    PiecewiseUniform,
    Power,
    Prior,
    Triangle,
    TwoPoint,
    Uniform,
    irregular,
    law_from_dict,
    prior,
    prior_from_dict,
)

SMOOTH = [
    Uniform(),
    Uniform(2.0, 5.0),
    Power(2.5, 3.0),
    Power(0.6),
    Exponential(2.0),
    Beta(1.0, 2.0),
    Beta(0.5, 0.5),
    Beta(3.0, 2.0),
    ParetoTail(5.0),
    irregular(),
    PiecewiseUniform((0.0, 1.0, 2.0, 4.0), (0.5, 0.0, 0.5)),
]
ATOMIC = [TwoPoint(3.0, 7.0, 0.6), Discrete((1.0, 2.0, 4.0), (0.2, 0.3, 0.5)), Discrete((0.0,), (1.0,))]
U = np.linspace(0.0005, 0.9995, 401)


@st.composite
def piecewise_laws(draw):
    widths = draw(st.lists(st.floats(0.1, 3.0), min_size=1, max_size=5))
    masses = draw(st.lists(st.floats(0.05, 1.0), min_size=len(widths), max_size=len(widths)))
    edges = draw(st.floats(0.0, 2.0)) + np.concatenate(([0.0], np.cumsum(widths)))
    return PiecewiseUniform(tuple(edges), tuple(np.array(masses) / sum(masses)))


@pytest.mark.parametrize("law", SMOOTH, ids=repr)
def test_the_quantile_function_inverts_the_distribution_function(law):
    np.testing.assert_allclose(law.cdf(law.ppf(U)), U, atol=1e-9)
    assert np.all(np.diff(law.ppf(U)) >= 0.0)
    assert np.all((law.ppf(U) >= law.low) & (law.ppf(U) <= law.high))


@pytest.mark.parametrize("law", SMOOTH, ids=repr)
def test_the_density_integrates_to_the_distribution_function_and_the_mean_agrees(law):
    for u in (0.2, 0.7):
        point = float(law.ppf(u))
        kinks = [edge for edge in getattr(law, "edges", ()) if law.low < edge < point] or None
        mass, _ = integrate.quad(lambda x: float(law.pdf(x)), law.low, point, points=kinks, limit=200)
        assert mass == pytest.approx(u, abs=1e-6)
    mean, _ = integrate.quad(lambda u: float(law.ppf(u)), 0.0, 1.0, limit=400)
    assert mean == pytest.approx(law.mean, rel=1e-5)


@pytest.mark.parametrize("law", ATOMIC, ids=repr)
def test_atoms_have_their_probabilities_in_every_function(law):
    atoms, chances = np.array(law.atoms), np.array(law.probabilities)
    np.testing.assert_allclose(law.cdf(atoms), np.cumsum(chances))
    np.testing.assert_allclose(law.pdf(atoms), chances)
    u = (np.arange(100_000) + 0.5) / 100_000
    draws = law.ppf(u)
    np.testing.assert_allclose([(draws == atom).mean() for atom in atoms], chances, atol=1e-5)
    assert law.mean == pytest.approx(draws.mean(), abs=1e-4)
    assert (law.low, law.high) == (atoms[0], atoms[-1])


def test_laws_agree_with_scipy():
    x = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(Beta(2.0, 3.0).cdf(x), stats.beta(2, 3).cdf(x))
    np.testing.assert_allclose(Beta(2.0, 3.0).pdf(x), stats.beta(2, 3).pdf(x))
    np.testing.assert_allclose(Exponential(2.0).cdf(x), stats.expon(scale=2).cdf(x))
    np.testing.assert_allclose(ParetoTail(5.0).cdf(x), stats.lomax(5).cdf(x))
    np.testing.assert_allclose(ParetoTail(5.0).ppf(x), (1 - x) ** (-1 / 5) - 1)
    np.testing.assert_allclose(Power(3.0, 2.0).cdf(x), stats.powerlaw(3, scale=2).cdf(x))


@pytest.mark.parametrize("law", SMOOTH, ids=repr)
def test_the_virtual_value_is_the_slope_of_the_revenue_curve(law):
    v = law.ppf(np.array([0.15, 0.55, 0.85]))
    step = 1e-6 * (v + 1.0)
    low, high = v - step, v + step
    slope = -(high * (1.0 - law.cdf(high)) - low * (1.0 - law.cdf(low))) / (law.cdf(high) - law.cdf(low))
    np.testing.assert_allclose(law.virtual_value(v), slope, rtol=1e-3, atol=1e-3)


def test_a_mixture_of_overlapping_uniform_laws_has_the_mixed_distribution():
    parts = [(0.0, 3.0, 0.5), (1.0, 2.0, 0.25), (2.5, 6.0, 0.25)]
    law = PiecewiseUniform.mixture(parts)
    x = np.linspace(0.0, 6.0, 301)
    np.testing.assert_allclose(law.cdf(x), sum(p * Uniform(low, high).cdf(x) for low, high, p in parts), atol=1e-12)
    assert PiecewiseUniform.mixture([(0.0, 3.0, 0.75), (3.0, 8.0, 0.25)]) == irregular()


@settings(max_examples=60, deadline=None)
@given(piecewise_laws())
def test_the_exact_ironed_table_is_the_concave_hull_of_the_revenue_curve(law):
    table = iron(law)
    assert np.all(np.diff(table.knots) >= 0.0)
    assert np.all(np.diff(table.levels) >= 0.0)
    grid = np.unique(np.concatenate([np.linspace(law.low, law.high, 4001), law.edges]))
    for level in np.linspace(float(law.virtual_value(law.low)) - 0.1, law.high - 1e-3, 23):
        profit = (grid - level) * (1.0 - law.cdf(grid))
        price = float(table.price(np.asarray(level)))
        assert (price - level) * (1.0 - float(law.cdf(price))) >= profit.max() - 1e-9
    values = np.linspace(law.low, law.high, 57)[1:-1]
    levels = table(values)
    assert np.all(table.price(levels) <= values + 1e-9)
    assert np.all(table.upper_price(levels) >= values - 1e-9)


def test_the_irregular_law_is_ironed_between_the_two_tangent_points():
    flat = theory.ironed_virtual_value(irregular(), [2.5, 3.0, 3.5, 4.0])
    assert np.ptp(flat) == 0.0
    left, right = (flat[0] + 4.0) / 2.0, (flat[0] + 8.0) / 2.0  # virtual values are 2v - 4 below 3 and 2v - 8 above
    law = irregular()
    chord = -(right * (1 - law.cdf(right)) - left * (1 - law.cdf(left))) / (law.cdf(right) - law.cdf(left))
    assert chord == pytest.approx(flat[0], abs=1e-12)
    assert left < 2.5 and right > 4.0
    np.testing.assert_allclose(theory.ironed_virtual_value(law, [1.0, 2.0, 5.0, 7.9]), [-2.0, 0.0, 2.0, 7.8])


@pytest.mark.parametrize("law", [Beta(1.0, 2.0), Power(2.0), Power(1.5, 3.0), Beta(2.0, 2.0)], ids=repr)
def test_the_gridded_table_equals_the_virtual_value_of_regular_laws(law):
    v = law.ppf(np.linspace(0.05, 0.95, 50))
    np.testing.assert_allclose(theory.ironed_virtual_value(law, v), law.virtual_value(v), atol=1e-4)


def test_the_gridded_table_irons_a_bathtub_shaped_beta_law():
    law = Beta(0.5, 0.5)
    v = np.linspace(0.001, 0.999, 2001)
    ironed = theory.ironed_virtual_value(law, v)
    assert np.any(np.diff(law.virtual_value(v)) < 0.0)
    assert np.all(np.diff(ironed) >= 0.0)
    reserve = theory.myerson_reserve(law)
    grid = v * (1.0 - law.cdf(v))
    assert reserve * (1.0 - law.cdf(reserve)) >= grid.max() - 1e-9


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_draws_inside_its_bounds_and_survives_json(name):
    chosen = prior(name, 3, 2)
    u = np.random.default_rng(0).random((4000, chosen.draws))
    values = chosen.sample(u)
    assert values.shape == (4000, 3, 2)
    assert np.all((values >= chosen.low) & (values <= chosen.high))
    again = prior_from_dict(json.loads(json.dumps(chosen.to_dict())))
    assert again == chosen
    np.testing.assert_array_equal(again.sample(u), values)
    np.testing.assert_array_equal(chosen.sample(u[7:8])[0], values[7])
    np.testing.assert_array_equal(chosen.transform(u), values)
    if chosen.marginals is not None:
        for i in range(3):
            for j in range(2):
                law = chosen.marginals[i][j]
                error = 5.0 * values[:, i, j].std() / np.sqrt(4000)
                assert values[:, i, j].mean() == pytest.approx(law.mean, abs=error)


def test_priors_put_each_law_in_its_place():
    laws = [[Uniform(0.0, 1.0), Uniform(2.0, 3.0)], [Uniform(4.0, 5.0), Uniform(0.0, 1.0)]]
    u = np.random.default_rng(1).random((50, 2, 2))
    values = Prior.independent(laws).ppf(u)
    np.testing.assert_allclose(values - u, np.broadcast_to([[0.0, 2.0], [4.0, 0.0]], (50, 2, 2)), atol=1e-12)
    assert Prior.per_item([Uniform(0.0, 1.0), Power(2.0)], 3).marginals == ((Uniform(), Power(2.0)),) * 3
    assert Prior.per_bidder([Uniform(0.0, 1.0), Power(2.0)], 2).marginals == ((Uniform(),) * 2, (Power(2.0),) * 2)
    assert Prior.iid(Uniform(), 2, 3).low.shape == (2, 3)


def test_the_triangle_prior_is_uniform_on_the_triangle():
    values = Triangle(2).sample(np.random.default_rng(2).random((100_000, 4)))
    assert np.all(values.sum(axis=2) <= 1.0)
    below = (values[:, :, 0] <= 0.5) & (values[:, :, 1] <= 0.5)
    small = values.sum(axis=2) <= 0.5
    np.testing.assert_allclose(below.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(small.mean(axis=0), 0.25, atol=0.01)
    assert abs(np.corrcoef(values[:, 0, 0], values[:, 1, 0])[0, 1]) < 0.02


def test_contextual_values_are_a_uniform_share_of_the_match_of_their_contexts():
    chosen = Contextual(2, 3)
    u = np.random.default_rng(3).random((500, chosen.draws))
    bidders, items = chosen.contexts(u)
    match = 1.0 / (1.0 + np.exp(-np.einsum("bik,bjk->bij", bidders, items)))
    share = chosen.sample(u) / match
    np.testing.assert_allclose(share.reshape(500, 6), u[:, -6:])
    assert np.all(np.abs(bidders) <= 1.0) and bidders.shape == (500, 2, 10) and items.shape == (500, 3, 10)


def test_profiles_enumerate_a_discrete_prior_completely():
    values, chances = Prior.per_item(
        [TwoPoint(1.0, 2.0, 0.3), Discrete((0.0, 1.0, 5.0), (0.5, 0.25, 0.25))], 2
    ).profiles()
    assert values.shape == (36, 2, 2)
    assert len(np.unique(values.reshape(36, 4), axis=0)) == 36
    assert chances.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(np.einsum("p,pij->ij", chances, values), [[1.3, 1.5], [1.3, 1.5]])


@pytest.mark.parametrize("law", SMOOTH + ATOMIC, ids=repr)
def test_laws_survive_json_and_compare_by_value(law):
    again = law_from_dict(json.loads(json.dumps(law.to_dict())))
    assert again == law
    assert hash(again) == hash(law)


@pytest.mark.parametrize(
    ("make", "error", "word"),
    [
        (lambda: Uniform(1.0, 1.0), ValueError, "low, high"),
        (lambda: Uniform(-1.0, 1.0), ValueError, "low, high"),
        (lambda: Uniform(0.0, float("nan")), ValueError, "high"),
        (lambda: Power(0.0), ValueError, "exponent"),
        (lambda: Exponential(-1.0), ValueError, "scale"),
        (lambda: Beta(1.0, float("inf")), ValueError, "b"),
        (lambda: TwoPoint(1.0, 2.0, 1.0), ValueError, "probability_high"),
        (lambda: Discrete((2.0, 1.0), (0.5, 0.5)), ValueError, "atoms"),
        (lambda: Discrete((1.0, 2.0), (0.5, 0.6)), ValueError, "probabilities"),
        (lambda: PiecewiseUniform((0.0, 1.0), (0.5, 0.5)), ValueError, "edges, masses"),
        (lambda: PiecewiseUniform.mixture([(1.0, 0.0, 1.0)]), ValueError, "components"),
        (lambda: law_from_dict({"law": "Normal"}), KeyError, "Normal"),
        (lambda: law_from_dict({"scale": 1.0}), KeyError, "law"),
        (lambda: law_from_dict({"law": "Uniform", "lo": 0.0}), TypeError, "lo"),
        (lambda: prior("gaussian", 2, 2), KeyError, "gaussian"),
        (lambda: prior("uniform01", 0, 2), ValueError, "bidders"),
        (lambda: prior("triangle", 1, 3), ValueError, "items"),
        (lambda: prior("uniform01", 2, 2, spread=3), TypeError, "spread"),
        (lambda: Independent(((Uniform(),), (Uniform(), Uniform()))), ValueError, "laws"),
        (lambda: Independent(((1.0,),)), TypeError, "laws"),
        (lambda: prior("uniform01", 2, 2).sample(np.zeros((3, 5))), ValueError, "u:"),
        (lambda: prior("uniform01", 2, 2).ppf(np.zeros((3, 4))), ValueError, "u:"),
        (lambda: prior("contextual", 2, 2).ppf(np.zeros((3, 2, 2))), ValueError, "u:"),
        (lambda: prior("uniform01", 2, 2).profiles(), ValueError, "laws"),
        (lambda: prior("two_point", 4, 4).profiles(limit=10), ValueError, "limit"),
        (lambda: prior("uniform01", 2, 2).sample(np.ones((3, 4))), ValueError, "u:"),
        (lambda: prior("triangle", 2, 2).sample(np.full((3, 4), -0.1)), ValueError, "u:"),
        (lambda: prior("exponential", 2, 2).sample(np.full((3, 4), np.nan)), ValueError, "u:"),
        (lambda: prior("uniform01", 2, 2).ppf(np.full((3, 2, 2), 1.5)), ValueError, "u:"),
        (lambda: prior_from_dict({"prior": "Gaussian"}), KeyError, "Gaussian"),
        (lambda: prior_from_dict({"prior": []}), KeyError, "prior"),
    ],
)
def test_bad_input_names_the_argument(make, error, word):
    with pytest.raises(error, match=word):
        make()
