"""SSCI (NCT03688191): hospital feeds in, FHIR R4 and trial endpoints out."""

__version__ = "0.1.0"
