"""Results as HL7 V3-style XML, and the answer that its senders expect."""
