//! `gvpie` with no arguments: what this machine computes, shown and verified, in seconds.

use super::bench::{Extents, Row, figure, gemm as measure_gemm};
use super::{Arguments, Failure};
use crate::output::print;
use gvpie_core::gemm::proof::Case;
use gvpie_core::{Backend, Context, DType, Gemm};
use serde_json::json;

/// Runs the tour.
///
/// # Errors
/// [`Failure`]; a wrong result among them.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let ctx = arguments.context()?;
    let gpu = ctx.device().gpu();
    let words = match gpu {
        Some(gpu) => format!("{}, driver {}; self-test passed", gpu.name(), gpu.driver()),
        None => format!("the CPU, {} threads; no driver needed", threads()),
    };
    if !arguments.json {
        print(&format!("Computing on {words}\n"))?;
    }

    // Verified on a size with tails on every side; timed on one that fills the device.
    let case = Case::dense("tour", Gemm::new(253, 381, 509).alpha(1.5).beta(-0.5));
    let verified = case.check(&ctx, 1)?;
    let large = gpu.is_some_and(|gpu| !gpu.is_software());
    let n = if large { 4096 } else { 512 };
    let extents = Extents { batch: 1, m: n, n, k: n };
    let here = rate(&ctx, extents)?;
    let cpu = match ctx.backend() {
        Backend::Gpu => {
            let n = n.min(1024);
            rate(&Context::on(Backend::Cpu)?, Extents { batch: 1, m: n, n, k: n })?
        }
        Backend::Cpu => here.clone(),
    };
    let report = json!({
        "adapter": ctx.adapter(),
        "driver": ctx.driver(),
        "backend": ctx.backend().to_string(),
        "operations": [{
            "op": "gemm",
            "path": here.path,
            "verified": true,
            "part_of_error_bound": verified.worst,
            "shape": here.shape,
            "tflops": here.rate,
            "cpu_tflops": cpu.rate,
        }],
    });
    if arguments.json {
        return Ok(print(&format!("{report}\n"))?);
    }
    let mut text = format!(
        "gemm   verified against double precision: error {:.0} % of its bound\n       \
         {} f32, {}: {} TFLOP/s",
        verified.worst * 100.0,
        here.shape,
        here.path,
        figure(here.rate),
    );
    if ctx.backend() == Backend::Gpu {
        text += &format!(", {:.1} times this CPU's {}", here.rate / cpu.rate, figure(cpu.rate));
    }
    text += "\nMore: gvpie doctor, gvpie bench, gvpie help\n";
    Ok(print(&text)?)
}

fn rate(ctx: &Context, extents: Extents) -> Result<Row, Failure> {
    measure_gemm(ctx, extents, DType::F32)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
