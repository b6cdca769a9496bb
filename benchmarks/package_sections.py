"""A file of one's own for benchmarks: descriptions of Debian packages, and the section of each.

    python -m benchmarks.package_sections sections.csv

writes --rows rows of text and label, as many of each section as of the others, in an order that is
drawn. The descriptions are those that `apt-cache dumpavail` knows after `apt-get update`.
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
from collections import defaultdict
from pathlib import Path

SECTIONS = ("doc", "fonts", "games", "math", "net", "perl", "python", "sound")


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=2400)
    given = parser.parse_args()
    listed = subprocess.run(
        ["apt-cache", "dumpavail"], capture_output=True, text=True, check=True
    ).stdout
    generator, rows = random.Random(0), []
    for section, texts in descriptions(listed).items():
        drawn = generator.sample(sorted(texts), given.rows // len(SECTIONS))
        rows += [(text, section) for text in drawn]
    generator.shuffle(rows)
    with given.file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])


def descriptions(listed: str) -> dict[str, set[str]]:
    """Return the different short descriptions of each section, from the text of apt-cache."""
    found = defaultdict[str, set[str]](set)
    for package in listed.split("\n\n"):
        pairs = (line.split(": ", 1) for line in package.splitlines() if ": " in line)
        fields = {pair[0]: pair[1] for pair in pairs}
        if fields.get("Section") in SECTIONS and "Description" in fields:
            found[fields["Section"]].add(fields["Description"])
    return {section: found[section] for section in SECTIONS}


if __name__ == "__main__":
    main()
