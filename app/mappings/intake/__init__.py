"""Deliveries are kept before anything else happens to them: the inbox and its keys, the same
delivery twice, deliveries at the same time. Transaction 1.
"""
