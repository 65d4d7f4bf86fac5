"""Principals that set policies, followers who answer them, and the rounds in which they meet."""
