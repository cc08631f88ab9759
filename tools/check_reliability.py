#!/usr/bin/env python3
"""Checks that RELIABILITY.md keeps its word: every test and model that it names exists, and every row names one.

A test is named as `path/file.rs::name`, several of one file as `path/file.rs::{one, two}`. A row is a line of a table that
begins with a number; one for something that is not there yet says *later*, and is listed. Exit code 1 says what is wrong.

    python3 tools/check_reliability.py [DOCUMENT]
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = re.compile(r"`([\w./-]+\.rs)::(\{[^}`]*\}|\w+)`")
ROW = re.compile(r"^\|\s*(\d+)\s*\|")
# Numbered from 1 without a gap: how many rows each table must have.
TABLES = [40, 30]


def references(line):
    """The (file, function) pairs that a line names."""
    for path, names in REFERENCE.findall(line):
        for name in names.strip("{}").split(","):
            yield path, name.strip()


def has_test(path, name, cache={}):
    """Whether the file has a test of that name."""
    if path not in cache:
        file = ROOT / path
        cache[path] = file.read_text(encoding="utf-8") if file.is_file() else None
    text = cache[path]
    # Behind the attribute there may be others, and comments, but no body of a function.
    test = rf"#\[(?:\w+::)*test\b[^\]]*\][^{{}}]*?\bfn\s+{re.escape(name)}\b"
    return text is not None and re.search(test, text) is not None


def main():
    document = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "RELIABILITY.md"
    problems, later, seen, rows = [], [], set(), []
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        named = list(references(line))
        seen.update(named)
        for path, name in named:
            if not has_test(path, name):
                problems.append(f"line {number}: there is no test `fn {name}` in {path}")
        # A reference that the pattern does not understand would go unchecked.
        for strange in re.findall(r"`[^`]*\.rs::[^`]*`", line):
            if not REFERENCE.fullmatch(strange):
                problems.append(f"line {number}: {strange} names no test")
        if row := ROW.match(line):
            rows.append(int(row.group(1)))
            if not named and "*later*" in line:
                later.append(f"line {number}: row {row.group(1)}")
            elif not named:
                problems.append(f"line {number}: row {row.group(1)} has no test")
    wanted = [row for length in TABLES for row in range(1, length + 1)]
    if rows != wanted:
        problems.append(f"the tables have the rows {rows}, wanted {' and '.join(f'1 to {n}' for n in TABLES)}")
    for problem in problems:
        print(f"{document.name}: {problem}", file=sys.stderr)
    if problems:
        return 1
    print(f"{len(rows)} rows name {len(seen)} tests and models, and all are there; not there yet: {', '.join(later) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
