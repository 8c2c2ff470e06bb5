"""Texts as sent → numbers, units, times, statuses, frequencies. What can't be read is a failure
with its reason, never a guess.
"""
