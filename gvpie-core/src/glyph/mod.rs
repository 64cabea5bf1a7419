//! Glyphs: a machine texture, expanded to the picture it stands for.
//!
//! picture(y, x) ← ink or paper of machine(⌊y/h⌋, ⌊x/w⌋), as bit (y mod h, x mod w) of its glyph says
//!
//! | operand | shape | what |
//! |---|---|---|
//! | machine | rows × columns | one [`Texel`] a cell, packed in a `u32` |
//! | picture | rows·h × columns·w | RGBA8 pixels, packed in a `u32`, R lowest; all are written |
//!
//! Cells are w × h = 6 × 8 pixels unless said; see [`Cell`]. What [`Style`] does to a glyph is said
//! there. Text becomes machine texels through [`text`]; glyphs and colours are in [`rom`].
//!
//! ## Accuracy
//!
//! Integers only: the GPU, the CPU and the oracle agree in every bit.
//!
//! ## Notes
//!
//! * Traffic is 4 bytes written a pixel, and 4/(w·h) read: the floor is the time of a fill.
//! * In CUDA prototypes a thread a cell reached 20–25 % of memset, a thread a pixel 52 %, four
//!   pixels a thread 84–91 %. Hence quads: an invocation stores 16 bytes at once. Rows whose
//!   width is no multiple of 4 are written pixel by pixel, neighbours by neighbours.
//! * A cell's attributes and colours are worked out once a workgroup, not once a pixel: what is
//!   left to a pixel is a shift and a select.

mod cpu;
mod gpu;
mod plan;
pub mod proof;
pub mod rom;
#[cfg(test)]
mod tests;
mod texel;
pub mod text;

pub use gpu::kernels;
pub use plan::{Algorithm, GlyphPlan};
pub use texel::{Style, Texel};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Pixels of a character cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cell {
    /// 5 × 7: the glyph alone; neighbours touch.
    C5x7,
    /// 6 × 8: one blank column to the right and one blank row below.
    #[default]
    C6x8,
    /// 8 × 8: one blank column to the left and two to the right, one blank row below.
    C8x8,
}

impl Cell {
    /// Every cell, for help texts and tables.
    pub const ALL: [Cell; 3] = [Cell::C5x7, Cell::C6x8, Cell::C8x8];

    /// Pixels from a cell to its right neighbour.
    pub const fn width(self) -> usize {
        match self {
            Cell::C5x7 => 5,
            Cell::C6x8 => 6,
            Cell::C8x8 => 8,
        }
    }

    /// Pixels from a cell to the one below.
    pub const fn height(self) -> usize {
        match self {
            Cell::C5x7 => 7,
            Cell::C6x8 | Cell::C8x8 => 8,
        }
    }
}

impl std::fmt::Display for Cell {
    /// `5x7`, `6x8`, `8x8`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width(), self.height())
    }
}

impl std::str::FromStr for Cell {
    type Err = Error;

    /// What [`Display`](std::fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self> {
        Cell::ALL.into_iter().find(|cell| cell.to_string() == text).ok_or_else(|| Error::Setting {
            name: "cell".into(),
            value: text.into(),
            expected: "5x7, 6x8 or 8x8".into(),
        })
    }
}

/// An expansion as plain data; see the [module](self) for the formula.
///
/// ```
/// use gvpie_core::glyph::{Cell, Glyphs, Texel};
/// use gvpie_core::{Backend, Context};
/// let ctx = Context::on(Backend::Cpu)?;
/// let machine = ctx.upload([1, 2], &[Texel::from('H').pack(), Texel::from('i').pack()])?;
/// let mut picture = ctx.zeros::<u32>([7, 10])?;
/// let plan = Glyphs::new(2, 1).cell(Cell::C5x7).plan(&ctx)?;
/// plan.run(&machine, &mut picture)?;
/// let top: Vec<bool> = picture.download()?[..5].iter().map(|&p| p == 0xFFFF_FFFF).collect();
/// assert_eq!(top, [true, false, false, false, true]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Glyphs {
    columns: usize,
    rows: usize,
    cell: Cell,
}

impl Glyphs {
    /// A machine texture of this many cells, in cells of 6 × 8 pixels.
    pub fn new(columns: usize, rows: usize) -> Self {
        Glyphs { columns, rows, cell: Cell::default() }
    }

    /// Pixels of a cell.
    pub fn cell(self, cell: Cell) -> Self {
        Glyphs { cell, ..self }
    }

    /// Shape of the machine texture: rows, columns.
    pub fn machine_shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Shape of the picture: pixels down, pixels across.
    pub fn picture_shape(&self) -> [usize; 2] {
        [
            self.rows.saturating_mul(self.cell.height()),
            self.columns.saturating_mul(self.cell.width()),
        ]
    }

    /// Bytes of the picture: what has to be written.
    pub fn bytes(&self) -> f64 {
        let [height, width] = self.picture_shape();
        4.0 * height as f64 * width as f64
    }

    /// Chooses and compiles.
    ///
    /// # Errors
    /// [`Error::Limit`] if the picture is larger than any buffer; errors of the device.
    pub fn plan(&self, ctx: &Context) -> Result<GlyphPlan> {
        GlyphPlan::new(*self, ctx)
    }
}

impl Context {
    /// The picture of a machine texture of rows × columns [`Texel`]s, in cells of this size.
    ///
    /// To write into a picture that is there already, see [`Glyphs`].
    ///
    /// # Errors
    /// [`Error::Shape`] if `machine` has not two axes, [`Error::Foreign`]; errors of the device.
    pub fn glyphs(&self, machine: &Tensor<u32>, cell: Cell) -> Result<Tensor<u32>> {
        let &[rows, columns] = machine.shape().dims() else {
            let found = format!("shape {}", machine.shape());
            return Err(Error::shape("machine", "2 axes: rows, columns", found));
        };
        let problem = Glyphs::new(columns, rows).cell(cell);
        let plan = problem.plan(self)?;
        let mut picture = self.zeros(problem.picture_shape())?;
        plan.run(machine, &mut picture)?;
        Ok(picture)
    }
}
