"""Calls that do nothing, as remote tasks of Ray. Argument: how many."""

import sys

from peer import serve
from ray_alone import cluster, start_over_alone
from same import checked, same

if __name__ == "__main__":
    start_over_alone()
    n = int(sys.argv[1])
    with cluster() as ray:
        task = ray.remote(same)
        ray.get([task.remote(i) for i in range(1000)])
        serve(lambda: checked(n, lambda: ray.get([task.remote(i) for i in range(n)])))
