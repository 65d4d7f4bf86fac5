"""The policies that sit in seats, and the designers."""
