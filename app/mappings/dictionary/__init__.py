"""What is particular to a site, read from its folder in `sites/`: feeds, codes, columns, approvals;
and the same as FHIR terminology.
"""
