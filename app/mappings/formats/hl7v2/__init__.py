"""HL7 v2 in its bar encoding: cut with byte offsets, read by message type, acknowledged."""
