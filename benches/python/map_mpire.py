"""Calls that do nothing, through mpire's WorkerPool.map with chunk_size=1. Argument: how many."""

import sys

from mpire import WorkerPool

from peer import N_WORKERS, serve
from same import checked, same

if __name__ == "__main__":
    n = int(sys.argv[1])
    # Kept alive, the workers serve one map after the other.
    with WorkerPool(n_jobs=N_WORKERS, keep_alive=True) as pool:
        pool.map(same, range(1000), chunk_size=1)
        serve(lambda: checked(n, lambda: pool.map(same, range(n), chunk_size=1)))
        pool.stop_and_join()
