#!/bin/sh
# Makes the Python environment of the comparisons, in target/benches-python.
#
#   benches/python/setup.sh            NumPy, which the tests and most rows need
#   benches/python/setup.sh --peers    all peers: joblib, mpire and Ray besides, some 370 MB
set -eu
cd "$(dirname "$0")/../.."
case "${1-}" in
    "") wanted=requirements.txt ;;
    --peers) wanted=requirements-peers.txt ;;
    *) echo "usage: $0 [--peers]" >&2; exit 2 ;;
esac
python3 -m venv target/benches-python
target/benches-python/bin/pip install --quiet --requirement "benches/python/$wanted"
