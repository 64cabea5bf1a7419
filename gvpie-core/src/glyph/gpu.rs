//! Glyph expansion on the GPU: one kernel template, its variants, and the dispatch.

use super::plan::{Algorithm, choose};
use super::{Cell, Glyphs};
use crate::batch::{Batch, Bindings};
use crate::context::Context;
use crate::device::Backend;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::shader::Values;
use crate::tensor::Tensor;
use std::mem::offset_of;

/// WGSL's `Params` of glyph.wgsl.jinja, field by field.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::NoUninit)]
struct Params {
    columns: u32,
    spans: u32,
    groups: u32,
}

/// Cells a workgroup draws side by side: a multiple of 4, so that they are whole quads in every
/// cell size, and few enough that wide rows still make many workgroups.
const SPAN: usize = 64;

/// Invocations along a row of pixels; each row of pixels of a cell has its own.
const LANES: usize = 32;

/// The rendering for a GPU algorithm.
pub(super) fn kernel(algorithm: Algorithm) -> Kernel {
    let (Algorithm::Quads(cell) | Algorithm::Pixels(cell) | Algorithm::Cpu(cell)) = algorithm;
    let quads = matches!(algorithm, Algorithm::Quads(_));
    let (width, height) = (cell.width(), cell.height());
    let stores = SPAN * width / if quads { 4 } else { 1 };
    let row = (1_u32 << width) - 1;
    let values: Values = [
        ("width", width.into()),
        ("height", height.into()),
        ("span", SPAN.into()),
        ("steps", stores.div_ceil(LANES).into()),
        ("quads", quads.into()),
        // Every column of every row but the leftmost.
        ("bold_mask", ((row - 1) * 0x0101_0101).into()),
        // The last row of the cell lies in the second word.
        ("underline_mask", (row << (8 * (height - 5))).into()),
    ]
    .into();
    Kernel::ours(format!("glyphs {algorithm}"), "glyph.wgsl.jinja", values).entry("expand").fields(
        vec![
            ("columns", offset_of!(Params, columns)),
            ("spans", offset_of!(Params, spans)),
            ("groups", offset_of!(Params, groups)),
        ],
    )
}

/// Every kernel that a plan can ask for, for tests that validate them without a device.
pub fn kernels() -> Vec<Kernel> {
    let mut all: Vec<Algorithm> = Vec::new();
    for (cell, columns) in Cell::ALL.iter().flat_map(|&cell| [(cell, 4), (cell, 1)]) {
        if let Ok(algorithm) = choose(&Glyphs::new(columns, 1).cell(cell), Backend::Gpu)
            && !all.contains(&algorithm)
        {
            all.push(algorithm);
        }
    }
    all.into_iter().map(kernel).collect()
}

/// Records an expansion of checked, non-empty operands.
#[expect(clippy::too_many_arguments)] // four operands, in the order of their bindings
pub(super) fn record(
    batch: &mut Batch,
    ctx: &Context,
    algorithm: Algorithm,
    [columns, rows]: [usize; 2],
    machine: &Tensor<u32>,
    rom: &Tensor<u32>,
    palette: &Tensor<u32>,
    picture: &mut Tensor<u32>,
) -> Result<()> {
    let pipeline = ctx.pipeline(&kernel(algorithm))?;
    let allowed = match ctx.device().gpu() {
        Some(gpu) => gpu.limits().max_compute_workgroups_per_dimension,
        None => return Err(Error::Foreign { operand: "the context".into() }),
    };
    // The plan has checked that the pixels, of which these are fewer, can be counted.
    let spans = columns.div_ceil(SPAN) as u32;
    let groups = spans * rows as u32;
    let params = Params { columns: columns as u32, spans, groups };
    let bindings =
        Bindings::new().params(&params).read(machine).read(rom).read(palette).write(picture);
    // Workgroups run along x and wrap into y.
    let x = groups.min(allowed);
    batch.dispatch(&pipeline, bindings, [x, groups.div_ceil(x), 1])
}
