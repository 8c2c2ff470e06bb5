"""Sending messages to a receiver, over MLLP or HTTP, each until it is acknowledged."""
