"""Calls that do nothing, as remote tasks of Ray. Argument: how many."""

import sys

from peer import serve
from ray_alone import cluster, into_own_network
from same import checked, same

if __name__ == "__main__":
    into_own_network()
    n = int(sys.argv[1])
    with cluster() as ray:
        task = ray.remote(same)
        ray.get([task.remote(i) for i in range(1000)])
        serve(lambda: checked(n, lambda: ray.get([task.remote(i) for i in range(n)])))
