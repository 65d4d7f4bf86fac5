"""Doors, each written once for all games.

`single`, `vector` and `role` (Gymnasium), `sb3` (Stable-Baselines3), `parallel` and `aec` (PettingZoo), `openspiel`.
"""
