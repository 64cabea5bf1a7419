//! Checks and choices of glyph expansion.

use super::{Cell, Glyphs, cpu, gpu, rom};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::device::Backend;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::sync::Arc;

/// How a plan computes; prints as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Four neighbouring pixels an invocation, one store.
    Quads(Cell),
    /// One pixel a store, for rows that are not whole quads.
    Pixels(Cell),
    /// The host's cores, a row of cells at a time.
    Cpu(Cell),
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Algorithm::Quads(cell) => write!(f, "quads-{cell}"),
            Algorithm::Pixels(cell) => write!(f, "pixels-{cell}"),
            Algorithm::Cpu(cell) => write!(f, "cpu-{cell}"),
        }
    }
}

/// The algorithm for a problem. Pure.
pub(super) fn choose(problem: &Glyphs, backend: Backend) -> Result<Algorithm> {
    let Glyphs { columns, rows, cell } = *problem;
    let width = columns.checked_mul(cell.width());
    let pixels = rows.checked_mul(cell.height()).and_then(|height| height.checked_mul(width?));
    // The kernel counts pixels in 32 bits; a larger picture has to be drawn in parts.
    if backend == Backend::Gpu && pixels.is_none_or(|pixels| u32::try_from(pixels).is_err()) {
        return Err(Error::Limit {
            what: format!("a picture of {columns}x{rows} cells"),
            limit: "u32 pixel indices",
            asked: pixels.map_or(u64::MAX, |pixels| pixels as u64),
            allowed: u32::MAX.into(),
        });
    }
    Ok(match backend {
        Backend::Cpu => Algorithm::Cpu(cell),
        Backend::Gpu if width.is_some_and(|w| w.is_multiple_of(4)) => Algorithm::Quads(cell),
        Backend::Gpu => Algorithm::Pixels(cell),
    })
}

/// A checked, compiled expansion. Made by [`Glyphs::plan`]; run as often as wanted.
///
/// ```
/// use gvpie_core::glyph::Glyphs;
/// use gvpie_core::{Backend, Context};
/// let plan = Glyphs::new(128, 64).plan(&Context::on(Backend::Cpu)?)?;
/// assert_eq!(plan.algorithm().to_string(), "cpu-6x8");
/// assert_eq!(plan.problem().picture_shape(), [512, 768]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GlyphPlan {
    problem: Glyphs,
    algorithm: Algorithm,
    tables: Tables,
    ctx: Context,
}

/// The ROM, laid out for a cell, and the palette, where the algorithm reads them.
#[derive(Debug, Clone)]
pub(super) enum Tables {
    Gpu { rom: Arc<Tensor<u32>>, palette: Arc<Tensor<u32>> },
    Cpu { rom: Arc<[[u32; 2]]> },
}

impl GlyphPlan {
    pub(super) fn new(problem: Glyphs, ctx: &Context) -> Result<Self> {
        let algorithm = choose(&problem, ctx.backend())?;
        let glyphs = rom::cells(problem.cell);
        let tables = match algorithm {
            Algorithm::Cpu(_) => Tables::Cpu { rom: glyphs.into() },
            Algorithm::Quads(_) | Algorithm::Pixels(_) => {
                ctx.pipeline(&gpu::kernel(algorithm))?; // so that the first run does not compile
                Tables::Gpu {
                    rom: Arc::new(ctx.upload([256, 2], glyphs.as_flattened())?),
                    palette: Arc::new(ctx.upload([256], &rom::PALETTE)?),
                }
            }
        };
        Ok(GlyphPlan { problem, algorithm, tables, ctx: ctx.clone() })
    }

    /// The problem it solves.
    pub fn problem(&self) -> &Glyphs {
        &self.problem
    }

    /// How it computes.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Draws every pixel of the picture, without waiting for the result.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Foreign`] naming the operand that does not fit the plan;
    /// errors of the device.
    pub fn run(&self, machine: &Tensor<u32>, picture: &mut Tensor<u32>) -> Result<()> {
        let mut batch = self.ctx.batch("glyphs");
        self.record(&mut batch, machine, picture)?;
        batch.submit()
    }

    /// Records the same into a batch.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn record(
        &self,
        batch: &mut Batch,
        machine: &Tensor<u32>,
        picture: &mut Tensor<u32>,
    ) -> Result<()> {
        let device = self.ctx.device();
        if !batch.device().is(device) {
            return Err(Error::Foreign { operand: "the batch".into() });
        }
        let p = self.problem;
        let check = |tensor: &Tensor<u32>, name: &str, [down, across]: [usize; 2]| {
            tensor.view().operand().check_device(device, name)?;
            if tensor.shape().dims() == [down, across] {
                return Ok(());
            }
            let expected = format!("shape {down}x{across}");
            Err(Error::shape(name, expected, format!("shape {}", tensor.shape())))
        };
        check(machine, "machine", p.machine_shape())?;
        check(picture, "picture", p.picture_shape())?;
        if p.columns == 0 || p.rows == 0 {
            return Ok(());
        }
        match &self.tables {
            Tables::Gpu { rom, palette } => {
                let (columns, rows) = (p.columns, p.rows);
                gpu::record(
                    batch,
                    &self.ctx,
                    self.algorithm,
                    [columns, rows],
                    machine,
                    rom,
                    palette,
                    picture,
                )
            }
            Tables::Cpu { rom } => {
                let rom = Arc::clone(rom);
                let Glyphs { columns, rows, cell } = p;
                let (machine, picture) = (machine.buffer().clone(), picture.buffer().clone());
                batch.host(move || {
                    Buffer::lend([&machine], &picture, |[machine], picture| {
                        let (machine, picture) =
                            (bytemuck::cast_slice(machine), bytemuck::cast_slice_mut(picture));
                        cpu::expand(columns, rows, cell, machine, &rom, &rom::PALETTE, picture);
                    })
                });
                Ok(())
            }
        }
    }
}
