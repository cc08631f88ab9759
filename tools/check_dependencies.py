#!/usr/bin/env python3
"""Checks the licence and the source of every dependency against deny.toml.

    python3 tools/check_dependencies.py

What `cargo deny check licenses sources` does, as far as this workspace needs it, without a tool to
build first. Needs Python 3.11 and nothing else.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

REGISTRY = "registry+"


def is_allowed(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be satisfied with allowed licences alone."""
    tokens = re.findall(r"\(|\)|[^\s()/]+|/", expression)

    def either() -> bool:
        result = both()
        while tokens and tokens[0] in ("OR", "/"):  # "/" is how old manifests say OR
            tokens.pop(0)
            other = both()
            result = result or other
        return result

    def both() -> bool:
        result = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            other = one()
            result = result and other
        return result

    def one() -> bool:
        token = tokens.pop(0)
        if token == "(":
            result = either()
            tokens.pop(0)
            return result
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            token += " WITH " + tokens.pop(0)
        return token in allowed

    result = either()
    if tokens:
        raise ValueError(f"cannot read the licence expression {expression!r}")
    return result


def main() -> int:
    root = pathlib.Path(__file__).parent.parent
    policy = tomllib.loads((root / "deny.toml").read_text())
    allowed = set(policy["licenses"]["allow"])
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    metadata = json.loads(subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout)
    # The metadata list what any platform would need; the tree, what is built on these.
    tree = ["cargo", "tree", "--workspace", "--all-features", "--locked", "--prefix=none", "--format={p}"]
    tree += [f"--target={target}" for target in policy["graph"]["targets"]]
    lines = subprocess.run(tree, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = {tuple(line.split()[:2]) for line in lines if line}
    packages = [package for package in metadata["packages"] if (package["name"], f"v{package['version']}") in built]

    faults, used = [], set()
    for package in packages:
        name = f"{package['name']} {package['version']}"
        source, licence = package["source"], package["license"]
        if source is not None and not source.startswith(REGISTRY):
            faults.append(f"{name} comes from {source}, not from a registry")
        if licence is None:
            faults.append(f"{name} names no licence")
        elif not is_allowed(licence, allowed):
            faults.append(f"{name} is under {licence}, of which deny.toml allows nothing that suffices")
        else:
            used.add(licence)
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(packages)} packages under {len(used)} licence expressions, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
