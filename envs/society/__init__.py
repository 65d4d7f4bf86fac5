"""Social environment design: shared worlds in which many follow, and what a principal may set in them."""
