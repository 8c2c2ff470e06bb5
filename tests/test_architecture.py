"""The rules of the house, read from the syntax trees. Each rule opens with its reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
APP = ROOT / "app"
SOURCES = sorted(path for path in APP.rglob("*.py") if "migrations" not in path.parts)
MIGRATIONS = sorted((APP / "database" / "migrations").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
COMPOSITION = frozenset(
    {
        *(
            "main",
            "cli",
            "cli_endpoints",
            "cli_trace",
            "cli_keys",
            "cli_endpoints",
            "cli_trace",
            "cli_subject",
            "cli_feed",
            "cli_mapping",
            "cli_poll",
            "terminal",
        ),
        *("demo", "demo_text", "loading", "cohort_files"),
    }
)
"""The modules that know everything: what composes the service, and the command line around it."""

CALLING_OUT = frozenset(
    {
        *("app/demo.py", "app/demo_text.py"),
        *("app/mappings/sending/links.py", "app/mappings/polling/http.py"),
    }
)

MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "numerous": frozenset(),
    "settings": frozenset(),
    "keys": frozenset({"errors"}),
    "database": frozenset({"errors"}),
    "fhir": frozenset({"database", "errors", "numerous"}),
    "trial": frozenset({"fhir", "database", "errors"}),
    "mappings": frozenset({"fhir", "trial", "database", "errors", "numerous"}),
    "endpoints": frozenset({"trial", "fhir", "database", "errors", "numerous"}),
    "access": frozenset({"endpoints", "mappings", "trial", "fhir", "database", "errors"}),
    "simulation": frozenset({"errors"}),
}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def part_of(path: Path) -> str:
    """`app/fhir/codec.py` and `app/fhir/__init__.py` are of the part `fhir`."""
    return path.relative_to(APP).parts[0].removesuffix(".py")


def modules_imported(path: Path) -> Iterator[str]:
    """Absolute names; `from app import errors` counts as `app.errors`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module == "app":
                yield from (f"app.{alias.name}" for alias in node.names)
            else:
                yield module


def own_modules_imported(path: Path) -> Iterator[list[str]]:
    for module in modules_imported(path):
        parts = module.split(".")
        if parts[0] == "app" and len(parts) > 1 and parts[1] != "__version__":
            yield parts[1:]


def imports_of(package: str) -> list[str]:
    return [
        name_of(path)
        for path in SOURCES
        if any(
            module == package or module.startswith(f"{package}.")
            for module in modules_imported(path)
        )
    ]


def test_every_part_of_the_application_has_an_import_rule():
    """A new folder without a rule would be a hole in all rules below."""
    parts = {part_of(path) for path in SOURCES} - {"__init__"}
    assert parts - COMPOSITION - MAY_IMPORT.keys() == set()


def test_lower_parts_do_not_know_higher_ones():
    """The FHIR server must be usable without the study, the study without the feeds."""
    wrong = [
        f"{name_of(path)} imports app.{'.'.join(module)}"
        for path in SOURCES
        if (part := part_of(path)) in MAY_IMPORT
        for module in own_modules_imported(path)
        if module[0] != part and module[0] not in MAY_IMPORT[part]
    ]
    assert wrong == []


def test_other_parts_are_used_through_their_public_face():
    """What a folder does not show in its __init__ can change without asking anyone."""
    wrong = [
        f"{name_of(path)} imports app.{'.'.join(module)}"
        for path in SOURCES
        if (part := part_of(path)) in MAY_IMPORT
        for module in own_modules_imported(path)
        if module[0] != part and len(module) > 1
    ]
    assert wrong == []


def test_the_application_imports_itself_by_absolute_names():
    """Relative imports would slip past the rules above."""
    wrong = [
        name_of(path)
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert wrong == []


def test_migrations_are_frozen():
    """A migration that imports the application changes meaning when the application does."""
    versions = [path for path in MIGRATIONS if "versions" in path.parts]
    assert [name_of(path) for path in versions if list(own_modules_imported(path))] == []


def test_the_web_framework_stays_at_the_edge():
    """Logic that knows its framework can't be called from the command line or a feed."""
    wrong = [
        name
        for name in imports_of("fastapi")
        if name != "app/main.py" and not name.endswith("/routes.py")
    ]
    assert wrong == []


def test_only_those_who_call_out_have_an_http_client():
    """The service answers; what leaves the hospital's network must be easy to find."""
    assert [name for name in imports_of("httpx") if name not in CALLING_OUT] == []


def test_the_model_library_stays_inside_fhir():
    """Rebuilding models is the slowest thing a FHIR server can do: one place decides when."""
    wrong = [name for name in imports_of("fhir") if not name.startswith("app/fhir/")]
    assert wrong == []


def test_only_settings_read_the_environment():
    """A setting read elsewhere is undocumented and can't be given by a test."""
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        if path != APP / "settings.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
    ]
    assert wrong == []


def test_the_simulation_is_pure():
    """Same seed, same bytes: no clock, no files, no network, no unseeded randomness."""
    impure = {"os", "pathlib", "time", "asyncio", "socket", "uuid", "secrets", "httpx", "numpy"}
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in SOURCES
        if part_of(path) == "simulation"
        for module in modules_imported(path)
        if module.split(".")[0] in impure
    ]
    assert wrong == []


def test_files_are_named_for_what_they_hold():
    """A name that fits everything collects everything."""
    vague = {"utils", "util", "helpers", "helper", "common", "service", "manager", "base", "misc"}
    wrong = [name_of(path) for path in (*SOURCES, *TESTS) if {path.stem, path.parent.name} & vague]
    assert wrong == []


def test_every_file_says_in_one_docstring_what_it_is_for():
    """A file that can't be told in a sentence has more than one reason to exist."""
    wrong = [
        name_of(path)
        for path in (*SOURCES, *MIGRATIONS, *TESTS)
        if path.stat().st_size and not ast.get_docstring(tree_of(path))
    ]
    assert wrong == []


def test_every_folder_of_the_application_says_what_it_is_for():
    """An empty __init__ would pass the rule above without telling the reader anything."""
    folders = {path.parent for path in SOURCES}
    wrong = [
        name_of(folder)
        for folder in sorted(folders)
        if not (folder / "__init__.py").exists()
        or not ast.get_docstring(tree_of(folder / "__init__.py"))
    ]
    assert wrong == []


def test_nothing_is_left_to_be_written():
    """A stub looks like a feature until somebody calls it."""
    stub = re.compile(f"TO{'DO'}|FIX{'ME'}|XX{'X'}|NotImplemented{'Error'}")
    wrong = [
        name_of(path)
        for path in (*SOURCES, *MIGRATIONS, *TESTS)
        if stub.search(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []


def test_failures_are_not_swallowed():
    """An error that is caught and forgotten is a result that is simply missing."""
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or all(isinstance(item, ast.Pass) for item in node.body))
    ]
    assert wrong == []
