//! `gvpie pxl`: the reference of PXL-1, from the table that everything follows.

use super::Failure;
use crate::output::print;
use gvpie_core::pixel::isa::{OPERATIONS, PORTS};
use std::fmt::Write;

/// How programs are written; the operations follow.
const LANGUAGE: &str = "\
PXL-1: programs that are pictures.

A machine has registers r0 to r15 of 32 bits, a stack of 32 words, 256 words of memory, data of at
most 16 KiB that do not change, random numbers, and a canvas. Arithmetic is of whole numbers and wraps.
An operation is a cycle. Drawing is cut at the canvas' edges.

A line:  [label:] OPERATION operands   ; comment        (a line that begins with # is one, too)

  Numbers      12  -3  0xff  0b101  'A'  #ff8000 (red lowest)  names  end-start+1
  .canvas W H             1 to 1024 pixels each; 128 64 unless said
  .mode strict|total      faults stop the program; or any bytes run
  .seed N                 where random numbers begin
  .equ NAME value         a name for a number
  .reg NAME rN            a name for a register
  label: .data 1 'A' \"text\\n\" ..####..    bytes, texts, a byte of every eight . and #
  .meta key value         id, name, author, licence, tags, parents, and others
  .raw op a b c d e       an instruction by its bytes
  .end                    no HALT is added

  SET r number            any number of 32 bits; one instruction or two
  IF r label              JNZ
  ADD r1 5                ADD r1 r1 5, and so for all arithmetic of three operands
  RECT 1 2 3 4 #ff8000    PEN #ff8000 before it; so for all that draws
  TXT 10 10 Hello World   the rest of the line, or \"a text\" and a colour, or @place length

Operations: ra, rb … are registers, a, b … numbers from 0 to 255 unless said otherwise; places are
labels. Sums and offsets take -8388608 to 8388607, half words 0 to 65535.
";

/// The reference page.
pub fn reference() -> String {
    let mut page = String::from(LANGUAGE);
    let mut group = 0xff;
    for operation in OPERATIONS {
        // The upper digit of a code is its kind.
        if operation.code >> 4 != group {
            group = operation.code >> 4;
            page.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "  {:02x}  {:<18}  {}",
            operation.code,
            operation.usage(),
            operation.about
        );
    }
    page += "\nPorts, for IN and OUT:\n\n";
    for (port, way, about) in PORTS {
        let _ = writeln!(page, "  {port:02x}  {way:<3}  {about}");
    }
    page += "\nFaults: 1 operation, 2 bounds, 3 stack overflow, 4 underflow, 5 division, 6 out of cycles, \
             7 TRAP, 8 ASSERT.";
    page
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure::Stdout`].
pub fn run() -> Result<(), Failure> {
    Ok(print(&(reference() + "\n"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_port_is_on_the_page() {
        let page = reference();
        for operation in OPERATIONS {
            assert!(page.contains(&operation.usage()) && page.contains(operation.about));
        }
        assert!(PORTS.iter().all(|(_, _, about)| page.contains(about)));
    }
}
