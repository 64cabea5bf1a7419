//! Rates of Fourier transforms, by criterion: on the CPU always, on a GPU where there is one.
//!
//! `cargo bench --bench fft`; `GVPIE_BACKEND=gpu` takes a software driver too, or fails without
//! any. Times are the device's own ([`Batch::time`](gvpie_core::Batch::time)). How to compare with
//! a peer, and the numbers: benches/README.md.

mod devices;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use devices::{contexts, time};
use gvpie_core::{Complex, Context, Fft};
use std::time::Duration;

/// What is measured: extents of one transform, and why.
const SIZES: [(&[usize], &str); 9] = [
    (&[256], "short"),
    (&[1024], "one pass"),
    (&[1000], "no power of two"),
    (&[1013], "a prime"),
    (&[8192], "the most of one pass"),
    (&[1 << 16], "two passes"),
    (&[1 << 20], "long"),
    (&[1024, 1024], "a picture"),
    (&[128, 128, 128], "a volume"),
];

/// Elements of a batch: 16 MB on a CPU, or a software driver, that is not to be kept for minutes.
const ELEMENTS: usize = 1 << 25;
const ELEMENTS_ON_A_CPU: usize = 1 << 21;

fn elements(ctx: &Context) -> usize {
    match ctx.device().gpu() {
        Some(gpu) if !gpu.is_software() => ELEMENTS,
        _ => ELEMENTS_ON_A_CPU,
    }
}

fn fft(criterion: &mut Criterion) {
    for ctx in contexts() {
        let mut group = criterion.benchmark_group(format!("fft f32 on {}", ctx.adapter()));
        for (dims, why) in SIZES {
            let n: usize = dims.iter().product();
            let batch = (elements(&ctx) / n).max(1);
            let shape = [&[batch], dims].concat();
            let problem = Fft::new(shape.clone()).axes((1..shape.len()).collect::<Vec<_>>());
            let plan = problem.plan(&ctx).expect("a plan");

            // The rate of a wrong result is no rate: the spectrum of an impulse is flat.
            let mut impulse = vec![Complex::ZERO; n * batch];
            impulse.iter_mut().step_by(n).for_each(|first| *first = Complex::ONE);
            let mut x = ctx.upload(&shape[..], &impulse).expect("x");
            let mut y = ctx.zeros::<Complex<f32>>(&shape[..]).expect("y");
            plan.run(&x, &mut y).expect("operands that fit");
            let flat = |value: &Complex<f32>| (value - Complex::ONE).norm() < 1e-4;
            assert!(y.download().expect("y").iter().all(flat), "wrong: {why}");

            let mut random = fastrand::Rng::with_seed(1);
            let mut draw = || random.f32() * 2.0 - 1.0;
            impulse.fill_with(|| Complex::new(draw(), draw()));
            x.write(&impulse).expect("x");
            group.throughput(Throughput::Bytes(16 * (n * batch) as u64)); // read and written
            let words: Vec<String> = dims.iter().map(ToString::to_string).collect();
            let id = BenchmarkId::new(why, format!("{}, {batch} of them", words.join("x")));
            group.bench_function(id, |bencher| {
                time(bencher, &ctx, |work| plan.record(work, &x, &mut y));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1));
    targets = fft
}
criterion_main!(benches);
