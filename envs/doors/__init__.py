"""Doors, each written once for all games.

`single` and `vector` (Gymnasium), `sb3` (Stable-Baselines3), `parallel` and `aec` (PettingZoo), `openspiel`.
"""
