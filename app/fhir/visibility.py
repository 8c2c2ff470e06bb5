"""What a caller may not see can't be written either: no patch shows it, no update hides it. That an
id is taken can't be kept from who may write under it; what is stored there can.
https://hl7.org/fhir/R4/security.html
"""

from __future__ import annotations

from collections.abc import Iterable

from app.database import WriteConnection
from app.errors import Category, error
from app.fhir.conditions import Binder, every
from app.fhir.model import Caller
from app.fhir.select import Compiler


async def refuse_hidden(
    connection: WriteConnection,
    compiler: Compiler,
    caller: Caller,
    keys: Iterable[tuple[str, str]],
) -> None:
    """404 for a resource that is stored but not the caller's to see, as a read says it."""
    if caller.restriction.is_open:
        return
    for resource_type, id in sorted(set(keys)):
        place, bind = compiler.layout[resource_type], Binder()
        named = f"r.id = {bind(id)}::text"
        seen = every(compiler.restricted(bind, place, caller.restriction))
        sql = f"SELECT true FROM fhir.{place.table} r WHERE {named} AND ({seen}) IS NOT TRUE"
        if await connection.fetchval(sql, *bind.values):
            raise error(Category.NOT_FOUND, f"{resource_type}/{id} is not known")
