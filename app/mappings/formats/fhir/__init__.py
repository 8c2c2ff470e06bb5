"""The hospital's own FHIR R4, read into the same records as every other format."""
