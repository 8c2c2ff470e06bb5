"""The formats that feeds may have: one decoder, one file, one line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.mappings.crf_csv import CRF_CSV
from app.mappings.crf_json import CRF_JSON
from app.mappings.csv_decoder import CSV
from app.mappings.decoding import Decoder
from app.mappings.fhir_decoder import FHIR
from app.mappings.hl7_decoder import HL7V2
from app.mappings.json_decoder import JSON
from app.mappings.xml_decoder import V3XML

DECODERS: Mapping[str, Decoder] = MappingProxyType(
    {each.format: each for each in (HL7V2, CSV, JSON, FHIR, V3XML, CRF_JSON, CRF_CSV)}
)
"""By format name; a site's feeds choose among them (`formats` in site.toml)."""
