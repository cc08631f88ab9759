"""Two loky workers sum one half each of a mapped array, through joblib. Argument: the .npy file, which is mapped."""

import sys

import numpy as np
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from peer import N_WORKERS, serve_timed


def total(x):
    return float(x.sum())


if __name__ == "__main__":
    # Parts of a mapped array are mapped by the workers in turn, and not copied.
    parts = np.array_split(np.load(sys.argv[1], mmap_mode="r"), N_WORKERS)
    with Parallel(n_jobs=N_WORKERS) as parallel:
        serve_timed(lambda: sum(parallel(delayed(total)(part) for part in parts)), n_before=6)
    get_reusable_executor().shutdown()
