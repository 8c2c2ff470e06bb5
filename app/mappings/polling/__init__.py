"""Asking the hospital's FHIR servers for what has changed: plan, pages, watermarks."""
