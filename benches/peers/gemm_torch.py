#!/usr/bin/env python3
"""What cuBLAS reaches on the shapes of `gvpie bench gemm`, through torch, in the same columns.

Clocks, temperature and other users of a machine weigh on both, so run them back to back, and again
in the other order if a ratio matters:

    cargo build --release
    python3 benches/peers/gemm_torch.py > peer.csv
    target/release/gvpie bench gemm --csv > f32.csv
    target/release/gvpie bench gemm --csv --accuracy exact > exact.csv
    target/release/gvpie bench gemm --csv --dtype f16 --accuracy f16 > f16.csv
    target/release/gvpie bench gemm --csv --dtype f64 > f64.csv

usage: gemm_torch.py [f32] [tf32] [f16] [f64] [--shape MxNxK | --shape BxMxNxK]...

Without names, all four. The column accuracy tells rows of the same elements apart:

    f32    f32 elements, accuracy exact: SGEMM, no tensor cores
    tf32   f32 elements, accuracy tf32: operands rounded to 11 bits
    f16    f16 elements, accuracy f16: sums in f32, also where k is divided
    f64    f64 elements, accuracy exact

As there: operands evenly distributed in -0.5 to 0.5, which stay on the device; the result goes to
memory allocated before; a warm-up, then the median of seven runs of about 40 ms each, timed by the
device (CUDA events). A run of small products is submitted product by product: where one takes less
than the host needs to submit it, a few microseconds, that is what is measured.

Needs torch with CUDA; nothing else.
"""

import argparse
import csv
import statistics
import sys

import torch

# (batch, m, n, k), as in src/cli/bench.rs; a test compares the two.
TABLE = [
    (1, 512, 512, 512),
    (1, 1024, 1024, 1024),
    (1, 2048, 2048, 2048),
    (1, 4096, 4096, 4096),
    (1, 8192, 8192, 8192),
    (1, 16384, 16384, 16384),
    (1, 4096, 64, 4096),
    (1, 64, 4096, 4096),
    (1, 4096, 4096, 64),
    (1, 1, 4096, 4096),
    (64, 256, 256, 256),
    (1, 7, 1023, 4097),
]

# name: (elements, column dtype, column accuracy)
KINDS = {
    "f32": (torch.float32, "f32", "exact"),
    "tf32": (torch.float32, "f32", "tf32"),
    "f16": (torch.float16, "f16", "f16"),
    "f64": (torch.float64, "f64", "exact"),
}

COLUMNS = "op,dtype,accuracy,shape,batch,path,ms_median,rate,unit,gbps,adapter,driver"

RUNS = 7
TARGET_MS = 40.0


def extents(text):
    """(batch, m, n, k) of MxNxK or BxMxNxK."""
    sizes = [int(part) for part in text.lower().split("x")]
    if len(sizes) not in (3, 4) or min(sizes) < 1:
        raise ValueError(text)
    return tuple([1] * (4 - len(sizes)) + sizes)


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


def operand(batch, rows, columns, elements):
    shape = (rows, columns) if batch == 1 else (batch, rows, columns)
    # Drawn in f32: the generator of f16 has 11 bits, and that of f64 costs what f64 costs.
    return (torch.rand(shape, device="cuda") - 0.5).to(elements)


def main():
    parser = argparse.ArgumentParser(description="cuBLAS on the shapes of gvpie bench gemm")
    parser.add_argument("kinds", nargs="*", metavar="f32|tf32|f16|f64")
    parser.add_argument("--shape", action="append", type=extents, metavar="MxNxK")
    options = parser.parse_args()
    unknown = [kind for kind in options.kinds if kind not in KINDS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if not torch.cuda.is_available():
        sys.exit("gemm_torch.py: torch finds no CUDA device")

    adapter = torch.cuda.get_device_name()
    driver = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    rows = csv.writer(sys.stdout)
    rows.writerow(COLUMNS.split(","))
    for kind in options.kinds or KINDS:
        elements, dtype, accuracy = KINDS[kind]
        torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        for batch, m, n, k in options.shape or TABLE:
            a, b = operand(batch, m, k, elements), operand(batch, k, n, elements)
            c = a.new_empty((*a.shape[:-1], n))
            ms = median_ms(lambda: torch.matmul(a, b, out=c))
            flops = 2.0 * batch * m * n * k
            least = a.element_size() * batch * (m * k + k * n + m * n)
            figures = (f"{ms:.4f}", f"{flops / ms / 1e9:.4f}", "TFLOP/s", f"{least / ms / 1e6:.4f}")
            rows.writerow(
                ["gemm", dtype, accuracy, f"{m}x{n}x{k}", batch, "cublas", *figures, adapter, driver]
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
