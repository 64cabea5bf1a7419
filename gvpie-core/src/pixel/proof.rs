//! Programs that tests and proofs run: whatever bytes there are, and bytes that are more often
//! instructions; and what must hold of any bytes, whether they are taken for a text, a file or a
//! program.

mod mutation;
mod targets;

pub use mutation::mutated;
pub use targets::Target;

use super::isa::{Instruction, OPERATIONS, Operand};
use super::program::{Mode, Program};
use fastrand::Rng;

/// An instruction of the table with operands at random, registers few, jumps within so many
/// instructions.
fn likely(random: &mut Rng, length: usize) -> Instruction {
    let operation = OPERATIONS[random.usize(..OPERATIONS.len() - 1)]; // seldom HALT
    let mut bytes = [operation.code, 0, 0, 0, 0, 0];
    for operand in operation.operands {
        match *operand {
            Operand::Register(at) => bytes[at] = random.u8(..8),
            Operand::Byte(at) => {
                // Ports are among the small ones, and most canvases are small.
                bytes[at] = if random.bool() { random.u8(..20) } else { random.u8(..) };
            }
            Operand::Half | Operand::Data => bytes[3] = random.u8(..),
            Operand::To => {
                let to = random.usize(..=length).to_le_bytes();
                bytes[3..5].copy_from_slice(&to[..2]);
            }
            Operand::Wide => {
                let value = if random.bool() { random.i32(-9..70) } else { random.i32(..) };
                bytes[3..].copy_from_slice(&value.to_le_bytes()[..3]);
            }
            Operand::Colour => bytes[3..].fill_with(|| random.u8(..)),
        }
    }
    bytes
}

/// A program of its own for every seed: a third of them mere bytes, the others such as might have been
/// written; total ones and strict ones.
pub fn program(seed: u64, canvas: [u32; 2]) -> Program {
    let mut random = Rng::with_seed(seed);
    let length = random.usize(1..64);
    let wild = random.u8(..3) == 0;
    let code = (0..length)
        .map(|_| if wild { [(); 6].map(|()| random.u8(..)) } else { likely(&mut random, length) });
    let code = code.collect();
    let data = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
    let mode = if random.u8(..4) == 0 { Mode::Strict } else { Mode::Total };
    Program { code, data, mode, seed: random.u32(..), canvas, meta: Vec::new() }
}
