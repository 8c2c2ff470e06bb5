"""MLLP: blocks in a stream, the listener for hospital systems, the transport's own answers."""
