//! `gvpie` with no arguments: what this machine computes, shown and verified, in seconds.

use super::bench::{Extents, Problem, Row, gemm as measure_gemm};
use super::bench_fft;
use super::bench_glyph::measure as glyph;
use super::gemm::{AccuracyName, FloatName};
use super::rows::figure;
use super::{Arguments, Failure};
use crate::output::{PendingFile, print};
use crate::png;
use gvpie_core::gemm::proof::Case;
use gvpie_core::glyph::Cell;
use gvpie_core::glyph::text::Layout;
use gvpie_core::{Backend, Context, DType, Gemm, Shape};
use serde_json::json;
use std::path::Path;

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
    let drawn = glyph(&ctx, Cell::C6x8)?;
    let drawn_cpu = match ctx.backend() {
        Backend::Gpu => glyph(&Context::on(Backend::Cpu)?, Cell::C6x8)?,
        Backend::Cpu => drawn.clone(),
    };
    // Long enough for a GPU, and of several passes over memory there; its rows are checked.
    let transform = bench_fft::Problem {
        length: Shape::from([if large { 1 << 20 } else { 1 << 16 }]),
        batch: if large { 16 } else { 4 },
        real: false,
        precision: DType::F32,
    };
    let transformed = bench_fft::measure(&ctx, &transform)?;
    let transformed_cpu = match ctx.backend() {
        Backend::Gpu => bench_fft::measure(&Context::on(Backend::Cpu)?, &transform)?,
        Backend::Cpu => transformed.clone(),
    };
    let picture = draw(&ctx);
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
        }, {
            "op": "glyph",
            "path": drawn.path,
            "verified": true,
            "shape": drawn.shape,
            "gb_per_second": drawn.rate,
            "cpu_gb_per_second": drawn_cpu.rate,
            "picture": picture.as_ref().ok(),
        }, {
            "op": "fft",
            "path": transformed.path,
            "verified": true,
            "shape": transformed.shape,
            "batch": transformed.batch,
            "gb_per_second": transformed.rate,
            "cpu_gb_per_second": transformed_cpu.rate,
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
    text += &format!(
        "\nglyph  equal to the CPU's picture in every bit\n       \
         {} cells, {}: {} GB/s of pixels",
        drawn.shape,
        drawn.path,
        figure(drawn.rate),
    );
    if ctx.backend() == Backend::Gpu {
        text += &format!(
            ", {:.1} times this CPU's {}",
            drawn.rate / drawn_cpu.rate,
            figure(drawn_cpu.rate)
        );
    }
    text += &match picture {
        Ok(name) => format!("\n       picture in {name}"),
        Err(failure) => format!("\n       no picture: {failure}"),
    };
    text += &format!(
        "\nfft    elements recomputed in double precision, within their error bound\n       \
         {} of {}, {}: {} GB/s",
        transformed.batch,
        transformed.shape,
        transformed.path,
        figure(transformed.rate),
    );
    if ctx.backend() == Backend::Gpu {
        text += &format!(
            ", {:.1} times this CPU's {}",
            transformed.rate / transformed_cpu.rate,
            figure(transformed_cpu.rate)
        );
    }
    text += "\nMore: gvpie doctor, gvpie bench, gvpie help\n";
    Ok(print(&text)?)
}

/// What the tour draws.
const POSTER: &str = "\
╔══════════════════════════════════════╗
║ gvpie                                ║
║ GPU compute for everyone, on WGSL    ║
╟──────────────────────────────────────╢
║ a character is a texel: ░▒▓█ ▖▗▘▙▚▛▜ ║
║ ABCDEFGHIJKLMNOPQRSTUVWXYZ 012345678 ║
║ abcdefghijklmnopqrstuvwxyz ←↑→↓ ±÷×¶ ║
║ Größe, œuvre, façade, ñandú, ¿qué?   ║
╚══════════════════════════════════════╝";

/// Draws a picture into the current folder; its name.
fn draw(ctx: &Context) -> Result<&'static str, Failure> {
    let name = "gvpie-tour.png";
    let output = |source| Failure::Output { path: name.into(), source };
    let fault = |source| Failure::Text { path: "the poster".into(), source };
    let page = Layout::new().page(POSTER).map_err(fault)?;
    let texels = page.texels.iter().enumerate().map(|(i, &texel)| {
        let row = i / page.columns;
        // Foreground colours by row: the palette's light colours behind the words.
        if texel & 0xFF < 0x20 { texel } else { texel | (0x09 + row as u32 % 6) << 8 }
    });
    let machine = ctx.upload([page.rows, page.columns], &texels.collect::<Vec<_>>())?;
    let picture = ctx.glyphs(&machine, Cell::C6x8)?;
    let [height, width] = *picture.shape().dims() else { return Ok(name) };
    let mut file = PendingFile::create(Path::new(name)).map_err(output)?;
    let pixels = picture.download()?;
    png::write(&mut file, width as u32, height as u32, |add| add(&pixels)).map_err(output)?;
    file.finish().map_err(output)?;
    Ok(name)
}

fn rate(ctx: &Context, shape: Extents) -> Result<Row, Failure> {
    let (dtype, accuracy) = (FloatName::F32, AccuracyName::F32);
    measure_gemm(ctx, Problem { shape, dtype, out: dtype, accuracy })
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
