//! Many small pieces of work: recorded into one batch, or handed over one by one.
//!
//! `cargo run --release -p gvpie-core --example batching`
//!
//! A submission costs a driver far more than a dispatch within one: work that is known beforehand
//! belongs into one batch. Later steps see what earlier ones wrote.

use gvpie_core::{Context, Gemm, Result, Tensor};
use std::time::{Duration, Instant};

const STEPS: usize = 500;

fn main() -> Result<()> {
    let ctx = Context::new()?;
    println!("computing on {} ({})", ctx.adapter(), ctx.backend());
    // A rotation by one degree, again and again.
    let (sin, cos) = 1.0_f32.to_radians().sin_cos();
    let turn = ctx.upload([2, 2], &[cos, -sin, sin, cos])?;
    let start = [1.0_f32, 0.0];
    let plan = Gemm::new(2, 1, 2).plan(&ctx)?;

    let mut point = [ctx.upload([2, 1], &start)?, ctx.zeros::<f32>([2, 1])?];
    let one_by_one = timed(&mut point, |[from, to]| {
        for step in 0..STEPS {
            let (from, to) = if step % 2 == 0 { (&*from, &mut *to) } else { (&*to, &mut *from) };
            plan.run(&turn, from, to)?;
        }
        Ok(())
    })?;
    let expected = point[0].download()?;
    point[0].write(&start)?;
    let together = timed(&mut point, |[from, to]| {
        let mut batch = ctx.batch("all turns");
        for step in 0..STEPS {
            let (from, to) = if step % 2 == 0 { (&*from, &mut *to) } else { (&*to, &mut *from) };
            plan.record(&mut batch, &turn, from, to)?;
        }
        batch.submit()
    })?;

    assert_eq!(point[0].download()?, expected);
    println!("{STEPS} turns by one degree lead to {expected:.4?}");
    println!("one submission each: {one_by_one:?}; one for all: {together:?}");
    Ok(())
}

/// How long the work takes until its result has arrived; a first run, which compiles, is not counted.
fn timed(
    point: &mut [Tensor<f32>; 2],
    work: impl Fn(&mut [Tensor<f32>; 2]) -> Result<()>,
) -> Result<Duration> {
    let before = point[0].download()?;
    work(point)?;
    point[0].write(&before)?;
    let start = Instant::now();
    work(point)?;
    point[0].download()?;
    Ok(start.elapsed())
}
