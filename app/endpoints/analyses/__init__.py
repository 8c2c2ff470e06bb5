"""One module per endpoint: from a cohort to its figures, its rows per participant and its inputs.
Runs in the statistics process."""
