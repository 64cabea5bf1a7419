//! Labels: what a cartridge looks like.

use crate::glyph::rom;
use crate::pixel::program::Program;

/// Width and height of a label.
pub const LABEL: [usize; 2] = [128, 64];

/// Opaque black.
const BLACK: u32 = 0xff00_0000;

/// Rows of the band that the name is written on.
const BAND: usize = 11;

/// A picture of this width and height as a label: as large as fits, in the middle, each pixel the
/// nearest one. Black if there is no picture, or not all of it.
pub fn art([width, height]: [usize; 2], pixels: &[u32]) -> Vec<u32> {
    let [across, down] = LABEL;
    let mut label = vec![BLACK; across * down];
    if width == 0 || height == 0 || width.checked_mul(height) != Some(pixels.len()) {
        return label;
    }
    // The side that is larger for its place decides.
    let wide = width * down > height * across;
    let shown_width = if wide { across } else { (width * down / height).max(1) };
    let shown_height = if wide { (height * across / width).max(1) } else { down };
    let (left, top) = ((across - shown_width) / 2, (down - shown_height) / 2);
    for y in 0..shown_height {
        for x in 0..shown_width {
            let source = (y * height / shown_height) * width + x * width / shown_width;
            label[(top + y) * across + left + x] = pixels[source] | BLACK;
        }
    }
    label
}

/// The label of a program that has not been run: its instructions as they lie in the cartridge, four
/// times as large and darker, and its name.
pub fn title(name: &str, program: &Program) -> Vec<u32> {
    let [across, down] = LABEL;
    let code = program.pixels();
    let dark = |pixel: u32| (pixel >> 1) & 0x7f_7f7f | BLACK;
    let at = |x: usize, y: usize| y / 4 * (across / 4) + x / 4;
    let place = |i: usize| code.get(at(i % across, i / across)).map_or(BLACK, |&p| dark(p));
    let mut label: Vec<u32> = (0..across * down).map(place).collect();
    let name = if name.is_empty() { "PXL-1" } else { name };
    label[(down - BAND) * across..].fill(BLACK);
    // Six pixels a glyph: what does not fit is cut.
    for (column, character) in name.chars().take((across - 2) / 6).enumerate() {
        let glyph = rom::GLYPHS[usize::from(rom::code(character).unwrap_or(rom::REPLACEMENT))];
        for (y, row) in glyph.into_iter().enumerate() {
            for x in (0..rom::COLUMNS).filter(|x| row >> (rom::COLUMNS - 1 - x) & 1 == 1) {
                label[(down - BAND + 2 + y) * across + 2 + 6 * column + x] = u32::MAX;
            }
        }
    }
    label
}
