"""Types of the compiled extension; its sources are in cpp_ext."""

import mmap

import numpy as np
import numpy.typing as npt

def hash128(data: bytes | bytearray | memoryview | mmap.mmap | npt.NDArray[np.uint8]) -> bytes: ...
