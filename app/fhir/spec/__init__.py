"""Facts of FHIR R4 as data. `types.json` is kept by hand; scripts/build_spec.py writes the rest."""
