//! PXL-1: programs that are pictures, and the machine that runs them.
//!
//! An instruction is two pixels ([`isa`]); a [`Program`] is a picture of them. The machine has 16
//! registers of 32 bits, a stack of 32 words, 256 words of memory, a source of random numbers, a
//! canvas of RGBA8 pixels, and whole numbers only, so that every back end agrees in every bit.

pub mod assembler;
pub mod cartridge;
mod diagnostic;
mod disassembler;
pub mod isa;
mod program;

pub use assembler::assemble;
pub use cartridge::{Cartridge, CartridgeError, Meta};
pub use diagnostic::Diagnostic;
pub use disassembler::disassemble;
pub use program::{MAX_CANVAS, MAX_CODE, MAX_DATA, Mode, Program};
