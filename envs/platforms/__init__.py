"""Markets with a platform between buyers and sellers: clearing, who joins, who is introduced."""
