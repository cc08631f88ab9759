import os
import numpy as np


class Frame:
    """A shared frame of ndpool, to be read."""

    def __init__(self, path):
        self.data = np.load(path, mmap_mode="r")  # one record, or one matrix, for each buffer
        page = np.memmap(path, np.uint64, "r", offset=os.path.getsize(path) - 4096)
        self.version = page[8:9]  # the last complete version
        n_buffers, n_columns, tables_offset = (int(word) for word in (page[10], page[11], page[13]))
        tables = np.memmap(path, np.uint64, "r", offset=tables_offset, shape=(n_columns, n_buffers + 1))
        self.stamps = tables[:, :-1]  # which version each buffer of each column holds
        self.floor = tables[:, -1]  # the newest version of each column that was overwritten

    def column(self, index, data, version):
        """A copy of a column at a version, or None if the writer was faster."""
        stamps = [int(stamp) if stamp <= version else 0 for stamp in self.stamps[index]]
        buffer = int(np.argmax(stamps))
        copy = data[buffer].copy()
        is_intact = self.stamps[index, buffer] == stamps[buffer] and self.floor[index] <= stamps[buffer]
        return copy if is_intact else None

    def read(self):
        """The number of a version, and copies of all its columns (or of the matrix)."""
        names = self.data.dtype.names
        while True:
            version = int(self.version[0])
            if names is None:
                copies = self.column(0, self.data, version)
                if copies is not None:
                    return version, copies
            else:
                copies = {name: self.column(i, self.data[name], version) for i, name in enumerate(names)}
                if all(copy is not None for copy in copies.values()):
                    return version, copies
