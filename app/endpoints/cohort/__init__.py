"""From rows to participants: who is in which population, first dose, baseline, visit windows and
the count chosen for each. Columns of all participants at once: 100,000 are computed as 20 are."""
