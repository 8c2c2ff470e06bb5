"""Plots of the endpoints, drawn in the statistics process: legible in black and white, with n and
data cut in the caption."""
