//! A product larger than the device: its rate beside that of one that fits, and what spilling costs.
//!
//! `cargo run --release -p gvpie-core --example paged_gemm -- N DEVICE_MIB HOST_MIB [RESIDENT_N]`
//!
//! Multiplies two N × N matrices of f32 within budgets of so many MiB, and two of RESIDENT_N (8192
//! unless said) in device memory. With a host budget below the 12·N² bytes of A, B and C, pages spill
//! to files; `GVPIE_SPILL_DIR` says where. `GVPIE_BACKEND=cpu` or `gpu` chooses where to compute.

use gvpie_core::{Context, ContextOptions, Error, Gemm, Paged, Result};
use std::time::Instant;

fn main() -> Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [n, device, host, resident] = match numbers[..] {
        [n, device, host] => [n, device, host, 8192],
        [n, device, host, resident] => [n, device, host, resident],
        _ => [1024, 4, 8, 512],
    };
    let options = ContextOptions {
        device_budget: Some(device << 20),
        host_budget: Some(host << 20),
        ..ContextOptions::from_env()?
    };
    let ctx = pollster::block_on(Context::request(options))?;
    println!("computing on {} ({})", ctx.adapter(), ctx.backend());

    let inside = rate_of_resident(&ctx, resident as usize)?;
    println!("resident {resident}: {:.2} TFLOP/s", inside / 1e12);

    let n = n as usize;
    let (a, b) = (random(&ctx, n, 1)?, random(&ctx, n, 2)?);
    let mut c = ctx.paged::<f32>([n, n])?;
    let plan = Gemm::new(n, n, n).plan_paged(&ctx)?;
    println!("{:?}", plan.tiling());
    // The system gives C its memory during the first.
    for run in ["first", "second"] {
        let before = ctx.device().pool().usage();
        let start = Instant::now();
        plan.run(&a, &b, &mut c)?;
        let seconds = start.elapsed().as_secs_f64();
        let usage = ctx.device().pool().usage();
        let rate = plan.problem().flops() / seconds;
        println!(
            "paged {n}, {run} run: {:.2} TFLOP/s in {seconds:.2} s, {:.2} of resident",
            rate / 1e12,
            rate / inside
        );
        let moved = |now: u64, then: u64| (now - then) as f64 / seconds / 1e9;
        println!(
            "up {:.1} GB/s, down {:.1} GB/s, spilled {:.2} GB/s, read {:.2} GB/s; stalled {:.2} s of all threads",
            moved(usage.uploaded, before.uploaded),
            moved(usage.downloaded, before.downloaded),
            moved(usage.spilled, before.spilled),
            moved(usage.fetched, before.fetched),
            (usage.stalled - before.stalled).as_secs_f64(),
        );
    }
    let usage = ctx.device().pool().usage();
    println!(
        "peaks: device {} MiB, host {} MiB, disk {} MiB",
        usage.peak >> 20,
        usage.host.peak >> 20,
        usage.disk.peak >> 20
    );
    check(&a, &b, &c, n)
}

/// Floating-point operations a second of a product in device memory.
fn rate_of_resident(ctx: &Context, n: usize) -> Result<f64> {
    let data = draw(n * n, 3);
    let (a, b) = (ctx.upload([n, n], &data)?, ctx.upload([n, n], &data)?);
    let mut c = ctx.zeros::<f32>([n, n])?;
    let plan = Gemm::new(n, n, n).plan(ctx)?;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let mut batch = ctx.batch("resident");
        for _ in 0..4 {
            plan.record(&mut batch, &a, &b, &mut c)?;
        }
        best = best.min(batch.time()?.as_secs_f64() / 4.0);
    }
    Ok(plan.problem().flops() / best)
}

/// Numbers from −½ to ½.
fn draw(count: usize, seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| random.f32() - 0.5).collect()
}

/// A matrix whose rows are one row of random numbers, each begun elsewhere.
fn random(ctx: &Context, n: usize, seed: u64) -> Result<Paged<f32>> {
    let numbers = draw(2 * n, seed);
    let mut x = ctx.paged::<f32>([n, n])?;
    for first in (0..n).step_by(256) {
        let rows = first..n.min(first + 256);
        let part: Vec<f32> = rows.flat_map(|row| &numbers[row..][..n]).copied().collect();
        x.write(first * n, &part)?;
    }
    Ok(x)
}

/// Compares some elements of C with sums in f64.
fn check(a: &Paged<f32>, b: &Paged<f32>, c: &Paged<f32>, n: usize) -> Result<()> {
    let (mut row, mut one) = (vec![0.0; n], [0.0]);
    for (i, j) in [(0, 0), (n / 2, n - 1), (n - 1, n / 3)] {
        a.read(i * n, &mut row)?;
        let (mut sum, mut size) = (0.0, 0.0);
        for (k, &x) in row.iter().enumerate() {
            b.read(k * n + j, &mut one)?;
            let term = f64::from(x) * f64::from(one[0]);
            sum += term;
            size += term.abs();
        }
        c.read(i * n + j, &mut one)?;
        let bound = (n as f64 + 4.0) * 0.5_f64.powi(24) * size;
        let error = (f64::from(one[0]) - sum).abs();
        if error > bound {
            return Err(Error::Value {
                operand: format!("C[{i}, {j}]"),
                expected: format!("{sum} within {bound:e}"),
                found: one[0].to_string(),
            });
        }
    }
    println!("checked");
    Ok(())
}
