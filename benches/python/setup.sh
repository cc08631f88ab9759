#!/bin/sh
# Makes the Python environment of the comparisons, in target/benches-python.
set -eu
cd "$(dirname "$0")/../.."
python3 -m venv target/benches-python
target/benches-python/bin/pip install --quiet --requirement benches/python/requirements.txt
