"""Records → facts: what a result, an order, a dose or a visit means, the same for every format."""
