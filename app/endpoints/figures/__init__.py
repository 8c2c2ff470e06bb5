"""Figures from numbers: summaries, tests, intervals, survival, models. Pure functions that know no
trial; each is defined for every input, as a value or as null with its reason."""
