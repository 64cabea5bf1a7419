//! Rates of sorting, by criterion: on the CPU always, on a GPU where there is one.
//!
//! `cargo bench --bench sort`; rates are of keys, with their indices. A pass moves 20 bytes for a key
//! of one word, 32 for one of two, which a copy's rate (`gvpie bench copy`) puts a floor under.

mod devices;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use devices::{MOST_IN_A_BATCH, contexts, time};
use gvpie_core::{Sort, Tensor};
use std::time::Duration;

/// What is measured: keys, words, compared bits, and why.
const SIZES: [(usize, usize, u32, &str); 5] = [
    (100_000, 1, 30, "Morton keys"),
    (1_000_000, 1, 30, "Morton keys"),
    (1_000_000, 1, 32, "whole words"),
    (1_000_000, 2, 63, "deep Morton keys"),
    (4_000_000, 1, 30, "Morton keys"),
];

/// More would keep a software driver for minutes.
const MOST_IN_SOFTWARE: usize = 100_000;

fn sort(criterion: &mut Criterion) {
    for ctx in contexts() {
        let software = ctx.device().gpu().is_some_and(|gpu| gpu.is_software());
        let mut group = criterion.benchmark_group(format!("sort on {}", ctx.adapter()));
        for (n, words, bits, why) in SIZES {
            if software && n > MOST_IN_SOFTWARE {
                continue;
            }
            let problem = Sort::new(n).words(words).bits(bits);
            let mut random = fastrand::Rng::with_seed(1);
            let given: Vec<u32> = (0..n * words).map(|_| random.u32(..)).collect();
            let plan = problem.plan(&ctx).expect("a plan");
            // Sorted keys are another problem: each run of a batch has unsorted ones.
            let keys = |_| ctx.upload(problem.keys_shape(), &given).expect("keys");
            let mut keys: Vec<Tensor<u32>> = (0..MOST_IN_A_BATCH).map(keys).collect();
            let mut order = ctx.zeros::<u32>(problem.order_shape()).expect("an order");
            group.throughput(Throughput::Elements(n as u64));
            let shape = format!("{n} {}", plan.algorithm());
            group.bench_function(BenchmarkId::new(why, shape), |bencher| {
                let mut next = 0;
                time(bencher, &ctx, |work| {
                    next = (next + 1) % keys.len();
                    keys[next].write(&given)?;
                    plan.record(work, &mut keys[next], &mut order)
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1));
    targets = sort
}
criterion_main!(benches);
