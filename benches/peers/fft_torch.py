#!/usr/bin/env python3
"""What cuFFT reaches on the transforms of `gvpie bench fft`, through torch and, where it can be
imported, CuPy, in the same columns.

Clocks, temperature and other users of a machine weigh on all, so run them back to back, and again
in the other order if a ratio matters:

    cargo build --release
    python3 benches/peers/fft_torch.py > peer.csv
    target/release/gvpie bench copy fft --csv > ours.csv

usage: fft_torch.py [torch] [cupy] [--length N | --length NxN | --length NxNxN]... [--real]
                    [--dtype f32|f64]

Without names, torch, and CuPy if it is installed; the column path tells their rows apart. Without
--length, the complex transforms (accuracy c2c) and the real ones (r2c) of the tables; --real leaves
the real ones.

As there: evenly distributed numbers in -0.5 to 0.5, as many transforms as come near 256 MB, which
stay on the device; forward, into other memory of the library's pool; a warm-up, which also makes the
plan, then the median of seven runs of about 40 ms each, timed by the device (CUDA events). The rate
is the bytes of input and output over time.

Needs torch or CuPy with CUDA; nothing else.
"""

import argparse
import csv
import importlib
import math
import statistics
import sys

# Extents of one transform, as in src/cli/bench_fft.rs; a test compares the two.
C2C = [
    (256,),
    (512,),
    (1000,),
    (1013,),
    (1024,),
    (1155,),
    (2048,),
    (4096,),
    (8192,),
    (10007,),
    (16384,),
    (32768,),
    (65536,),
    (131072,),
    (262144,),
    (524288,),
    (1048576,),
    (2097152,),
    (4194304,),
    (8388608,),
    (16777216,),
    (59049,),
    (390625,),
    (117649,),
    (1024, 1024),
    (2048, 2048),
    (4096, 4096),
    (128, 128, 128),
    (256, 256, 256),
    (512, 512, 512),
]

R2C = [
    (1024,),
    (2048,),
    (4096,),
    (8192,),
    (16384,),
    (32768,),
    (65536,),
    (131072,),
    (262144,),
    (524288,),
    (1048576,),
    (2097152,),
    (4194304,),
]

COLUMNS = "op,dtype,accuracy,shape,batch,path,ms_median,rate,unit,gbps,adapter,driver"

# Of the input, to be approached by batching.
BYTES = 256 << 20

RUNS = 7
TARGET_MS = 40.0


def length(text):
    """The extents of N, NxN or NxNxN."""
    sizes = tuple(int(part) for part in text.lower().split("x"))
    if len(sizes) > 3 or min(sizes) < 1:
        raise ValueError(text)
    return sizes


def batch_of(dims, real, part):
    """How many transforms make up BYTES, of parts of so many bytes."""
    return max(1, BYTES // (part * (1 if real else 2)) // math.prod(dims))


def traffic(dims, real, part, batch):
    """Bytes of input and output."""
    if not real:
        return 4 * part * batch * math.prod(dims)
    half = (*dims[:-1], dims[-1] // 2 + 1)
    return part * batch * (math.prod(dims) + 2 * math.prod(half))


def median_ms(milliseconds, work):
    """The median time of one; milliseconds(work, repeats) times so many in a row."""
    milliseconds(work, 1)  # plans, loads kernels
    once = milliseconds(work, 2) / 2
    repeats = int(min(max(TARGET_MS / max(once, 1e-4), 1), 500))
    return statistics.median(milliseconds(work, repeats) / repeats for _ in range(RUNS))


class Torch:
    """cuFFT as torch calls it."""

    def __init__(self, torch):
        self.torch = torch
        if not torch.cuda.is_available():
            raise RuntimeError("torch finds no CUDA device")
        self.adapter = torch.cuda.get_device_name()
        self.driver = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
        torch.manual_seed(1)

    def milliseconds(self, work, repeats):
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)

    def work(self, shape, real, dtype):
        """A call that transforms all axes but the first."""
        torch = self.torch
        part = {"f32": torch.float32, "f64": torch.float64}[dtype]
        draw = lambda: torch.rand(shape, device="cuda", dtype=part) - 0.5
        x = draw() if real else torch.complex(draw(), draw())
        axes = tuple(range(1, len(shape)))
        transform = torch.fft.rfftn if real else torch.fft.fftn
        # Without out=, with which torch copies the result once more; its pool keeps the memory.
        return lambda: transform(x, dim=axes)


class Cupy:
    """cuFFT as CuPy calls it: its plan, into memory of its own choice, which it keeps."""

    def __init__(self, cupy):
        self.cupy = cupy
        if cupy.cuda.runtime.getDeviceCount() == 0:
            raise RuntimeError("CuPy finds no CUDA device")
        self.adapter = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        version = cupy.cuda.runtime.runtimeGetVersion()
        self.driver = f"cupy {cupy.__version__}, CUDA {version // 1000}.{version % 1000 // 10}"
        cupy.random.seed(1)

    def milliseconds(self, work, repeats):
        start, end = (self.cupy.cuda.Event() for _ in range(2))
        start.record()
        for _ in range(repeats):
            work()
        end.record()
        end.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, end)

    def work(self, shape, real, dtype):
        cupy = self.cupy
        part = {"f32": cupy.float32, "f64": cupy.float64}[dtype]
        draw = lambda: cupy.random.random(shape, dtype=part) - part(0.5)
        x = draw() if real else draw() + 1j * draw()
        axes = tuple(range(1, len(shape)))
        transform = cupy.fft.rfftn if real else cupy.fft.fftn
        return lambda: transform(x, axes=axes)


PEERS = {"torch": Torch, "cupy": Cupy}


def peers(names):
    """The peers of these names; without names those that can be had, at least one."""
    found = []
    for name in names or PEERS:
        try:
            found.append((name, PEERS[name](importlib.import_module(name))))
        except (ImportError, RuntimeError) as reason:
            if names:
                sys.exit(f"fft_torch.py: {name}: {reason}")
    if not found:
        sys.exit("fft_torch.py: neither torch nor cupy finds a CUDA device")
    return found


def main():
    parser = argparse.ArgumentParser(description="cuFFT on the transforms of gvpie bench fft")
    parser.add_argument("names", nargs="*", metavar="torch|cupy")
    parser.add_argument("--length", action="append", type=length, metavar="N")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--dtype", choices=["f32", "f64"], default="f32")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in PEERS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.length:
        jobs = [(dims, options.real) for dims in options.length]
    else:
        jobs = [] if options.real else [(dims, False) for dims in C2C]
        jobs += [(dims, True) for dims in R2C]

    part = {"f32": 4, "f64": 8}[options.dtype]
    rows = csv.writer(sys.stdout)
    rows.writerow(COLUMNS.split(","))
    for name, peer in peers(options.names):
        for dims, real in jobs:
            batch = batch_of(dims, real, part)
            work = peer.work((batch, *dims), real, options.dtype)
            ms = median_ms(peer.milliseconds, work)
            rate = f"{traffic(dims, real, part, batch) / ms / 1e6:.4f}"
            shape = "x".join(map(str, dims))
            kind = "r2c" if real else "c2c"
            figures = (f"{ms:.4f}", rate, "GB/s", rate)
            columns = ["fft", options.dtype, kind, shape, batch, f"cufft, {name}", *figures]
            rows.writerow([*columns, peer.adapter, peer.driver])
            sys.stdout.flush()


if __name__ == "__main__":
    main()
