"""Calls that do nothing, through joblib's Parallel on loky. Arguments: how many; batch_size, or 0 for joblib's own choice."""

import sys

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from peer import N_WORKERS, serve
from same import checked, same

if __name__ == "__main__":
    n, batch_size = int(sys.argv[1]), int(sys.argv[2]) or "auto"
    with Parallel(n_jobs=N_WORKERS, batch_size=batch_size) as parallel:
        parallel(delayed(same)(i) for i in range(1000))
        serve(lambda: checked(n, lambda: parallel(delayed(same)(i) for i in range(n))))
    get_reusable_executor().shutdown()
