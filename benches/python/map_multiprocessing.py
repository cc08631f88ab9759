"""Calls that do nothing, through multiprocessing.Pool.map. Arguments: how many; calls that travel together, or 0 for Pool's own choice."""

import sys
from multiprocessing import Pool

from peer import N_WORKERS, serve
from same import checked, same

if __name__ == "__main__":
    n, chunksize = int(sys.argv[1]), int(sys.argv[2]) or None
    with Pool(N_WORKERS) as pool:
        pool.map(same, range(1000), chunksize=1)
        serve(lambda: checked(n, lambda: pool.map(same, range(n), chunksize=chunksize)))
        pool.close()
        pool.join()
