//! Rates of sums over many bodies, by criterion: on the CPU always, on a GPU where there is one.
//!
//! `cargo bench --bench fmm`; `GVPIE_BACKEND=gpu` takes a software driver too, or fails without
//! any. Times are the host's, from points on the device to results on the device: the host has a
//! part in building the tree. The numbers: benches/README.md.

#[expect(dead_code)] // sums wait for their tree: no batch holds them
mod devices;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use devices::contexts;
use gvpie_core::fmm::Method;
use gvpie_core::nbody::models::plummer;
use gvpie_core::{Context, Fmm};
use std::time::{Duration, Instant};

/// What is measured: how many bodies, how, and why.
const SIZES: [(usize, Method, &str); 4] = [
    (16_384, Method::Direct, "every pair"),
    (16_384, Method::Fmm, "few for it"),
    (100_000, Method::Auto, "many"),
    (1_000_000, Method::Auto, "very many"),
];

/// A CPU, or a software driver, is not to be kept for minutes.
const MOST_ON_A_CPU: usize = 100_000;

fn most(ctx: &Context) -> usize {
    match ctx.device().gpu() {
        Some(gpu) if !gpu.is_software() => usize::MAX,
        _ => MOST_ON_A_CPU,
    }
}

fn fmm(criterion: &mut Criterion) {
    for ctx in contexts() {
        let mut group = criterion.benchmark_group(format!("fmm f32 on {}", ctx.adapter()));
        for (count, method, why) in SIZES.into_iter().filter(|&(n, ..)| n <= most(&ctx)) {
            let plan = Fmm::new(count).method(method).plan(&ctx).expect("a plan");
            let bodies = plummer(count, 1).positions;
            let rows: Vec<f32> = bodies.as_flattened().iter().map(|&x| x as f32).collect();
            let x = ctx.upload([count, 4], &rows).expect("x");
            let mut y = ctx.zeros::<f32>([count, 4]).expect("y");
            plan.run(&x, &mut y).expect("operands that fit");

            // The rate of a wrong result is no rate: in these units ½ Σ m φ is ½.
            let result = y.download().expect("y");
            let energy: f64 = rows
                .chunks(4)
                .zip(result.chunks(4))
                .map(|(x, y)| 0.5 * f64::from(x[3]) * f64::from(y[0]))
                .sum();
            assert!((energy - 0.5).abs() < 0.02, "wrong: {why}, {energy}");

            group.throughput(Throughput::Elements(count as u64));
            let id = BenchmarkId::new(why, format!("{count}, {}", plan.algorithm()));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|repeats| {
                    let start = Instant::now();
                    for _ in 0..repeats {
                        plan.run(&x, &mut y).expect("operands that fit");
                    }
                    let first = y.view().slice(0, 0..1).and_then(|row| row.download());
                    first.expect("a row"); // waits
                    start.elapsed()
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1));
    targets = fmm
}
criterion_main!(benches);
