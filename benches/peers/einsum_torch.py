#!/usr/bin/env python3
"""What torch.einsum reaches on the contractions of `gvpie bench einsum`, in the same columns.

Clocks, temperature and other users of a machine weigh on both, so run them back to back, and again
in the other order if a ratio matters:

    cargo build --release
    python3 benches/peers/einsum_torch.py > peer.csv
    target/release/gvpie bench einsum --csv > ours.csv

As there: f32 elements evenly distributed in -0.5 to 0.5, which stay on the device; a warm-up, then the
median of seven runs of about 40 ms each, timed by the device (CUDA events). torch allocates each result
from its pool; products are plain SGEMM (accuracy exact). With opt_einsum installed, torch takes the order
of contractions from it, else from left to right; the column driver tells which. The rate is the time.

Needs torch with CUDA; nothing else.
"""

import csv
import math
import statistics
import sys

import torch

# Expression and shapes, as in src/cli/bench_einsum.rs; a test compares the two.
TABLE = [
    ("bij,bjk->bik", (64, 512, 512), (64, 512, 512)),
    ("bhid,bhjd->bhij", (8, 16, 1024, 64), (8, 16, 1024, 64)),
    ("bhij,bhjd->bhid", (8, 16, 1024, 1024), (8, 16, 1024, 64)),
    ("ijk,jl->ikl", (256, 512, 256), (512, 512)),
    ("ijkl,jmln->imkn", (32, 64, 32, 64), (64, 32, 64, 32)),
    ("abcd,cdef->abef", (48, 48, 64, 64), (64, 64, 48, 48)),
    ("ij,ik->ijk", (1024, 512), (1024, 512)),
    ("ijk,ijk->i", (512, 512, 512), (512, 512, 512)),
    ("i,j->ij", (16384,), (16384,)),
    ("ij,kj->ik", (4096, 4096), (4096, 4096)),
    ("bi,bij->bj", (512, 1024), (512, 1024, 1024)),
    ("abc,cd,de,ef->abf", (256, 256, 64), (64, 512), (512, 512), (512, 64)),
    ("ij,ij->", (8192, 8192), (8192, 8192)),
    ("nkd,ndm->nkm", (256, 128, 512), (256, 512, 128)),
    ("abij,cij->abc", (64, 64, 64, 64), (128, 64, 64)),
    ("ij,jk,kl,lm->im", (2048, 64), (64, 2048), (2048, 64), (64, 2048)),
    ("apb,bqc,crd->apqrd", (64, 16, 64), (64, 16, 64), (64, 16, 64)),
    ("abc,bad->cd", (128, 128, 256), (128, 128, 256)),
]

COLUMNS = "op,dtype,accuracy,shape,batch,path,ms_median,rate,unit,gbps,adapter,driver"

RUNS = 7
TARGET_MS = 40.0


def milliseconds(work, repeats):
    """The device's time for so many in a row."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def median_ms(work):
    """The median time of one."""
    milliseconds(work, 1)  # chooses and loads kernels
    once = milliseconds(work, 2) / 2
    repeats = int(min(max(TARGET_MS / max(once, 1e-4), 1), 500))
    return statistics.median(milliseconds(work, repeats) / repeats for _ in range(RUNS))


def main():
    if not torch.cuda.is_available():
        sys.exit("einsum_torch.py: torch finds no CUDA device")
    adapter = torch.cuda.get_device_name()
    order = "opt_einsum" if torch.backends.opt_einsum.is_available() else "left to right"
    driver = f"torch {torch.__version__}, CUDA {torch.version.cuda}, {order}"
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = False
    rows = csv.writer(sys.stdout)
    rows.writerow(COLUMNS.split(","))
    for expression, *shapes in TABLE:
        operands = [torch.rand(shape, device="cuda") - 0.5 for shape in shapes]
        result = torch.einsum(expression, *operands)
        least = 4 * (sum(math.prod(shape) for shape in shapes) + result.numel())
        del result
        ms = median_ms(lambda: torch.einsum(expression, *operands))
        shown = " ".join([expression, *("x".join(map(str, shape)) for shape in shapes)])
        figures = (f"{ms:.4f}", f"{ms:.4f}", "ms", f"{least / ms / 1e6:.4f}")
        rows.writerow(["einsum", "f32", "exact", shown, 1, "torch", *figures, adapter, driver])
        sys.stdout.flush()


if __name__ == "__main__":
    main()
