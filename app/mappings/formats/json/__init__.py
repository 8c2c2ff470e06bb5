"""Results pushed as JSON: the documented shape, and the bytes that each member stands on."""
