"""Types of the compiled extension; its sources are in cpp_ext."""

import mmap

def hash128(data: bytes | bytearray | memoryview | mmap.mmap) -> bytes: ...
