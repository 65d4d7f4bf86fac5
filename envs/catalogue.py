"""Every game that ships with walras, in the order of the documentation."""

from walras.envs.registry import register

_AUCTIONS = "walras.envs.auctions"
_KRISHNA = "Krishna, Auction Theory (2nd ed.)"

register(
    "walras/SealedBidAuction-v0", f"{_AUCTIONS}.rules:SealedBidAuction", title="sealed-bid auction, private values, any mechanism",
    source=f"{_KRISHNA}, ch. 2-5; arXiv 2406.07428, sec. 2", status="verified",
)
register(
    "walras/RepeatedAuction-v0", f"{_AUCTIONS}.rules:SealedBidAuction", kwargs={"rounds": 10, "budget": 2.0},
    title="repeated first-price auction with budgets", source=f"{_KRISHNA}, ch. 2, 4", status="runs",
)
register(
    "walras/DiscreteAuction-v0", f"{_AUCTIONS}.discrete:DiscreteAuction", title="auction on finite values and bids, exported as a tree",
    source="OpenSpiel first_sealed_auction", status="verified",
)
register(
    "walras/AuctionDesign-v0", f"{_AUCTIONS}.design:AuctionDesign", title="designer of a reserve price or an affine maximiser",
    source="Myerson (1981); Roberts (1979)", status="verified",
)
