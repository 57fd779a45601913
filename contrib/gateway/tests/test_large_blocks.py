"""Where large blocks of memory lie in the processes of a gateway."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
from penstock_gateway.large_blocks import keep_large_blocks_apart

keep_large_blocks_apart()
del bytearray(1_000_000)[:]  # by which glibc else learns to keep such blocks in its heap
blocks = [bytes(200_000) for _ in range(30)]  # more than the heap has room for
with open("/proc/self/maps", encoding="ascii") as maps:
    heap = next(line for line in maps if line.endswith("[heap]\\n"))
begin, end = (int(each, 16) for each in heap.split()[0].split("-"))
print("heap" if begin <= id(blocks[-1]) < end else "apart")
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="glibc does so")
def test_a_large_block_lies_outside_of_the_heap_also_after_another_one_was_freed() -> None:
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert said.stdout == "apart\n"
