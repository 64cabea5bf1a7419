//! Glyph expansion on the host: the kernel's steps on slices.

use super::{Cell, rom};
use rayon::prelude::*;

/// A cell as its pixels need it: rows of ink as in the ROM, colour where there is none, colour
/// where there is.
#[derive(Clone, Copy)]
struct Decoded {
    rows: u64,
    paper: u32,
    ink: u32,
}

const BOLD: u32 = 0x10_0000;
const UNDERLINE: u32 = 0x20_0000;
const INVERSE: u32 = 0x40_0000;

/// Draws the first `rows` × `columns` texels of `machine` into `picture`, whose rows are
/// `columns` × the cell's width long. Both may be longer than that.
pub(super) fn expand(
    columns: usize,
    rows: usize,
    cell: Cell,
    machine: &[u32],
    rom: &[[u32; 2]],
    palette: &[u32; 256],
    picture: &mut [u32],
) {
    let (width, height) = (cell.width(), cell.height());
    let stripes = picture.par_chunks_mut(columns * width * height).take(rows);
    stripes.zip(machine.par_chunks(columns)).for_each(|(stripe, texels)| {
        let cells: Vec<Decoded> =
            texels.iter().map(|&texel| decode(texel, cell, rom, palette)).collect();
        for (y, line) in stripe.chunks_exact_mut(columns * width).enumerate() {
            for (pixels, cell) in line.chunks_exact_mut(width).zip(&cells) {
                let bits = cell.rows >> (8 * y);
                for (x, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = if bits >> x & 1 != 0 { cell.ink } else { cell.paper };
                }
            }
        }
    });
}

fn decode(texel: u32, cell: Cell, rom: &[[u32; 2]], palette: &[u32; 256]) -> Decoded {
    let [upper, lower] = rom[(texel & 0xFF) as usize];
    let mut rows = u64::from(upper) | u64::from(lower) << 32;
    let row = (1_u64 << cell.width()) - 1;
    if texel & BOLD != 0 {
        // Ink leaves neither the cell to the right nor the byte.
        rows |= (rows << 1) & ((row - 1) * 0x0101_0101_0101_0101);
    }
    if texel & UNDERLINE != 0 {
        rows |= row << (8 * (cell.height() - 1));
    }
    let ink = palette[(texel >> 8 & 0xFF) as usize];
    let paper = match texel >> 16 & 0xF {
        0 => rom::BLACK,
        index => palette[index as usize],
    };
    if texel & INVERSE != 0 {
        Decoded { rows, paper: ink, ink: paper }
    } else {
        Decoded { rows, paper, ink }
    }
}
