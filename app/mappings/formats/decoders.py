"""The formats that feeds may have: one decoder, one file, one line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.mappings.crf.csv_decoder import CRF_CSV
from app.mappings.crf.json_decoder import CRF_JSON
from app.mappings.formats.csv.decoder import CSV
from app.mappings.formats.decoding import Decoder
from app.mappings.formats.fhir.decoder import FHIR
from app.mappings.formats.hl7v2.decoder import HL7V2
from app.mappings.formats.json.decoder import JSON
from app.mappings.formats.v3xml.decoder import V3XML

DECODERS: Mapping[str, Decoder] = MappingProxyType(
    {each.format: each for each in (HL7V2, CSV, JSON, FHIR, V3XML, CRF_JSON, CRF_CSV)}
)
"""By format name; a site's feeds choose among them (`formats` in site.toml)."""
