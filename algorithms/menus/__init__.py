"""Menus for one buyer, learned by gradient: of items, and of any other good that says what its options are."""
