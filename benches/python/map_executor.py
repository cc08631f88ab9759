"""Calls that do nothing, through ProcessPoolExecutor.map with its default chunksize of 1. Argument: how many."""

import sys
from concurrent.futures import ProcessPoolExecutor

from peer import N_WORKERS, serve
from same import checked, same

if __name__ == "__main__":
    n = int(sys.argv[1])
    with ProcessPoolExecutor(N_WORKERS) as executor:
        list(executor.map(same, range(1000)))
        serve(lambda: checked(n, lambda: list(executor.map(same, range(n)))))
