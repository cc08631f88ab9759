"""Two workers of Ray sum one half each of an array in its object store. Argument: the .npy file to take the array from."""

import sys

import numpy as np

from peer import N_WORKERS, serve_timed
from ray_alone import cluster, start_over_alone


def total(x, first, end):
    return float(x[first:end].sum())


if __name__ == "__main__":
    start_over_alone()
    source = np.load(sys.argv[1], mmap_mode="r")
    n = len(source)
    parts = [(n * i // N_WORKERS, n * (i + 1) // N_WORKERS) for i in range(N_WORKERS)]
    with cluster(object_store_bytes=source.nbytes * 5 // 4) as ray:
        x, task = ray.put(np.asarray(source)), ray.remote(total)
        serve_timed(lambda: sum(ray.get([task.remote(x, *part) for part in parts])), n_before=6)
