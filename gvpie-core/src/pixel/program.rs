//! Programs: instructions, data, and what they are run with.

use super::isa::{self, Instruction};
use crate::error::{Error, Result};

/// Instructions of a program at most.
pub const MAX_CODE: usize = 4096;

/// Bytes of data at most.
pub const MAX_DATA: usize = 16 << 10;

/// Width and height of a canvas at most.
pub const MAX_CANVAS: u32 = 1024;

/// What happens where an operation makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// The program stops with a fault.
    #[default]
    Strict,
    /// Every program runs: codes of no operation do nothing, places wrap around.
    Total,
}

impl std::fmt::Display for Mode {
    /// `strict` or `total`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mode::Strict => "strict",
            Mode::Total => "total",
        })
    }
}

/// A program of PXL-1. Its fields are kept within their limits by [`Program::check`], which whoever
/// runs or stores one calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Instructions, [`MAX_CODE`] at most.
    pub code: Vec<Instruction>,
    /// What LDB, TXT and SPR read, [`MAX_DATA`] bytes at most.
    pub data: Vec<u8>,
    /// What happens where an operation makes no sense.
    pub mode: Mode,
    /// Where its random numbers begin.
    pub seed: u32,
    /// Width and height of its canvas in pixels, 1 to [`MAX_CANVAS`] each.
    pub canvas: [u32; 2],
    /// What it says of itself: names and values, such as `name`, `author`.
    pub meta: Vec<(String, String)>,
}

impl Default for Program {
    /// No instructions, no data, strict, a canvas of 128 × 64.
    fn default() -> Self {
        Program {
            code: Vec::new(),
            data: Vec::new(),
            mode: Mode::Strict,
            seed: 0,
            canvas: [128, 64],
            meta: Vec::new(),
        }
    }
}

impl Program {
    /// Whether it keeps the limits that back ends rely on.
    ///
    /// # Errors
    /// [`Error::Limit`] naming the one it does not; [`Error::Value`] for a canvas without pixels.
    pub fn check(&self) -> Result<()> {
        let limit = |what: &str, limit, asked: usize, allowed: usize| {
            if asked <= allowed {
                return Ok(());
            }
            let (asked, allowed) = (asked as u64, allowed as u64);
            Err(Error::Limit { what: what.into(), limit, asked, allowed })
        };
        limit("the program", "instructions", self.code.len(), MAX_CODE)?;
        limit("the program's data", "bytes", self.data.len(), MAX_DATA)?;
        for (name, extent) in ["width", "height"].into_iter().zip(self.canvas) {
            limit(&format!("the canvas' {name}"), "pixels", extent as usize, MAX_CANVAS as usize)?;
            if extent == 0 {
                return Err(Error::Value {
                    operand: format!("the canvas' {name}"),
                    expected: format!("1 to {MAX_CANVAS} pixels"),
                    found: "0".into(),
                });
            }
        }
        Ok(())
    }

    /// Its instructions as pixels, two each.
    pub fn pixels(&self) -> Vec<u32> {
        self.code.iter().flat_map(|&instruction| isa::pixels(instruction)).collect()
    }
}
