//! What proves an implementation of glyph expansion: one table of hard cases and a naive oracle
//! that reads the ROM's source, not its tables. Tests, benchmarks, fuzzers and the self-check of
//! the command all read this one.

use super::{Algorithm, Cell, Glyphs, rom};
use crate::context::Context;
use crate::error::{Error, Result};
use std::sync::OnceLock;

/// What the machine texture of a [`Case`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Texel i is i mod 256, white on black: every glyph.
    Codes,
    /// Glyph and foreground random, plain on black.
    Coloured,
    /// Every bit random, alpha too: all attributes and backgrounds.
    Random,
}

/// One problem and what to draw.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What makes it hard.
    pub why: &'static str,
    /// The problem.
    pub problem: Glyphs,
    /// The texels.
    pub content: Content,
}

/// What a case showed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plan's choice.
    pub algorithm: Algorithm,
    /// The picture, row by row.
    pub picture: Vec<u32>,
}

/// What pixels hold before, to show those that were not written. No colour has alpha 0.
const SENTINEL: u32 = 0x00C0_FFEE;

impl Case {
    /// The machine texture's packed texels.
    pub fn machine(&self, seed: u64) -> Vec<u32> {
        let mut random = fastrand::Rng::with_seed(seed);
        let count = self.problem.columns.saturating_mul(self.problem.rows);
        let texel = |i: usize| match self.content {
            Content::Codes => i as u32 & 0xFF | 0xFF00_0000,
            Content::Coloured => random.u32(..) & 0xFFFF | 0xFF00_0000,
            Content::Random => random.u32(..),
        };
        (0..count).map(texel).collect()
    }

    /// Runs the case and holds every pixel against the oracle.
    ///
    /// # Errors
    /// [`Error::Internal`] naming the first pixel that differs; whatever the plan and the run
    /// return.
    pub fn check(&self, ctx: &Context, seed: u64) -> Result<Outcome> {
        let machine = self.machine(seed);
        let plan = self.problem.plan(ctx)?;
        let [height, width] = self.problem.picture_shape();
        let texels = ctx.upload(self.problem.machine_shape(), &machine)?;
        let mut drawn = ctx.upload([height, width], &vec![SENTINEL; height * width])?;
        plan.run(&texels, &mut drawn)?;
        let picture = drawn.download()?;
        let cell = self.problem.cell;
        for (i, &found) in picture.iter().enumerate() {
            let (y, x) = (i / width, i % width);
            let texel = machine[y / cell.height() * self.problem.columns + x / cell.width()];
            let expected = oracle(texel, x % cell.width(), y % cell.height(), cell);
            if found != expected {
                let unwritten = if found == SENTINEL { ", which was not written" } else { "" };
                return Err(Error::Internal {
                    what: format!("glyphs: {}, by {}", self.why, plan.algorithm()),
                    message: format!(
                        "pixel ({x}, {y}){unwritten}: expected {expected:08x}, found {found:08x}, \
                         texel {texel:08x}"
                    ),
                });
            }
        }
        Ok(Outcome { algorithm: plan.algorithm(), picture })
    }
}

/// The colour of one pixel of one cell, as the documentation has it, word by word.
pub fn oracle(texel: u32, x: usize, y: usize, cell: Cell) -> u32 {
    let [glyph, ink, b, _] = texel.to_le_bytes();
    let flag = |bit: u32| b & (1 << bit) != 0;
    let (bold, underline, inverse) = (flag(4), flag(5), flag(6));
    let mut set = drawn(glyph, x, y, cell);
    if bold && x > 0 {
        set |= drawn(glyph, x - 1, y, cell);
    }
    if underline && y == cell.height() - 1 {
        set = true;
    }
    if set != inverse {
        rom::PALETTE[usize::from(ink)]
    } else if b & 15 == 0 {
        rom::BLACK
    } else {
        rom::PALETTE[usize::from(b & 15)]
    }
}

/// Whether a glyph has ink at a pixel of its cell, by its drawing in the ROM's source.
fn drawn(glyph: u8, x: usize, y: usize, cell: Cell) -> bool {
    static DRAWINGS: OnceLock<Vec<Vec<&[u8]>>> = OnceLock::new();
    let drawings = DRAWINGS.get_or_init(|| {
        let source = include_str!("../../assets/glyphs.txt");
        let glyphs = source.split("\n= ").skip(1);
        glyphs.map(|glyph| glyph.lines().skip(1).map(str::as_bytes).collect()).collect()
    });
    let picture = &drawings[usize::from(glyph)];
    let (left, right) = match cell {
        Cell::C5x7 => (0, 0),
        Cell::C6x8 => (0, 1),
        Cell::C8x8 => (1, 2),
    };
    // Box drawing, the cursor, blocks and shades fill their cells.
    let joins = (0x01..=0x16).contains(&glyph) || (0x7F..=0x98).contains(&glyph);
    let column = match x {
        x if x < left => joins.then_some(0),
        x if x >= 5 + left => (joins && x < 5 + left + right).then_some(4),
        x => Some(x - left),
    };
    let row = if y < 7 { Some(y) } else { joins.then_some(6) };
    match (column, row) {
        (Some(column), Some(row)) => picture[row][column] == b'#',
        _ => false,
    }
}

/// The table: sizes 0 and 1, primes, widths that are no whole quads, the edge of a workgroup's
/// span, all codes, random attributes, a grid past the limit of one dispatch.
pub fn hard_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for cell in Cell::ALL {
        let mut add = |why, columns, rows, content| {
            cases.push(Case { why, problem: Glyphs::new(columns, rows).cell(cell), content });
        };
        for (columns, rows) in [(0, 5), (5, 0), (0, 0)] {
            add("nothing to draw", columns, rows, Content::Codes);
        }
        add("every glyph", 16, 16, Content::Codes);
        add("every glyph, in one column", 1, 256, Content::Codes);
        add("every glyph, no whole quads", 17, 16, Content::Codes);
        for columns in 1..=5 {
            add("few columns", columns, 3, Content::Random);
        }
        for (columns, rows) in [(63, 2), (64, 2), (65, 2), (66, 3), (68, 3), (127, 1), (128, 2)] {
            add("the edge of a span", columns, rows, Content::Random);
        }
        for (columns, rows) in [(13, 11), (61, 7), (131, 5), (257, 3)] {
            add("primes", columns, rows, Content::Random);
        }
        add("colours", 100, 9, Content::Coloured);
        add("a screen", 128, 64, Content::Random);
    }
    for columns in [1, 4] {
        let problem = Glyphs::new(columns, 65_537).cell(Cell::C5x7);
        cases.push(Case { why: "rows past a grid's limit", problem, content: Content::Random });
    }
    cases
}
