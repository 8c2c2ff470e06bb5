"""The coverage ledger: what became of every leaf of a message, by named rules; and its routes."""
