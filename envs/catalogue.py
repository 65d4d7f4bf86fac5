"""Every game that ships with walras, in the order of the documentation."""

from walras.envs.registry import register

_AUCTIONS = "walras.envs.auctions"
_KRISHNA = "Krishna, Auction Theory (2nd ed.)"

register(
    "walras/SealedBidAuction-v0",
    f"{_AUCTIONS}.rules:SealedBidAuction",
    title="sealed-bid auction, private values, any mechanism",
    source=f"{_KRISHNA}, ch. 2-5; arXiv 2406.07428, sec. 2",
    status="verified",
)
register(
    "walras/RepeatedAuction-v0",
    f"{_AUCTIONS}.rules:SealedBidAuction",
    kwargs={"rounds": 10, "budget": 2.0},
    title="repeated first-price auction with budgets",
    source=f"{_KRISHNA}, ch. 2, 4",
    status="runs",
)
register(
    "walras/DiscreteAuction-v0",
    f"{_AUCTIONS}.discrete:DiscreteAuction",
    title="auction on finite values and bids, exported as a tree",
    source="OpenSpiel first_sealed_auction",
    status="verified",
)
register(
    "walras/AuctionDesign-v0",
    f"{_AUCTIONS}.design:AuctionDesign",
    title="designer of a reserve price or an affine maximiser",
    source="Myerson (1981); Roberts (1979)",
    status="verified",
)

_CLASSICAL = "walras.envs.classical"
_TIROLE = "Tirole (1988), The Theory of Industrial Organization"

register(
    "walras/FirstPriceAuction-v0",
    f"{_AUCTIONS}.rules:SealedBidAuction",
    kwargs={"mechanism": "first-price"},
    title="first-price sealed-bid auction, U[0, 1] values",
    source=f"Vickrey (1961); {_KRISHNA}, sec. 2.3",
    status="verified",
)
register(
    "walras/SecondPriceAuction-v0",
    f"{_AUCTIONS}.rules:SealedBidAuction",
    kwargs={"mechanism": "second-price"},
    title="second-price sealed-bid auction, U[0, 1] values",
    source=f"Vickrey (1961); {_KRISHNA}, sec. 2.2",
    status="verified",
)
register(
    "walras/Bertrand-v0",
    f"{_CLASSICAL}.bertrand:Bertrand",
    title="price competition, one good",
    source=f"Bertrand (1883); {_TIROLE}, sec. 5.1",
    status="verified",
)
register(
    "walras/DifferentiatedBertrand-v0",
    f"{_CLASSICAL}.differentiated_bertrand:DifferentiatedBertrand",
    title="price competition, imperfect substitutes",
    source="Singh and Vives (1984), RAND Journal of Economics 15",
    status="verified",
)
register(
    "walras/Cournot-v0",
    f"{_CLASSICAL}.cournot:Cournot",
    title="quantity competition, linear demand",
    source=f"Cournot (1838); {_TIROLE}, sec. 5.4",
    status="verified",
)
register(
    "walras/MarketEntry-v0",
    f"{_CLASSICAL}.entry:MarketEntry",
    title="sellers enter a market or stay out",
    source="Mankiw and Whinston (1986), RAND Journal of Economics 17",
    status="verified",
)
register(
    "walras/PublicGoods-v0",
    f"{_CLASSICAL}.public_goods:PublicGoods",
    title="voluntary contributions to a public good",
    source="Isaac and Walker (1988); Ledyard (1995)",
    status="verified",
)
register(
    "walras/PrisonersDilemma-v0",
    f"{_CLASSICAL}.prisoners_dilemma:PrisonersDilemma",
    title="repeated prisoner's dilemma, exported as a tree",
    source="Mailath and Samuelson (2006), Repeated Games and Reputations",
    status="verified",
)
register(
    "walras/Bargaining-v0",
    f"{_CLASSICAL}.bargaining:Bargaining",
    title="alternating offers over a shrinking pie",
    source="Ståhl (1972); Rubinstein (1982)",
    status="verified",
)
register(
    "walras/DiscreteBargaining-v0",
    f"{_CLASSICAL}.bargaining:DiscreteBargaining",
    title="alternating offers over a pie in pieces, exported as a tree",
    source="Ståhl (1972); Rubinstein (1982)",
    status="verified",
)

_TABULAR = "walras.envs.tabular"
_TABLE = f"{_TABULAR}.table:TabularAECEnv"
_ABCS = "arXiv 2402.11835"

register(
    "walras/WeightedRPS-v0",
    f"{_TABULAR}.weighted_rps:WeightedRPS",
    title="rock, paper, scissors with unequal wins",
    source=_ABCS,
    status="verified",
)
register(
    "walras/TabularGame-v0",
    f"{_TABULAR}.rules:TabularGame",
    kwargs={"source": "walras/DiscreteAuction-v0"},
    title="any finite game by infostate, source=... says which",
    source="Lanctot et al., OpenSpiel, arXiv 1908.09453",
    status="verified",
    aec=_TABLE,
)
register(
    "walras/KuhnPoker-v0",
    f"{_TABULAR}.rules:TabularGame",
    kwargs={"source": "kuhn_poker"},
    title="poker with three cards (needs OpenSpiel)",
    source="Kuhn (1950), Contributions to the Theory of Games 1",
    status="verified",
    aec=_TABLE,
)
register(
    "walras/LeducPoker-v0",
    f"{_TABULAR}.rules:TabularGame",
    kwargs={"source": "leduc_poker"},
    title="poker with six cards and two rounds (needs OpenSpiel)",
    source="Southey et al. (2005), Bayes' Bluff, arXiv 1207.1411",
    status="verified",
    aec=_TABLE,
)
register(
    "walras/LiarsDice-v0",
    f"{_TABULAR}.rules:TabularGame",
    kwargs={"source": "liars_dice"},
    title="liar's dice, one die each (needs OpenSpiel)",
    source="Lanctot et al., OpenSpiel, arXiv 1908.09453",
    status="verified",
    aec=_TABLE,
)
register(
    "walras/DiscretisedCartPole-v0",
    f"{_TABULAR}.processes:DiscretisedCartPole",
    title="CartPole seen through bins",
    source=f"Barto, Sutton and Anderson (1983); bins and ends of {_ABCS}",
    status="verified",
)
register(
    "walras/TabularMDP-v0",
    f"{_TABULAR}.processes:TabularMDP",
    title="a finite decision process: random layers, or a Gymnasium table",
    source="Puterman (1994), Markov Decision Processes; layers are ours",
    status="verified",
)
register(
    "walras/Stacked-v0",
    f"{_TABULAR}.processes:Stacked",
    title="a decision process, then a game",
    source=f"the idea of {_ABCS}; these parts are ours",
    status="verified",
)
register(
    "walras/StackedCartPoleLeduc-v0",
    f"{_TABULAR}.processes:Stacked",
    kwargs={"first": "cartpole", "second": "leduc_poker"},
    title="CartPole, then Leduc poker (needs OpenSpiel)",
    source=_ABCS,
    status="verified",
)

_PLATFORMS = "walras.envs.platforms"
_ENTRY = "arXiv 2309.08781"

register(
    "walras/SellerEntry-v0",
    f"{_PLATFORMS}.entry:SellerEntry",
    title="sellers join a platform or not, exported as a tree",
    source=_ENTRY,
    status="verified",
)
register(
    "walras/RandomEntry-v0",
    f"{_PLATFORMS}.entry:RandomEntry",
    title="sellers join a platform or not, random markets",
    source=_ENTRY,
    status="runs",
)
register(
    "walras/GrowingEntry-v0",
    f"{_PLATFORMS}.entry:RandomEntry",
    kwargs={
        "buyers": 5,
        "sellers": 4,
        "law": "integer",
        "rounds": 6,
        "arrivals": [[0, 0, 1, 2, 4], [0, 0, 1, 3]],
        "acquaint": True,
    },
    title="sellers join a platform or not, a market that grows",
    source=f"{_ENTRY} (stage game); growth is ours",
    status="runs",
)
register(
    "walras/PlatformFee-v0",
    f"{_PLATFORMS}.fee:PlatformFee",
    title="a platform sets its fee, sellers answer",
    source=_ENTRY,
    status="verified",
)
register(
    "walras/Marketplace-v0",
    f"{_PLATFORMS}.marketplace:Marketplace",
    title="regulator, platform and sellers in turns",
    source=_ENTRY,
    status="verified",
)
register(
    "walras/FiniteMarketplace-v0",
    f"{_PLATFORMS}.marketplace:FiniteMarketplace",
    title="the same on a grid of fees, exported as a tree",
    source=_ENTRY,
    status="verified",
)

_MATCHING = "arXiv 2406.07385"

register(
    "walras/PlatformMatching-v0",
    f"{_PLATFORMS}.matching:PlatformMatching",
    title="a platform introduces buyers and sellers for revenue",
    source=_MATCHING,
    status="verified",
)
register(
    "walras/SequentialMatching-v0",
    f"{_PLATFORMS}.matching:PlatformMatching",
    kwargs={"form": "sequential"},
    title="the same, one introduction a step, with masks",
    source=_MATCHING,
    status="verified",
)

_SOCIETY = "walras.envs.society"
_SED = "arXiv 2402.14090"

register(
    "walras/CommonsHarvest-v0",
    f"{_SOCIETY}.commons:CommonsHarvest",
    title="a common orchard that can be eaten bare",
    source=f"Melting Pot 2.4, commons_harvest__open; {_SED}",
    status="verified",
)
register(
    "walras/FixedSpawnHarvest-v0",
    f"{_SOCIETY}.commons:CommonsHarvest",
    kwargs={"level": "open-fixed", "zap": False, "order": "last-first"},
    title="the same with fixed first places and without beams",
    source="arXiv 2410.08345",
    status="verified",
)
register(
    "walras/TaxCommons-v0",
    f"{_SOCIETY}.layer:Society",
    kwargs={
        "game": "walras/CommonsHarvest-v0",
        "levers": [{"lever": "period-tax", "edges": [10, 20], "period": 50}],
        "objectives": ["utilitarian", "egalitarian"],
        "vote": "mean-threshold",
        "rounds": 2,
        "steps": 100,
        "design_every": 50,
        "carry_over": True,
        "types": "random",
        "told": ["mean:ripe"],
        "grid": 11,
    },
    title="apples under voted bracket taxes: vote, design, play, carry over",
    source=f"{_SED}; rewards of the principal are ours",
    status="runs",
)
register(
    "walras/LabourEconomy-v0",
    f"{_SOCIETY}.labour:LabourEconomy",
    title="people with different wages choose how much to work",
    source="Meltzer and Richard (1981), Journal of Political Economy 89",
    status="verified",
)
register(
    "walras/LabourTax-v0",
    f"{_SOCIETY}.labour:LabourTax",
    title="work under a flat tax with a lump sum, best rates known",
    source="Meltzer and Richard (1981); derived here",
    status="verified",
)
register(
    "walras/EscapeRoom-v0",
    f"{_SOCIETY}.escape:EscapeRoom",
    title="five players, three levers, a door",
    source="arXiv 2410.08345",
    status="verified",
)
register(
    "walras/EscapeIncentives-v0",
    f"{_SOCIETY}.escape:EscapeIncentives",
    title="the same with a principal who pays for places",
    source="arXiv 2410.08345",
    status="verified",
)
register(
    "walras/FeeCap-v0",
    f"{_SOCIETY}.regulation:FeeCap",
    title="a cap on a platform's fee, set or voted",
    source="arXiv 2309.08781; votes are ours",
    status="verified",
)
