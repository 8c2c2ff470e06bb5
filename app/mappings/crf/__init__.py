"""Case report forms: fields, codes, rules; read from JSON or CSV; what becomes of them in FHIR."""
