"""The formats' rules of masking by format name, and a kept message shown by them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.errors import Category, error
from app.fhir import unhurried
from app.mappings.feeds import Feeds
from app.mappings.watching.crf_mask import cut_crf_csv, cut_crf_json
from app.mappings.watching.csv_mask import cut_csv
from app.mappings.watching.hl7_mask import cut_hl7
from app.mappings.watching.json_mask import cut_fhir, cut_results
from app.mappings.watching.masking import Cut, Masked, mask
from app.mappings.watching.xml_mask import cut_xml

__all__ = ["CUTS", "Masked", "mask_message"]

CUTS: Mapping[str, Cut] = MappingProxyType(
    {
        "hl7v2": cut_hl7,
        "csv": cut_csv,
        "json": cut_results,
        "fhir": cut_fhir,
        "v3xml": cut_xml,
        "crf-json": cut_crf_json,
        "crf-csv": cut_crf_csv,
    }
)
"""Format → how a message of it is cut into what is shown and what is masked; a format that is not
here is masked as a whole."""


async def mask_message(feeds: Feeds, message_id: int) -> Masked:
    """The bytes of a kept message, masked. NOT_FOUND where they are not kept (any more)."""
    job = await feeds.open_job(message_id, 0)
    if job is None:
        raise error(Category.NOT_FOUND, "the bytes of this message are not kept", code="not-found")
    data = job.content.data
    cut = CUTS.get(job.content.format)
    return await unhurried(len(data), mask, data, cut, job.setting, feeds.site)
