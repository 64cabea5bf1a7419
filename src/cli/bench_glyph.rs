//! Rates of machine textures expanded to pictures.

use super::Failure;
use super::bench::{RUNS, Row, TARGET, median_time, row};
use gvpie_core::glyph::{Cell, Glyphs};
use gvpie_core::{Backend, Context};

/// Expands random cells with every attribute; the rate counts the picture's bytes.
pub(super) fn measure(ctx: &Context, cell: Cell) -> Result<Row, Failure> {
    let modest = ctx.device().gpu().is_none_or(|gpu| gpu.is_software());
    let (columns, rows) = if modest { (256, 128) } else { (2048, 1024) };
    let problem = Glyphs::new(columns, rows).cell(cell);
    let mut random = fastrand::Rng::with_seed(3);
    let texels: Vec<u32> = (0..columns * rows).map(|_| random.u32(..) | 0xFF00_0000).collect();
    let machine = ctx.upload(problem.machine_shape(), &texels)?;
    let mut picture = ctx.zeros::<u32>(problem.picture_shape())?;
    let plan = problem.plan(ctx)?;
    let time = median_time(ctx, RUNS, TARGET, |batch| plan.record(batch, &machine, &mut picture))?;

    let host = Context::on(Backend::Cpu)?;
    let expected = host.glyphs(&host.upload(problem.machine_shape(), &texels)?, cell)?;
    if picture.download()? != expected.download()? {
        return Err(Failure::Wrong(format!("{} differs from the CPU's picture", plan.algorithm())));
    }
    let rate = problem.bytes() / time.as_secs_f64() / 1e9;
    Ok(Row {
        dtype: "rgba8".into(),
        shape: format!("{columns}x{rows}"),
        path: plan.algorithm().to_string(),
        rate,
        unit: "GB/s",
        gbps: rate,
        ..row(ctx, "glyph", time)
    })
}
