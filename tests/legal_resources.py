"""Legal R4 resources, written for these tests: of each listed type the least, of some the most."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

STUDY = "https://ssci.example/fhir"
TEXT: Json = {"text": "as told"}
PATIENT: Json = {"reference": "Patient/SSCI-001"}
LOINC_PLATELETS: Json = {"coding": [{"system": "http://loinc.org", "code": "777-3"}]}
CANONICAL: Json = {"url": f"{STUDY}/x", "name": "X", "status": "draft"}

LEAST: dict[str, Json] = {
    "ActivityDefinition": {"status": "active"},
    "AdverseEvent": {"actuality": "actual", "subject": PATIENT},
    "AuditEvent": {
        "type": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110112"},
        "recorded": "2019-03-14T08:00:00.123+08:00",
        "agent": [{"requestor": True}],
        "source": {"observer": {"display": "server"}},
    },
    "Basic": {"code": TEXT},
    "Binary": {"contentType": "application/pdf"},
    "CarePlan": {"status": "active", "intent": "plan", "subject": PATIENT},
    "CodeSystem": {"status": "active", "content": "complete"},
    "CompartmentDefinition": {**CANONICAL, "code": "Patient", "search": True},
    "ConceptMap": {"status": "draft"},
    "Condition": {"subject": PATIENT},
    "Consent": {
        "status": "active",
        "scope": TEXT,
        "category": [TEXT],
        "patient": PATIENT,
        "policyRule": TEXT,
    },
    "Device": {},
    "DiagnosticReport": {"status": "final", "code": TEXT},
    "DocumentReference": {
        "status": "current",
        "content": [{"attachment": {"contentType": "text/plain", "url": "Binary/1"}}],
    },
    "Encounter": {
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
    },
    "Endpoint": {
        "status": "active",
        "connectionType": {"code": "hl7-fhir-rest"},
        "payloadType": [TEXT],
        "address": "https://edc.example/fhir",
    },
    "Group": {"type": "person", "actual": False},
    "ImplementationGuide": {**CANONICAL, "packageId": "x.y", "fhirVersion": ["4.0.1"]},
    "Library": {"status": "active", "type": TEXT},
    "List": {"status": "current", "mode": "working"},
    "Location": {},
    "Measure": {"status": "active"},
    "MeasureReport": {
        "status": "complete",
        "type": "summary",
        "measure": f"{STUDY}/Measure/platelet-change|1.0.0",
        "period": {"start": "2017-09", "end": "2019-09-30"},
    },
    "Medication": {},
    "MedicationAdministration": {
        "status": "completed",
        "medicationCodeableConcept": TEXT,
        "subject": PATIENT,
        "effectiveDateTime": "2019-03-14",
    },
    "MedicationDispense": {"status": "completed", "medicationCodeableConcept": TEXT},
    "MedicationRequest": {
        "status": "active",
        "intent": "order",
        "medicationReference": {"reference": "Medication/sirolimus"},
        "subject": PATIENT,
    },
    "MedicationStatement": {
        "status": "active",
        "medicationCodeableConcept": TEXT,
        "subject": PATIENT,
    },
    "MessageHeader": {
        "eventUri": "https://ssci.example/fhir/event",
        "source": {"endpoint": "https://ssci.example"},
    },
    "NamingSystem": {
        "name": "X",
        "status": "draft",
        "kind": "identifier",
        "date": "2019",
        "uniqueId": [{"type": "uri", "value": f"{STUDY}/sid/subject-number"}],
    },
    "Observation": {"status": "final", "code": LOINC_PLATELETS},
    "OperationDefinition": {
        "name": "X",
        "status": "draft",
        "kind": "operation",
        "code": "x",
        "system": False,
        "type": True,
        "instance": False,
    },
    "Organization": {"name": "PUMCH"},
    "Patient": {},
    "PlanDefinition": {"status": "active"},
    "Practitioner": {},
    "PractitionerRole": {},
    "Procedure": {"status": "completed", "subject": PATIENT},
    "Provenance": {
        "target": [{"reference": "Observation/1"}],
        "recorded": "2019-03-14T00:00:00Z",
        "agent": [{"who": {"reference": "Device/lis"}}],
    },
    "Questionnaire": {"status": "draft"},
    "QuestionnaireResponse": {"status": "completed"},
    "ResearchStudy": {"status": "active"},
    "ResearchSubject": {
        "status": "on-study",
        "study": {"reference": "ResearchStudy/SSCI"},
        "individual": PATIENT,
    },
    "SearchParameter": {
        **CANONICAL,
        "description": "x",
        "code": "x",
        "base": ["Observation"],
        "type": "token",
    },
    "ServiceRequest": {"status": "active", "intent": "order", "subject": PATIENT},
    "Specimen": {},
    "StructureDefinition": {
        **CANONICAL,
        "kind": "resource",
        "abstract": False,
        "type": "Observation",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation",
        "differential": {"element": [{"path": "Observation"}]},
    },
    "Subscription": {
        "status": "requested",
        "reason": "x",
        "criteria": "Observation?",
        "channel": {"type": "rest-hook"},
    },
    "Task": {"status": "requested", "intent": "order"},
    "ValueSet": {"status": "active"},
}

PLATELETS: Json = {
    "resourceType": "Observation",
    "id": "plt-1",
    "meta": {
        "versionId": "1",
        "lastUpdated": "2019-03-14T09:26:53.123456+08:00",
        "security": [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}
        ],
    },
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p class="x">38 &lt; 100</p></div>',
    },
    "contained": [
        {"resourceType": "Specimen", "id": "s1", "subject": PATIENT},
        {"resourceType": "Substance", "id": "s2", "code": TEXT, "instance": [{"expiry": "2020"}]},
    ],
    "extension": [
        {
            "url": f"{STUDY}/StructureDefinition/canonical-quantity",
            "valueQuantity": {
                "value": 38,
                "unit": "10*9/L",
                "system": "http://unitsofmeasure.org",
                "code": "10*9/L",
            },
        },
        {
            "url": f"{STUDY}/StructureDefinition/complex",
            "extension": [
                {"url": "a", "valueReference": {"reference": "#s2"}},
                {"url": "b", "valueMeta": {"profile": [f"{STUDY}/StructureDefinition/p|1"]}},
                {"url": "c", "valueBase64Binary": "aGVsbG8="},
            ],
        },
    ],
    "identifier": [{"system": "urn:oid:1.2.3.4", "value": "F12345-1"}],
    "status": "final",
    "category": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                    "code": "laboratory",
                }
            ]
        }
    ],
    "code": LOINC_PLATELETS,
    "subject": {"reference": "Patient/SSCI-001", "type": "Patient"},
    "focus": [{"reference": "https://elsewhere.example/x?y=z"}],
    "encounter": {"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
    "effectivePeriod": {"start": "2019-03-14", "end": "2019-03-14T08:00:00+08:00"},
    "issued": "2019-03-14T09:26:53+08:00",
    "performer": [{"reference": "https://his.example/fhir/Organization/PUMCH/_history/2"}],
    "valueQuantity": {"value": 38, "unit": "10^9/L", "comparator": "<"},
    "specimen": {"reference": "#s1"},
    "device": {"identifier": {"system": "urn:oid:1.2.3", "value": "sysmex"}, "display": "Sysmex"},
    "referenceRange": [{"low": {"value": 100}, "high": {"value": 350}, "text": "100-350"}],
    "component": [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": "32623-1"}]},
            "valueQuantity": {"value": 9, "unit": "fL"},
            "referenceRange": [{"text": "7-11"}],
        },
        {"code": TEXT, "dataAbsentReason": TEXT},
    ],
}

MOST: tuple[Json, ...] = (
    PLATELETS,
    {
        "resourceType": "Patient",
        "id": "SSCI-001",
        "active": True,
        "identifier": [{"system": f"{STUDY}/sid/subject-number", "value": "SSCI-001"}],
        "extension": [{"url": f"{STUDY}/x", "valueCode": "y"}],
        "gender": "female",
        "_gender": {"id": "g"},
        "birthDate": "1980",
        "deceasedBoolean": False,
        "managingOrganization": {"reference": "Organization/PUMCH"},
    },
    {
        "resourceType": "Condition",
        "clinicalStatus": {
            "coding": [
                {"system": "http://example.org/local", "code": "gone"},
                {
                    "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                    "code": "resolved",
                },
            ],
            "text": "gone",
        },
        "subject": PATIENT,
        "abatementAge": {
            "value": 40,
            "system": "http://unitsofmeasure.org",
            "code": "a",
        },
        "stage": [{"summary": TEXT}],
    },
    {
        "resourceType": "Observation",
        "_status": {
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                    "valueCode": "unknown",
                }
            ]
        },
        "code": TEXT,
        "valueTime": "08:00:00",
    },
    {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": TEXT,
        "subject": PATIENT,
        "dosageInstruction": [
            {
                "timing": {
                    "event": ["2019-03-14", None],
                    "_event": [None, {"extension": [{"url": "x:y", "valueString": "soon"}]}],
                    "repeat": {
                        "boundsPeriod": {"start": "2019"},
                        "count": 3,
                        "duration": 1,
                        "durationUnit": "h",
                        "frequency": 1,
                        "period": 1,
                        "periodUnit": "d",
                        "dayOfWeek": ["mon", "tue"],
                        "when": ["MORN"],
                        "offset": 30,
                    },
                },
                "doseAndRate": [{"doseQuantity": {"value": 2, "unit": "mg"}}],
                "maxDosePerPeriod": {
                    "numerator": {"value": 2, "unit": "mg"},
                    "denominator": {"value": 1, "unit": "d"},
                },
            }
        ],
    },
    {
        "resourceType": "Questionnaire",
        "status": "active",
        "subjectType": ["Patient"],
        "item": [
            {
                "linkId": "1",
                "type": "group",
                "item": [
                    {
                        "linkId": "1.1",
                        "type": "choice",
                        "answerOption": [{"valueCoding": {"code": "a"}}],
                    },
                    {
                        "linkId": "1.2",
                        "type": "decimal",
                        "initial": [{"valueDecimal": 1}],
                        "enableWhen": [
                            {"question": "1.1", "operator": "exists", "answerBoolean": True}
                        ],
                    },
                    {"linkId": "1.3", "type": "display", "text": "thanks"},
                ],
            }
        ],
    },
    {
        "resourceType": "ValueSet",
        "status": "active",
        "compose": {
            "include": [
                {
                    "system": f"{STUDY}/CodeSystem/x",
                    "filter": [{"property": "p", "op": "is-a", "value": "v"}],
                }
            ],
            "exclude": [
                {
                    "system": f"{STUDY}/CodeSystem/x",
                    "concept": [{"code": "a", "designation": [{"language": "zh", "value": "甲"}]}],
                }
            ],
        },
        "expansion": {
            "timestamp": "2019-03-14",
            "contains": [
                {"system": "x:y", "code": "a", "contains": [{"system": "x:y", "code": "b"}]}
            ],
        },
    },
    {
        "resourceType": "Provenance",
        "target": [{"reference": "Observation/1/_history/2"}],
        "recorded": "2019-03-14T00:00:00.000001Z",
        "agent": [{"who": {"reference": "Device/lis"}}],
        "entity": [
            {
                "role": "source",
                "what": {"identifier": {"value": "message 1"}},
                "agent": [{"who": {"reference": "Organization/PUMCH"}}],
            }
        ],
    },
    {
        "resourceType": "ResearchStudy",
        "status": "active",
        "enrollment": [{"reference": "Group/SSCI"}],
        "contained": [
            {"resourceType": "Group", "id": "g", "type": "person", "actual": False},
            {
                "resourceType": "ResearchSubject",
                "id": "back",
                "status": "candidate",
                "study": {"reference": "#"},
                "individual": PATIENT,
            },
        ],
        "extension": [{"url": "x:y", "valueReference": {"reference": "#g"}}],
    },
)


def least(resource_type: str) -> Json:
    return {"resourceType": resource_type, **LEAST[resource_type]}
