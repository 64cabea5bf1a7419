//! Rates of matrix multiplication, by criterion: on the CPU always, on a GPU where there is one.
//!
//! `cargo bench --bench gemm`; `GVPIE_BACKEND=gpu` takes a software driver too, or fails without
//! any. Times are the device's own ([`Batch::time`](gvpie_core::Batch::time)). How to compare with
//! a peer, and the numbers: benches/README.md.

mod devices;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use devices::{contexts, time};
use gvpie_core::gemm::proof::Case;
use gvpie_core::{Context, Gemm};
use std::time::Duration;

/// What is measured: m, n, k, batch, and why.
const SIZES: [(usize, usize, usize, usize, &str); 7] = [
    (256, 256, 256, 1, "small"),
    (1024, 1024, 1024, 1, "middling"),
    (2048, 2048, 2048, 1, "large"),
    (4096, 4096, 4096, 1, "fills a GPU"),
    (4095, 4093, 4091, 1, "no whole vectors"),
    (8192, 64, 8192, 1, "thin"),
    (128, 128, 128, 256, "a batch"),
];

/// Larger problems would keep a CPU, or a software driver, for minutes.
const MOST_FLOPS_ON_A_CPU: f64 = 2.0 * 2048.0 * 2048.0 * 2048.0;
const MOST_FLOPS_ON_A_SOFTWARE_GPU: f64 = 2.0 * 256.0 * 256.0 * 256.0;

fn most_flops(ctx: &Context) -> f64 {
    match ctx.device().gpu() {
        None => MOST_FLOPS_ON_A_CPU,
        Some(gpu) if gpu.is_software() => MOST_FLOPS_ON_A_SOFTWARE_GPU,
        Some(_) => f64::INFINITY,
    }
}

fn gemm(criterion: &mut Criterion) {
    for ctx in contexts() {
        let mut group = criterion.benchmark_group(format!("gemm f32 on {}", ctx.adapter()));
        for (m, n, k, batch, why) in SIZES {
            let problem = Gemm::new(m, n, k).batch(batch);
            if problem.flops() > most_flops(&ctx) {
                continue;
            }
            // The rate of a wrong result is no rate: the same kernel, where the oracle is quick.
            let small = Gemm::new(m.min(132), n.min(132), k.min(132)).batch(batch.min(3));
            Case::dense(why, small).check(&ctx, 1).expect("right results");

            let mut random = fastrand::Rng::with_seed(1);
            let mut fill = |count: usize| -> Vec<f32> {
                (0..count).map(|_| random.f32() * 2.0 - 1.0).collect()
            };
            let a = ctx.upload([batch, m, k], &fill(batch * m * k)).expect("A");
            let b = ctx.upload([batch, k, n], &fill(batch * k * n)).expect("B");
            let mut c = ctx.zeros::<f32>([batch, m, n]).expect("C");
            let plan = problem.plan(&ctx).expect("a plan");

            group.throughput(Throughput::Elements(problem.flops() as u64)); // Gelem/s: GFLOP/s
            let shape = format!("{m}x{n}x{k}x{batch} {}", plan.algorithm());
            group.bench_function(BenchmarkId::new(why, shape), |bencher| {
                time(bencher, &ctx, |work| plan.record(work, &a, &b, &mut c));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1));
    targets = gemm
}
criterion_main!(benches);
