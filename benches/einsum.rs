//! Rates of sums of products over named indices, by criterion: on the CPU always, on a GPU where there
//! is one.
//!
//! `cargo bench --bench einsum`; `GVPIE_BACKEND=gpu` takes a software driver too, or fails without
//! any. Times are the device's own ([`Batch::time`](gvpie_core::Batch::time)). The table that is
//! compared with a peer is that of `gvpie bench einsum`: benches/README.md.

mod devices;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use devices::{contexts, time};
use gvpie_core::Einsum;
use gvpie_core::einsum::proof::Case;
use std::time::Duration;

/// What is measured: an expression, the operands' extents, and why.
const CASES: [(&str, &[&[usize]], &str); 7] = [
    ("bij,bjk->bik", &[&[8, 128, 128], &[8, 128, 128]], "products as they lie"),
    ("ijkl,jmln->imkn", &[&[16, 16, 16, 16], &[16, 16, 16, 16]], "copies around a product"),
    ("abc,cd,de->abe", &[&[32, 32, 32], &[32, 64], &[64, 32]], "a chain"),
    ("ij,ik->ijk", &[&[256, 64], &[256, 64]], "outer products"),
    ("ijk,ijk->i", &[&[64, 128, 128], &[64, 128, 128]], "dots"),
    ("ij,ij->", &[&[1024, 1024], &[1024, 1024]], "one long sum"),
    ("ij->ji", &[&[1024, 1024]], "a transpose"),
];

fn einsum(criterion: &mut Criterion) {
    for ctx in contexts() {
        let mut group = criterion.benchmark_group(format!("einsum f32 on {}", ctx.adapter()));
        for (expression, shapes, why) in CASES {
            let problem = Einsum::new(expression);
            // The rate of a wrong result is no rate: the same kernels, where the oracle is quick.
            let small = |shape: &&[usize]| shape.iter().map(|n| n / 8).collect::<Vec<_>>();
            let small: Vec<Vec<usize>> = shapes.iter().map(small).collect();
            Case::dense(why, problem.clone(), small).check(&ctx, 1).expect("right results");

            let mut random = fastrand::Rng::with_seed(1);
            let mut tensors = Vec::new();
            for shape in shapes {
                let count = shape.iter().product();
                let data: Vec<f32> = (0..count).map(|_| random.f32() * 2.0 - 1.0).collect();
                tensors.push(ctx.upload(*shape, &data).expect("an operand"));
            }
            let operands: Vec<_> = tensors.iter().collect();
            let plan = problem.plan(&ctx, shapes).expect("a plan");
            let mut y = ctx.zeros::<f32>(plan.shape()).expect("a result");

            let elements = tensors.iter().map(|tensor| tensor.len()).sum::<usize>() + y.len();
            group.throughput(Throughput::Bytes(4 * elements as u64));
            group.bench_function(BenchmarkId::new(why, expression), |bencher| {
                time(bencher, &ctx, |work| plan.record(work, &operands, &mut y));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1));
    targets = einsum
}
criterion_main!(benches);
