"""Write openapi/openapi.json and openapi/capability.json from the code, for review and clients."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import __version__
from app.fhir.capability import build_capability
from app.fhir.layout import load_layout
from app.fhir.registry import load_registry
from app.main import describe_api

FOLDER = Path(__file__).parents[1] / "openapi"


def main() -> None:
    registry = load_registry()
    capability = build_capability(
        registry,
        load_layout(registry),
        "http://127.0.0.1:8000/fhir",
        __version__,
        datetime(2000, 1, 1, tzinfo=UTC),  # in service: when it started
    )
    _write("openapi.json", describe_api())
    _write("capability.json", capability)


def _write(name: str, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True)
    (FOLDER / name).write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
