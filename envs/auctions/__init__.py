"""Sealed-bid auctions: `rules` (participants), `design` (the designer), `mechanisms`, `priors`, `theory`."""
