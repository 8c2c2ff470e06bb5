"""A FHIR R4 (4.0.1) server over PostgreSQL; knows nothing of this study, its users or its feeds."""

from app.fhir.codec import copy_json, decimal, dump_json, equal, is_number, parse_json
from app.fhir.exchange import Request as ApiRequest
from app.fhir.exchange import Response as ApiResponse
from app.fhir.http import FhirApp, FhirSettings
from app.fhir.index import Indexer
from app.fhir.layout import Layout, load_layout
from app.fhir.model import (
    EVERYTHING,
    Caller,
    Change,
    Contributor,
    Copy,
    Create,
    Delete,
    Json,
    Moment,
    Operation,
    Restriction,
    Revise,
    Statement,
    Update,
)
from app.fhir.operations import Asked
from app.fhir.operations import Operation as ApiOperation
from app.fhir.operations.answers import answer_parameters, answer_resource
from app.fhir.operations.parameters import read_known, refused, required_text, text
from app.fhir.outcome import build_outcome
from app.fhir.pages import Page
from app.fhir.profiles import (
    Profile,
    Surroundings,
    check_profile,
    compile_profile,
    meets_profile,
)
from app.fhir.registry import Registry, load_registry
from app.fhir.request import Reading, SearchRequest, parse_search
from app.fhir.store import Store, Stored, iterate_history, open_store
from app.fhir.times import Interval, parse_date, parse_period
from app.fhir.transport import Transport, TransportSettings
from app.fhir.unhurried import unhurried
from app.fhir.validate import PatientPolicy, Validator
from app.fhir.writing import run_statement

__all__ = [
    "EVERYTHING",
    "ApiOperation",
    "ApiRequest",
    "ApiResponse",
    "Asked",
    "Caller",
    "Change",
    "Contributor",
    "Copy",
    "Create",
    "Delete",
    "FhirApp",
    "FhirSettings",
    "Indexer",
    "Interval",
    "Json",
    "Layout",
    "Moment",
    "Operation",
    "Page",
    "PatientPolicy",
    "Profile",
    "Reading",
    "Registry",
    "Restriction",
    "Revise",
    "SearchRequest",
    "Statement",
    "Store",
    "Stored",
    "Surroundings",
    "Transport",
    "TransportSettings",
    "Update",
    "Validator",
    "answer_parameters",
    "answer_resource",
    "build_outcome",
    "check_profile",
    "compile_profile",
    "copy_json",
    "decimal",
    "dump_json",
    "equal",
    "is_number",
    "iterate_history",
    "load_layout",
    "load_registry",
    "meets_profile",
    "open_store",
    "parse_date",
    "parse_json",
    "parse_period",
    "parse_search",
    "read_known",
    "refused",
    "required_text",
    "run_statement",
    "text",
    "unhurried",
]
