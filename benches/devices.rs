//! What the benches share: the contexts to measure on, and timing by the device's own clock.

use criterion::Bencher;
use gvpie_core::{Backend, Batch, Context, ContextOptions, Result};
use std::time::Duration;

/// A submission holds at most this many steps, so that no driver takes it for hung.
pub const MOST_IN_A_BATCH: u64 = 32;

/// The CPU always; a GPU where there is one, or as `GVPIE_BACKEND` asks.
pub fn contexts() -> Vec<Context> {
    let options = ContextOptions::from_env().expect("the environment's settings");
    let host = Context::on(Backend::Cpu).expect("the host");
    let device = match options.backend {
        Some(Backend::Cpu) => None,
        Some(Backend::Gpu) => Some(Context::on(Backend::Gpu).expect("a GPU, as asked for")),
        None => Context::new().ok().filter(|ctx| ctx.backend() == Backend::Gpu),
    };
    std::iter::once(host).chain(device).collect()
}

/// Times what `record` records, by the device's own clock.
pub fn time(
    bencher: &mut Bencher<'_>,
    ctx: &Context,
    mut record: impl FnMut(&mut Batch) -> Result<()>,
) {
    bencher.iter_custom(|mut left| {
        let mut total = Duration::ZERO;
        while left > 0 {
            let count = left.min(MOST_IN_A_BATCH);
            let mut work = ctx.batch("bench");
            (0..count).try_for_each(|_| record(&mut work)).expect("operands that fit");
            total += work.time().expect("a time");
            left -= count;
        }
        total
    });
}
