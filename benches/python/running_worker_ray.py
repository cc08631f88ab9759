"""Ray puts an array into its object store, and a running worker sums it there. Argument: the .npy file to take the array from."""

import sys

import numpy as np

from peer import serve_timed
from ray_alone import cluster, start_over_alone

if __name__ == "__main__":
    start_over_alone()
    x = np.load(sys.argv[1])
    with cluster(object_store_bytes=4 * x.nbytes) as ray:
        total = ray.remote(lambda x: float(x.sum()))
        serve_timed(lambda: ray.get(total.remote(ray.put(x))), n_before=4)
