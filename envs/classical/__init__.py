"""The classical games of economics, one short file each."""
