"""`python -m bench load|plans|feeds|endpoints`: requests and messages per second beside the raw
limit; plans of hot queries; endpoints over growing trials."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from bench import endpoints, feeds, load, plans


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "what", choices=["plans", "load", "feeds", "endpoints"], nargs="?", default="load"
    )
    parser.add_argument(
        "--count",
        type=int,
        help="Observations; plans: 1,000,000, load: 4,000; feeds: 800 messages; endpoints: 100,000"
        " participants",
    )
    parser.add_argument("--data-dir", type=Path, help="kept for the next run; default: temporary")
    parser.add_argument("--seconds", type=float, default=4.0, help="load: length of each run")
    parser.add_argument("--only", default="", help="load: paths whose name holds this")
    parser.add_argument("--out", type=Path, help="file for the result")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssci-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user passes through
        data_dir = asked.data_dir or Path(folder)
        if asked.what == "plans":
            work = plans.run(asked.count or 1_000_000, data_dir)
        elif asked.what == "feeds":
            work = feeds.run(asked.count or 800, data_dir)
        elif asked.what == "endpoints":
            work = endpoints.run(asked.count or 100_000, data_dir)
        else:
            work = load.run(asked.count or 4_000, data_dir, asked.seconds, asked.only)
        text = asyncio.run(work)
    if asked.out is not None:
        asked.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
