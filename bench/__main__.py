"""`python -m bench plans`: the suite's commands."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from bench import plans


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("what", choices=["plans"], nargs="?", default="plans")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--data-dir", type=Path, help="kept for the next run; default: temporary")
    parser.add_argument("--out", type=Path, help="file for the plans")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ssci-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user passes through
        text = asyncio.run(plans.run(asked.count, asked.data_dir or Path(folder)))
    if asked.out is not None:
        asked.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
