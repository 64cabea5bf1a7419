//! Machine texels: a character cell in the four bytes of an RGBA8 texel.
//!
//! | byte | holds |
//! |---|---|
//! | R | the glyph, 0–255 |
//! | G | the foreground: an index into the [palette](super::rom::PALETTE), 0 white |
//! | B, low nibble | the background: a palette index, but 0 is black |
//! | B, high nibble | bold, underline, inverse, blink, from its lowest bit up |
//! | A | 255, because image tools destroy colours under alpha 0; not read |
//!
//! So (code, 0, 0, 255) is plain white on black. In tensors a texel is one `u32`, R lowest.

use super::rom;

/// The attributes of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Style {
    /// Each row of the cell is ORed with itself one pixel to the right, within the cell.
    pub bold: bool,
    /// The last row of the cell is ink: the glyph's last row in cells of 7 rows, the row below
    /// it in cells of 8.
    pub underline: bool,
    /// Foreground and background exchanged, after everything else.
    pub inverse: bool,
    /// Reserved for screens that blink; expansion draws the cell as if it were not set.
    pub blink: bool,
}

/// One character cell.
///
/// ```
/// use gvpie_core::glyph::{Style, Texel};
/// let a = Texel::from('A');
/// assert_eq!(a.pack().to_le_bytes(), [0x41, 0, 0, 255]);
/// let loud = Texel { ink: 11, paper: 4, style: Style { bold: true, ..Style::default() }, ..a };
/// assert_eq!(loud.pack().to_le_bytes(), [0x41, 11, 0x14, 255]);
/// assert_eq!(Texel::unpack(loud.pack()), loud);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Texel {
    /// The glyph's code.
    pub glyph: u8,
    /// Foreground, an index into the palette; 0 is white.
    pub ink: u8,
    /// Background, 0–15: an index into the palette, but 0 is black. Higher bits are not kept.
    pub paper: u8,
    /// Attributes.
    pub style: Style,
}

impl Texel {
    /// Plain white on black.
    pub fn new(glyph: u8) -> Self {
        Texel { glyph, ..Texel::default() }
    }

    /// The texel as four bytes, R lowest.
    pub fn pack(self) -> u32 {
        let Style { bold, underline, inverse, blink } = self.style;
        let flag = |set: bool, bit: u8| u8::from(set) << bit;
        let flags = flag(bold, 4) | flag(underline, 5) | flag(inverse, 6) | flag(blink, 7);
        u32::from_le_bytes([self.glyph, self.ink, self.paper & 15 | flags, 255])
    }

    /// What four bytes mean; every value means something.
    pub fn unpack(texel: u32) -> Self {
        let [glyph, ink, b, _] = texel.to_le_bytes();
        let set = |bit: u8| b >> bit & 1 != 0;
        let style = Style { bold: set(4), underline: set(5), inverse: set(6), blink: set(7) };
        Texel { glyph, ink, paper: b & 15, style }
    }
}

impl From<char> for Texel {
    /// The character in white on black, or the replacement glyph where the ROM has none.
    fn from(character: char) -> Self {
        Texel::new(rom::code(character).unwrap_or(rom::REPLACEMENT))
    }
}
