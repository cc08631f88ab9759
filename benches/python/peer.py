"""A peer's side of the line protocol; the other side is benches/src/python.rs.

The peer prints a line when it is warm. Then, for each line on stdin, it does its work once and prints how many seconds
it took and what came out. It ends when stdin does. Every line that it prints is one JSON object.
"""

import json
import sys
import time

N_WORKERS = 2


def say(**fields):
    print(json.dumps(fields), flush=True)


def serve(work):
    """Answers with `work`, which returns seconds and a number or a list of numbers, until stdin ends."""
    say(ready=True)
    for _ in sys.stdin:
        seconds, result = work()
        say(seconds=seconds, result=result)


def serve_timed(work, n_before=1):
    """Answers with what `work` returns, until stdin ends; does it some times before, to be warm."""
    for _ in range(n_before):
        work()
    serve(lambda: timed(work))


def timed(work):
    """How many seconds `work` takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result
