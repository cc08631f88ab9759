"""Ray on this machine alone.

Ray's servers listen on all of a machine's addresses, and outlive a program that is killed. Here they run in a network of
their own, which has nothing but a loopback device, and among processes of their own, which end with the first of them. What
Ray writes, its key too, goes to a temporary directory that is removed.
"""

import contextlib
import fcntl
import os
import secrets
import socket
import struct
import subprocess
import sys
import tempfile

from peer import N_WORKERS, say

ALONE = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
MARK = "NDPOOL_BENCHES_RAY_ALONE"


def start_over_alone():
    """Starts this program over in namespaces of its own, once. Where that is forbidden, says so and ends it."""
    if os.environ.pop(MARK, None):
        loopback_up()
        return
    try:
        subprocess.run([*ALONE, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or str(error)
        say(skipped=f"Ray would listen on all addresses, and may not have namespaces of its own: {why.strip()}")
        sys.exit(0)
    os.environ[MARK] = "yes"
    os.execvp(ALONE[0], [*ALONE, sys.executable, *sys.argv])


def loopback_up():
    siocsifflags, iff_up = 0x8914, 1
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, siocsifflags, struct.pack("16sh14x", b"lo", iff_up))


@contextlib.contextmanager
def cluster(object_store_bytes=100_000_000):
    """Ray with two workers, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="ray") as directory:
        token = os.path.join(directory, "token")
        with open(os.open(token, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        os.environ.update(
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN_PATH=token,
            RAY_USAGE_STATS_ENABLED="0",
        )
        import ray  # reads the variables above

        ray.init(
            num_cpus=N_WORKERS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=object_store_bytes,
            _temp_dir=directory,
        )
        try:
            yield ray
        finally:
            ray.shutdown()
