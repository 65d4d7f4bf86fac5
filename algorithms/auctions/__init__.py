"""Learned auctions: menus, their transform into certified mechanisms, and the rivals."""
