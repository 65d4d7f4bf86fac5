"""temp."""
