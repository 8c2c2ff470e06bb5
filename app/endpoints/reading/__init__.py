"""What the endpoints read of the trial database under one cut: the two clocks, the records and the
packed columns, and the statements that fetch them. Plain data: SciPy is not imported here."""
