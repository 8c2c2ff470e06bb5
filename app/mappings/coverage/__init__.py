"""The coverage ledger for those who look: a message's leaves with what became of each."""
