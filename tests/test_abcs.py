"""ABCs and its relatives against a slow second writing of the paper's pseudocode, driven by the same random numbers.

Long, because the second writing, in lists and dictionaries, stands here: it knows nothing of the compiled learners but
the order in which they draw.
"""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from walras.algorithms.tabular import ABCs, BoltzmannQ, ExternalSampling, MaxCFR, OutcomeSampling, stationarity
from walras.algorithms.tabular.detection import critical_values, judge, memory, remember, statistic
from walras.envs.tabular import CHANCE, DECISION, LEAF, CartPole, FiniteMDP, FlatGame, cached_game

# -- the second writing ------------------------------------------------------------------------------------------------


def pick(odds, u):
    """The position that the uniform `u` picks; never one of probability zero."""
    choice = None
    for k, p in enumerate(odds):
        if p > 0:
            choice = k
            u -= p
            if u < 0:
                break
    return choice


class Slow:
    """Section 4 of the method's description, an infostate at a time; hidden states are tuples.

    A hidden state is ("game", node) or ("process", state, steps). Infostates are numbered as the learners number them,
    so that tables can be compared; values are found by (infostate, position).
    """

    def __init__(self, game, process, seed, *, correction, averaging, end=0.0, limit=500, **options):
        self.game, self.process, self.end, self.limit = game, process, end, limit
        self.correction, self.averaging = correction, averaging
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.before = 0 if process is None else len(process.n_actions)
        widths = [] if process is None else process.n_actions.tolist()
        self.widths = widths + ([] if game is None else game.n_actions.tolist())
        pairs = [(i, a) for i, k in enumerate(self.widths) for a in range(k)]
        self.Q, self.n, self.C, self.x = ({p: zero for p in pairs} for zero in (0.0, 0, 0.0, 0.0))
        self.D = {p: [] for p in pairs}
        self.cache, self.tau, self.iteration, self.nodes = {}, 1.0, 0, 0
        self.window, self.least, self.level, self.clearing = 1000, 10, 0.05, 0.05
        self.tests = self.alarms = 0
        self.decay, self.every, self.explore, self.late = 0.99, 20, 0.6, False
        for name, value in options.items():
            assert hasattr(self, name)
            setattr(self, name, value)

    # The world.

    def start(self, player):
        if self.process is not None and player == 0:
            u = [self.rng.random() for _ in range(4)]
            state = ("process", pick(self.process.start, u[0]), 0)
            return state, self.infostate(state)
        state, _, done = self.move_others(("game", 0), player)
        return state, None if done else self.infostate(state)

    def infostate(self, state):
        if state[0] == "process":
            return int(self.process.info[state[1]])
        return self.before + int(self.game.info[state[1]])

    def next(self, state, action, player):
        """(hidden state, reward, done) after an action and all moves of others."""
        self.nodes += 1
        if state[0] == "game":
            node = int(self.game.first_child[state[1]]) + action
            paid = self.game.reward[node, player]
        else:
            pair = int(self.process.action_offset[state[1]]) + action
            rows = slice(self.process.first[pair], self.process.first[pair + 1])
            at = self.process.first[pair] + pick(self.process.probability[rows], self.rng.random())
            target, steps, paid = int(self.process.target[at]), state[2] + 1, float(self.process.reward[at])
            stopped = self.end > 0 and self.rng.random() < self.end
            if target >= 0 and not stopped and steps < self.limit:
                return ("process", target, steps), paid, False
            if self.game is None:
                return None, paid, True
            node = 0
            paid += self.game.reward[0, player]
        after, more, done = self.move_others(("game", node), player)
        return after, paid + more, done

    def move_others(self, state, player):
        node, paid, flat = state[1], 0.0, self.game
        while flat.kind[node] != LEAF:
            children = range(flat.first_child[node], flat.first_child[node] + flat.n_children[node])
            if flat.kind[node] == CHANCE:
                node = children[pick(flat.edge_prob[children.start : children.stop], self.rng.random())]
            else:
                if flat.info_player[flat.info[node]] == player:
                    return ("game", node), paid, False
                info = self.before + int(flat.info[node])
                pi = self.policy(info)
                if self.averaging == "opponent":
                    for a, p in enumerate(pi):
                        self.C[info, a] += p
                node = children[pick(pi, self.rng.random())]
            paid += flat.reward[node, player]
        return None, paid, True

    # Policies and the test.

    def softmax(self, info, scale):
        values = [self.Q[info, a] * scale for a in range(self.widths[info])]
        weights = [math.exp(v - max(values)) for v in values]
        return [w / sum(weights) for w in weights]

    def unvisited(self, info):
        fresh = [self.n[info, a] == 0 for a in range(self.widths[info])]
        return [f / sum(fresh) for f in fresh] if any(fresh) else None

    def visits(self, info):
        return max(self.n[info, a] for a in range(self.widths[info]))

    def policy(self, info):
        first = self.unvisited(info)
        if first is not None:
            return first
        if all(self.stationary(info, a) for a in range(self.widths[info])):
            return self.softmax(info, 1.0 / self.tau)
        return self.softmax(info, self.visits(info))

    def stationary(self, info, a):
        if (info, a) not in self.cache:
            entries = self.D[info, a][-self.window :]
            verdict = True
            if len(entries) >= self.least:
                older, newer = entries[: len(entries) // 2], entries[len(entries) // 2 :]
                kinds = sorted(set(entries))
                table = [[half.count(kind) for kind in kinds] for half in (older, newer)]
                verdict = bool(scipy.stats.chi2_contingency(table).pvalue > self.level)
                self.tests += 1
                self.alarms += not verdict
            self.cache[info, a] = verdict
        return self.cache[info, a]

    # A visit.

    def visit(self, player, state):
        info = self.infostate(state)
        width = range(self.widths[info])
        pi = self.policy(info)
        s = pick(pi, self.rng.random())
        found = {}
        for a in width:
            nonstationary = not self.stationary(info, a)
            expand = a == s or (nonstationary and (info, a) not in self.expanded)
            if not expand and self.skips:
                continue
            after, r, done = self.next(state, a, player)
            self.note(info, a, after, r)
            if done:
                found[a] = (r, None, None, None, False)
                continue
            child = self.infostate(after)
            old = [self.Q[child, b] for b in range(self.widths[child])]
            law = None
            if expand:
                self.expanded.add((info, a))
                law = self.visit(player, after)
            found[a] = (r, child, old, law, expand)
        for a, (r, child, old, law, expanded) in found.items():
            target = r
            if child is not None:
                target += max(old)
                if not self.stationary(info, a) and (info, a) not in self.updated:
                    target += self.correct(child, old, law, expanded)
            self.learn(info, a, target)
            if self.averaging == "published":
                self.C[info, a] += pi[a]
            self.updated.add((info, a))
        return pi

    skips = False

    def correct(self, child, old, law, expanded):
        greedy = [b for b, q in enumerate(old) if q == max(old)]
        if self.correction == "published":
            x = {b: self.n[child, b] * self.Q[child, b] - (self.n[child, b] - 1) * old[b] for b in greedy}
            return np.mean([x[b] - self.Q[child, b] for b in greedy])
        if not expanded:  # nothing was found out about the child on this visit
            return 0.0
        if self.correction == "greedy":
            return np.mean([self.x[child, b] for b in greedy]) - max(old)
        return sum(p * self.x[child, b] for b, p in enumerate(law)) - max(old)

    def learn(self, info, a, target):
        n = self.n[info, a]
        self.Q[info, a] = (n * self.Q[info, a] + target) / (n + 1)
        self.n[info, a], self.x[info, a] = n + 1, target

    def note(self, info, a, after, r):
        self.D[info, a].append(("reward", r) if after is None else after[:2])

    def iterate(self, times):
        for _ in range(times):
            self.expanded, self.updated = set(), set()
            self.open()
            for player in range(1 if self.game is None else self.game.n_players):
                state, info = self.start(player)
                if info is not None:
                    self.run(player, state)
            self.iteration += 1
            if self.iteration % self.every == 0:
                self.tau *= self.decay
        return self

    def open(self):
        if self.rng.random() < self.clearing:
            self.cache.clear()

    def run(self, player, state):
        self.visit(player, state)


class SlowMaxCFR(Slow):
    skips = True

    def stationary(self, info, a):
        return False

    def note(self, info, a, after, r):
        pass

    def open(self):
        pass


class SlowQ(SlowMaxCFR):
    def policy(self, info):
        return self.unvisited(info) or self.softmax(info, 1.0 / max(self.tau, 1.0 / self.visits(info)))

    def run(self, player, state):
        done = False
        while not done:
            info = self.infostate(state)
            a = pick(self.policy(info), self.rng.random())
            state, target, done = self.next(state, a, player)
            if not done:
                child = self.infostate(state)
                target += max(self.Q[child, b] for b in range(self.widths[child]))
            self.learn(info, a, target)
            if self.averaging == "published":
                for b, p in enumerate(self.policy(info)):
                    self.C[info, b] += p


class SlowOutcomes(SlowMaxCFR):
    def policy(self, info):
        return self.softmax(info, 1.0)

    def run(self, player, state):
        path, done = [], False
        while not done:
            info = self.infostate(state)
            pi = self.policy(info)
            mu = [self.explore / len(pi) + (1 - self.explore) * p for p in pi]
            a = pick(mu, self.rng.random())
            state, r, done = self.next(state, a, player)
            path.append((info, a, pi, mu, r))
        whole = math.prod(mu[a] for _, a, _, mu, _ in path)
        for i, (info, a, pi, _, _) in enumerate(path):
            value = 0.0
            for j in range(i, len(path)):  # what is paid by action j, valued by the actions up to it
                between = path[i + 1 : j + 1]
                reach = math.prod(mu[b] for _, b, _, mu, _ in path[: j + 1])
                if not self.late:
                    value += path[j][4] * math.prod(law[b] for _, b, law, _, _ in between) / reach
            if self.late:
                value = path[-1][4] / whole * math.prod(law[b] for _, b, law, _, _ in path[i + 1 :])
            self.Q[info, a] += value
            for b, p in enumerate(pi):
                self.n[info, b] += 1
                if self.averaging == "published":
                    self.C[info, b] += p


def assert_same(fast, slow, tolerance=1e-12):
    slots, pairs = fast.memory_.slots, list(slow.Q)
    assert (fast.iteration_, fast.nodes_) == (slow.iteration, slow.nodes)
    np.testing.assert_array_equal(slots["n"], [slow.n[p] for p in pairs])
    scale = max(1.0, max(abs(v) for v in slow.Q.values()))
    np.testing.assert_allclose(slots["q"], [slow.Q[p] for p in pairs], rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(slots["c"], [slow.C[p] for p in pairs], rtol=1e-12, atol=tolerance)
    assert fast.memory_.clock["tau"][0] == pytest.approx(slow.tau, rel=1e-12)


LOOP = FiniteMDP(
    "loop", start=[0.5, 0.0, 0.5, 0.0], info=[0, 0, 1, 1], n_actions=[2, 3],
    first=[0, 2, 4, 5, 7, 8, 10, 12, 13, 15, 17],
    probability=[0.5, 0.5, 0.9, 0.1, 1.0, 0.3, 0.7, 1.0, 0.5, 0.5, 0.2, 0.8, 1.0, 0.6, 0.4, 0.5, 0.5],
    target=[1, 2, 0, 3, 2, 1, 0, 3, 0, -1, 1, 2, 0, 2, 3, 3, 1],
    reward=[0.1, 0.0, -0.2, 0.3, 0.5, 0.0, 0.1, 0.2, -0.4, 1.0, 0.0, 0.3, 0.1, 0.0, -0.1, 0.2, 0.0],
)  # fmt: skip
"""Four states that share two infostates and recur: the law of what is hidden moves with the policy."""


def kuhn():
    return cached_game("kuhn_poker")


WORLDS = {
    "kuhn": lambda: (kuhn(), None),
    "leduc": lambda: (cached_game("leduc_poker"), None),
    "three players": lambda: (cached_game("kuhn_poker(players=3)"), None),
    "process": lambda: (None, FiniteMDP.layered(3, 4, 2)),
    "loop": lambda: (None, LOOP),
    "stack": lambda: (kuhn(), FiniteMDP.layered(3, 3, 2)),
    "loop and kuhn": lambda: (kuhn(), LOOP),
}


@pytest.mark.parametrize("profile", ["published", "corrected", "greedy"])
@pytest.mark.parametrize(
    ("world", "iterations", "window"),
    [
        ("kuhn", 500, 1000), ("kuhn", 400, 31), ("leduc", 200, 16), ("three players", 120, 50), ("process", 400, 60),
        ("loop", 150, 40), ("stack", 250, 64), ("loop and kuhn", 120, 50),
    ],
)  # fmt: skip
def test_abcs_is_its_pseudocode(world, iterations, window, profile):
    game, process = WORLDS[world]()
    end, limit = (0.1, 25) if process is LOOP else (0.0, 500)
    kind = {"profile": profile} if profile != "greedy" else {"profile": "published", "correction": "greedy"}
    fast = ABCs(game, process=process, seed=7, window=window, end=end, limit=limit, **kind)
    slow = Slow(
        game, process, 7, window=window, end=end, limit=limit,
        correction={"corrected": "policy"}.get(profile, profile),
        averaging="opponent" if profile == "corrected" else "published",
    )  # fmt: skip
    fast.fit(iterations=iterations // 3).fit(iterations=iterations - iterations // 3)
    slow.iterate(iterations)
    assert_same(fast, slow)
    assert (int(fast.memory_.clock["tests"][0]), int(fast.memory_.clock["alarms"][0])) == (slow.tests, slow.alarms)
    assert slow.tests > 20 and (slow.alarms > 0 or world == "process")
    assert fast.memory_.slots["seen"].tolist() == [len(ids) for ids in slow.D.values()]


@pytest.mark.parametrize("profile", ["published", "corrected", "policy"])
@pytest.mark.parametrize(
    ("world", "iterations"),
    [("kuhn", 400), ("leduc", 40), ("three players", 100), ("stack", 150), ("loop", 150), ("loop and kuhn", 100)],
)
def test_max_cfr_is_its_description(world, iterations, profile):
    game, process = WORLDS[world]()
    end, limit = (0.1, 25) if process is LOOP else (0.0, 500)
    kind = {"profile": profile} if profile != "policy" else {"profile": "published", "correction": "policy"}
    fast = MaxCFR(game, process=process, seed=3, end=end, limit=limit, **kind).fit(iterations=iterations)
    slow = SlowMaxCFR(
        game, process, 3, end=end, limit=limit, tau=10.0, decay=0.995, every=10,
        correction={"corrected": "greedy"}.get(profile, profile),
        averaging="opponent" if profile == "corrected" else "published",
    ).iterate(iterations)  # fmt: skip
    assert_same(fast, slow)


@pytest.mark.parametrize("profile", ["published", "corrected"])
@pytest.mark.parametrize(
    ("world", "iterations"),
    [("kuhn", 1000), ("leduc", 300), ("three players", 300), ("stack", 400), ("loop and kuhn", 300)],
)
@pytest.mark.parametrize("fast", [BoltzmannQ, OutcomeSampling])
def test_trajectory_learners_are_their_descriptions(fast, world, iterations, profile):
    game, process = WORLDS[world]()
    end, limit = (0.1, 12) if process is LOOP else (0.0, 500)
    averaging = "opponent" if profile == "corrected" else "published"
    learner = fast(game, process=process, seed=5, end=end, limit=limit, profile=profile).fit(iterations=iterations)
    shared = {"end": end, "limit": limit, "averaging": averaging, "correction": None}
    if fast is BoltzmannQ:
        slow = SlowQ(game, process, 5, decay=0.995, **shared)
    else:
        slow = SlowOutcomes(game, process, 5, decay=1.0, late=profile == "published", **shared)
    assert_same(learner, slow.iterate(iterations), 1e-11)


# -- the test ----------------------------------------------------------------------------------------------------------


def filled(ids, window, level=0.05):
    """A memory of one pair that has seen `ids`."""
    kept = memory(1, window, level)
    for id_ in ids:
        remember(kept.slots, kept.counts, kept.ring, 0, id_)
    return kept


def p_value(kept):
    total, freedom = statistic(kept, 0)
    return 1.0 if freedom == 0 else scipy.stats.chi2.sf(total, freedom)


@pytest.mark.parametrize(
    ("ids", "p"),
    [
        ([0] * 30 + [1] * 20 + [0] * 20 + [1] * 30, 0.07186),
        (list(range(10)), 0.3505),
        (list(range(1000)), 0.4851),
        ([5] * 300, 1.0),
    ],
)
def test_the_known_p_values(ids, p):
    assert p_value(filled(ids, 1000)) == pytest.approx(p, abs=5e-5)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(2, 70), st.integers(2, 400), st.sampled_from([1, 2, 3, 10, 300]), st.booleans(), st.integers(0, 10**6)
)
def test_the_statistic_is_scipys_on_any_ring(window, seen, kinds, drifts, seed):
    """Rings that are not full, that have wrapped, few kinds and more than are counted as they come."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, kinds, seen) + (np.arange(seen) // 7 if drifts else 0)
    kept = filled(ids.tolist(), window)
    entries = ids[-window:]
    older, newer = entries[: len(entries) // 2], entries[len(entries) // 2 :]
    table = [[int((half == kind).sum()) for kind in np.unique(entries)] for half in (older, newer)]
    theirs = scipy.stats.chi2_contingency(table)
    total, freedom = statistic(kept, 0)
    assert (total, freedom) == (pytest.approx(theirs.statistic, rel=1e-9, abs=1e-12), theirs.dof)
    if freedom:
        assert (total >= critical_values(window, 0.05)[0, freedom]) == (theirs.pvalue <= 0.05)


def test_more_kinds_than_are_counted_as_they_come_are_counted_all_the_same():
    rng = np.random.default_rng(0)
    ids = np.concatenate([np.arange(400), rng.integers(0, 3, 1200)])  # many at first, then few
    kept = filled(ids.tolist(), 1000)
    entries = ids[-1000:]
    table = [[int((half == kind).sum()) for kind in np.unique(entries)] for half in (entries[:500], entries[500:])]
    assert statistic(kept, 0)[0] == pytest.approx(scipy.stats.chi2_contingency(table).statistic, rel=1e-12)


def test_error_control_spends_the_level_and_no_more():
    level = 0.05
    critical = critical_values(1000, level)
    for freedom in (1, 7, 999):
        p = scipy.stats.chi2.sf(critical[:, freedom], freedom)
        assert p[0] == pytest.approx(level)
        spent = p[1:] * 2.0 ** np.arange(len(p) - 1)  # row j + 1 serves 2**j tests
        assert 0.9 * level < spent.sum() <= level * (1 + 1e-6) and (np.diff(p[1:]) < 0).all()


@njit
def alarms(kept, ids, every):
    """How often a pair is called moving that remembers `ids` and is tested after every few of them."""
    found = 0
    for i in range(len(ids)):
        remember(kept.slots, kept.counts, kept.ring, 0, ids[i])
        if (i + 1) % every == 0:
            found += not judge(10, True, kept, 0)
    return found


@pytest.mark.parametrize(("kinds", "concentration"), [(2, 1.0), (8, 0.3), (200, 1.0)])
def test_under_error_control_a_pair_that_stands_still_is_hardly_ever_called_moving(kinds, concentration):
    """One in twenty at most, over all of a pair's tests together."""
    rng = np.random.default_rng(1)
    ever, pairs = 0, 150
    for _ in range(pairs):
        ids = rng.choice(kinds, size=2000, p=rng.dirichlet(np.full(kinds, concentration)))
        ever += alarms(memory(1, 500, 0.05), ids, 25) > 0
    assert ever / pairs <= 0.05
    drifting = np.concatenate([rng.integers(0, kinds, 500), rng.integers(kinds // 2, kinds + kinds // 2, 500)])
    assert alarms(memory(1, 500, 0.05), drifting, 25) > 0


@pytest.mark.parametrize("seed", range(3))
def test_few_false_alarms_are_raised_where_the_world_stands_still(seed):
    process = FiniteMDP.layered(5, 8, 3, seed=seed)
    plain = ABCs(process=process, seed=seed).fit(nodes=300_000)
    strict = ABCs(process=process, seed=seed, error_control=True).fit(nodes=300_000)
    assert plain.memory_.clock["tests"][0] > 5000
    assert 0.0 < plain.alarm_rate_ < 0.06 and strict.alarm_rate_ < plain.alarm_rate_ / 5


def test_error_control_still_finds_what_moves():
    learner = ABCs(kuhn(), error_control=True).fit(nodes=100_000)
    assert learner.alarm_rate_ > 0.1


def test_continuous_states_are_never_found_to_move_and_bins_are():
    raw = ABCs(process=CartPole(), detection="raw").fit(nodes=100_000)
    bins = ABCs(process=CartPole(), detection="bins").fit(nodes=100_000)
    assert raw.memory_.clock["tests"][0] > 1000 and raw.alarm_rate_ == 0.0
    assert 0.1 < bins.alarm_rate_ < 0.6
    assert math.isnan(ABCs(process=CartPole()).alarm_rate_)


# -- the oracle --------------------------------------------------------------------------------------------------------


def laws(flat, strategy):
    """For every slot, the law of the node at which its player decides next or the game ends, by walking."""
    found = [{} for _ in range(flat.n_slots)]

    def below(node, player, weight, law):
        if flat.kind[node] == LEAF or (flat.kind[node] == DECISION and flat.info_player[flat.info[node]] == player):
            law[node] = law.get(node, 0.0) + weight
            return
        for child in range(flat.first_child[node], flat.first_child[node] + flat.n_children[node]):
            odds = flat.edge_prob[child] if flat.edge_slot[child] < 0 else strategy[flat.edge_slot[child]]
            below(child, player, weight * odds, law)

    reach = np.ones(flat.n_nodes)
    for node in range(1, flat.n_nodes):
        slot = flat.edge_slot[node]
        reach[node] = reach[flat.parent[node]] * (flat.edge_prob[node] if slot < 0 else strategy[slot])
        if slot >= 0:
            above = flat.parent[node]
            below(node, flat.info_player[flat.info[above]], reach[above], found[slot])
    return [{key: w / sum(law.values()) for key, w in law.items()} for law in found]


def assert_oracle(flat):
    """A pair is called calm exactly where the law of what comes next is the same under two random strategies."""
    one, two = (laws(flat, flat.normalise(np.random.default_rng(s).random(flat.n_slots) + 0.1)) for s in (0, 1))
    same = [all(abs(p - b[key]) < 1e-9 for key, p in a.items()) for a, b in zip(one, two, strict=True)]
    calm = stationarity(flat)
    np.testing.assert_array_equal(calm, same)
    return calm


@pytest.mark.parametrize("name", ["kuhn_poker", "kuhn_poker(players=3)", "walras/DiscreteAuction-v0"])
def test_in_poker_and_in_auctions_every_pair_moves_with_the_others(name):
    assert not assert_oracle(cached_game(name)).any()


@pytest.mark.parametrize("name", ["leduc_poker", "tiny_hanabi", "walras/DiscreteBargaining-v0", "matrix_pd"])
def test_the_oracle_is_right_about_every_pair_of_other_games(name):
    assert_oracle(cached_game(name))


def test_the_oracle_knows_games_in_which_some_pairs_are_calm():
    last = cached_game("walras/DiscreteBargaining-v0", rounds=1)  # who answers sees the offer and ends the game
    calm = assert_oracle(last)
    assert calm[last.slots(1)].all() and not calm[last.slots(0)].any()


def test_the_oracle_of_a_stack_calls_the_process_calm():
    process = FiniteMDP.layered(2, 3, 2)
    calm = stationarity(kuhn(), process)
    assert calm.tolist() == [True] * 12 + [False] * 24
    assert stationarity(None, CartPole(bins=3)).shape == (162,)
    learner = ABCs(kuhn(), process=process, oracle="tree").fit(nodes=20_000)
    assert learner.memory_.clock["tests"][0] == 0
    by_hand = ABCs(kuhn(), process=process, oracle=calm).fit(nodes=20_000)
    np.testing.assert_array_equal(learner.memory_.slots["q"], by_hand.memory_.slots["q"])


# -- known truths ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("correction", "target"),
    [("published", 0.7), ("greedy", 0.6), ("policy", (0.6 + 1.3 * math.exp(-1.5)) / (1 + math.exp(-1.5)))],
)
def test_the_target_of_a_pair_follows_what_its_child_just_learned(correction, target):
    """The child knew (1.0, 0.5) after three visits, which its next one makes (0.9, 0.7)."""
    flat = FlatGame(
        name="two steps", players=("player_0",), kind=np.array([DECISION, DECISION, LEAF, LEAF], np.int8),
        info=np.array([0, 1, -1, -1], np.int32), parent=np.array([-1, 0, 1, 1], np.int32),
        first_child=np.array([1, 2, -1, -1], np.int32), n_children=np.array([1, 2, 0, 0], np.int32),
        edge_prob=np.ones(4), edge_slot=np.array([-1, 0, 1, 2], np.int32),
        reward=np.array([[0.0], [0.0], [0.6], [1.3]]), info_player=np.zeros(2, np.int8),
        info_offset=np.array([0, 1, 3], np.int32), info_actions=np.array([0, 0, 1], np.int32),
    )  # fmt: skip
    learner = ABCs(flat, oracle=np.zeros(3, bool), profile="published", correction=correction)
    slots = learner.memory_.slots
    slots["q"][1:], slots["n"][1:] = (
        (1.0, 0.5),
        3,
    )  # softmax(3 Q): 1 to exp(-1.5)
    learner.fit(iterations=1)
    np.testing.assert_allclose(slots["q"][1:], [0.9, 0.7], atol=1e-15)
    assert slots["q"][0] == pytest.approx(target, abs=1e-12)


@njit
def softmax_of(total, first, count):
    weights = np.exp(total[first : first + count] - total[first : first + count].max())
    return weights / weights.sum()


@njit
def chosen(odds, u):
    for k in range(len(odds) - 1):
        u -= odds[k]
        if u < 0.0:
            return k
    return len(odds) - 1


@njit
def external_hedge(table, node, player, total, average, opponent, rng):
    """The textbook's recursion of external sampling: what a player earns from a node on."""
    kind, info, _, first_child, n_children, edge_prob, _, reward, info_player, info_offset = table
    first, count = first_child[node], n_children[node]
    if kind[node] == 2:
        return 0.0
    if kind[node] == 0:
        child = first + chosen(edge_prob[first : first + count], rng.random())
        return reward[child, player] + external_hedge(table, child, player, total, average, opponent, rng)
    slot = info_offset[info[node]]
    sigma = softmax_of(total, slot, count)
    if info_player[info[node]] != player:
        if opponent:
            average[slot : slot + count] += sigma
        child = first + chosen(sigma, rng.random())
        return reward[child, player] + external_hedge(table, child, player, total, average, opponent, rng)
    rng.random()  # ABCs draws an action here
    values = np.empty(count)
    for a in range(count):
        below = external_hedge(table, first + a, player, total, average, opponent, rng)
        values[a] = reward[first + a, player] + below
    total[slot : slot + count] += values
    if not opponent:
        average[slot : slot + count] += sigma
    return (sigma * values).sum()


@pytest.mark.parametrize("averaging", ["opponent", "published"])
@pytest.mark.parametrize(("name", "iterations"), [("leduc_poker", 9000), ("kuhn_poker(players=3)", 5000)])
def test_where_everything_moves_abcs_is_external_sampling_with_hedge(name, iterations, averaging):
    flat = cached_game(name)
    never = np.zeros(flat.n_slots, bool)
    learner = ABCs(flat, oracle=never, correction="policy", averaging=averaging, seed=11).fit(iterations=iterations)
    rng = np.random.Generator(np.random.PCG64(11))
    total, average = np.zeros(flat.n_slots), np.zeros(flat.n_slots)
    for _ in range(iterations):
        for player in range(flat.n_players):
            external_hedge(flat.table, 0, player, total, average, averaging == "opponent", rng)
    slots = learner.memory_.slots
    assert np.abs(slots["n"] * slots["q"] - total).max() < 1e-10
    np.testing.assert_allclose(learner.average_, flat.normalise(average), atol=1e-10)


@pytest.mark.parametrize("averaging", ["opponent", "published"])
def test_external_sampling_with_hedge_learns_what_abcs_does_where_everything_moves(averaging):
    """The two compiled learners draw in different orders: the laws of what they learn are the same."""
    flat = kuhn()
    never, found = np.zeros(flat.n_slots, bool), []
    for seed in range(40):
        abcs = ABCs(flat, oracle=never, averaging=averaging, seed=seed).fit(iterations=300).average_
        hedge = ExternalSampling(flat, rule="hedge", averaging=averaging, seed=seed + 100).fit(300).average_
        found.append((abcs, hedge))
    ours, theirs = np.array(found).transpose(1, 0, 2)
    error = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / 40)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 4.5 * error + 1e-3).all()


def test_rewards_on_the_way_count_once():
    """The same game with its payoffs spread over the edges learns the same."""
    flat = kuhn()
    never = np.zeros(flat.n_slots, bool)
    rng = np.random.default_rng(0)
    early = np.where((flat.kind == LEAF)[:, None], 0.0, np.round(rng.normal(size=flat.reward.shape), 1))
    early[0] = 0.0
    shifted = early.copy()
    for start, end in flat.generations():
        shifted[start:end] += shifted[flat.parent[start:end]]
    owed = np.where((flat.kind == LEAF)[:, None], flat.reward - shifted, early)
    spread = dataclasses.replace(flat, name="spread", reward=owed)
    np.testing.assert_allclose(spread.returns[flat.kind == LEAF], flat.returns[flat.kind == LEAF], atol=1e-12)
    one = ABCs(flat, oracle=never, seed=4).fit(iterations=2000)
    two = ABCs(spread, oracle=never, seed=4).fit(iterations=2000)
    assert one.nodes_ == two.nodes_
    np.testing.assert_allclose(one.average_, two.average_, atol=1e-9)
