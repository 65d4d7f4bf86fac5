"""Other programs, measured beside ours in the same run."""
