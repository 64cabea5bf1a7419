//! Rates of glyph expansion, by criterion: on the CPU always, on a GPU where there is one.
//!
//! `cargo bench --bench glyph`; rates are of the picture's bytes, whose ceiling is that of a fill
//! (`gvpie bench fill`). The numbers: benches/README.md.

mod devices;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use devices::{contexts, time};
use gvpie_core::glyph::{Cell, Glyphs};
use std::time::Duration;

/// What is measured: columns, rows, and why.
const SIZES: [(usize, usize, &str); 3] =
    [(128, 64, "a screen"), (127, 61, "rows of no whole vectors"), (2048, 1024, "fills a GPU")];

/// Larger pictures would keep a software driver for minutes.
const MOST_CELLS_IN_SOFTWARE: usize = 128 * 64;

fn glyph(criterion: &mut Criterion) {
    for ctx in contexts() {
        let software = ctx.device().gpu().is_some_and(|gpu| gpu.is_software());
        let mut group = criterion.benchmark_group(format!("glyph on {}", ctx.adapter()));
        for (columns, rows, why) in SIZES {
            if software && columns * rows > MOST_CELLS_IN_SOFTWARE {
                continue;
            }
            for cell in Cell::ALL {
                let problem = Glyphs::new(columns, rows).cell(cell);
                let mut random = fastrand::Rng::with_seed(1);
                let texels: Vec<u32> =
                    (0..columns * rows).map(|_| random.u32(..) | 0xFF00_0000).collect();
                let machine = ctx.upload(problem.machine_shape(), &texels).expect("texels");
                let mut picture = ctx.zeros::<u32>(problem.picture_shape()).expect("a picture");
                let plan = problem.plan(&ctx).expect("a plan");
                group.throughput(Throughput::Bytes(problem.bytes() as u64));
                let shape = format!("{columns}x{rows} {}", plan.algorithm());
                group.bench_function(BenchmarkId::new(why, shape), |bencher| {
                    time(bencher, &ctx, |work| plan.record(work, &machine, &mut picture));
                });
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1));
    targets = glyph
}
criterion_main!(benches);
