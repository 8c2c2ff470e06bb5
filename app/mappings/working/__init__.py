"""Kept messages become resources and fact states: which go together, what each candidate does to
what is stored, what stays open. Transaction 2.
"""
