"""The contract every game keeps, check by check; `walras.envs.check` is the way in."""
