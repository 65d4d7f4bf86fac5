"""Learners and optimisers of the platform settings."""
