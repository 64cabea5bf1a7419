//! PXL-1: programs that are pictures, and the machine that runs them.
//!
//! An instruction is two pixels ([`isa`]); a [`Program`] is a picture of them. The machine has 16
//! registers of 32 bits, a stack of 32 words, 256 words of memory, a source of random numbers, a
//! canvas of RGBA8 pixels, and whole numbers only, so that every back end agrees in every bit.
//!
//! | what | how it is told |
//! |---|---|
//! | arithmetic | wraps at 32 bits; x / 0 is x, x mod 0 is 0; shifts count mod 32 |
//! | [`Mode::Strict`] | what makes no sense stops the machine with a [`Fault`] |
//! | [`Mode::Total`] | any bytes run: unknown codes do nothing, places wrap around |
//! | cost | an instruction a cycle; drawing also costs fuel, ⌈pixels / 64⌉ |
//! | frames | YIELD ends one; [`State::frame`] begins the next |
//!
//! ## Accuracy
//!
//! Integers only: the host, the group kernel and the lane kernel agree in every bit of words and
//! canvas, however a life is cut into slices.
//!
//! ## Notes
//!
//! * One thread runs what computes, and drawing is a job: figures have closed forms, so that 32
//!   threads may share a job's pixels without an order among them, and one thread draws the same.
//! * A kernel stops by itself after 16,384 instructions or as much fuel; what is left is in the
//!   machine's words, so that no program holds a device.

pub mod assembler;
pub mod cartridge;
mod cpu;
mod diagnostic;
mod disassembler;
mod draw;
mod gpu;
pub mod isa;
mod plan;
mod program;
pub mod proof;
mod state;
mod tables;
#[cfg(test)]
mod tests;

pub use assembler::assemble;
pub use cartridge::{Cartridge, CartridgeError, Meta};
pub use diagnostic::Diagnostic;
pub use disassembler::disassemble;
pub use gpu::kernels;
pub use plan::{Algorithm, Machines, PixelPlan};
pub use program::{MAX_CANVAS, MAX_CODE, MAX_DATA, Mode, Program};
pub use state::{Fault, Inputs, PORT_BYTES, State, Status, at};

use crate::context::Context;
use crate::error::Result;
use std::sync::Arc;

/// Programs to run side by side, on canvases of one size.
///
/// ```
/// use gvpie_core::pixel::{Program, Status, isa::code};
/// use gvpie_core::{Backend, Context, Pixel};
/// let ctx = Context::on(Backend::Cpu)?;
/// let mut program = Program::default();
/// program.code = vec![[code::LDI, 1, 0, 7, 0, 0], [code::MULI, 1, 1, 6, 0, 0], [code::HALT, 0, 0, 0, 0, 0]];
/// let mut machines = Pixel::new(program).plan(&ctx)?.start()?;
/// machines.run()?;
/// let state = &machines.states()?[0];
/// assert_eq!((state.status(), state.cycles(), state.registers()[1]), (Status::Halted, 3, 42));
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pixel {
    programs: Arc<[Program]>,
    copies: usize,
    algorithm: Option<Algorithm>,
    limit: u32,
}

impl Pixel {
    /// One machine of this program.
    pub fn new(program: Program) -> Self {
        Self::of([program])
    }

    /// A machine of each of these programs.
    pub fn of(programs: impl IntoIterator<Item = Program>) -> Self {
        let programs = programs.into_iter().collect();
        Pixel { programs, copies: 1, algorithm: None, limit: u32::MAX }
    }

    /// So many machines of each program, which differ in their number and in their random numbers.
    pub fn copies(self, copies: usize) -> Self {
        Pixel { copies, ..self }
    }

    /// Stops machines with [`Fault::Timeout`] after so many cycles.
    pub fn limit(self, cycles: u32) -> Self {
        Pixel { limit: cycles, ..self }
    }

    /// Runs them so, whatever is chosen otherwise.
    pub fn algorithm(self, algorithm: Algorithm) -> Self {
        Pixel { algorithm: Some(algorithm), ..self }
    }

    /// Whether these are so few machines that they run on the host wherever there is a choice, so that
    /// no device need be opened for them.
    pub fn suits_host(&self) -> bool {
        plan::is_few(self)
    }

    /// Checks the programs and chooses where they run.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) and [`Error::Value`](crate::Error::Value) for programs
    /// that are too large or whose canvases differ; [`Error::Unsupported`](crate::Error::Unsupported)
    /// for a kernel that this context has not.
    pub fn plan(self, ctx: &Context) -> Result<PixelPlan> {
        PixelPlan::new(self, ctx)
    }
}
