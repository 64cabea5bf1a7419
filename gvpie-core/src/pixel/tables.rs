//! Sines and glyphs, as both back ends read them.

use crate::glyph::rom;
use std::sync::LazyLock;

/// 65536 times the sine of a quarter turn's 256 parts and its end.
pub(super) static SINE: LazyLock<[i32; 257]> = LazyLock::new(|| {
    let part =
        |i: usize| libm::round(65536.0 * libm::sin(std::f64::consts::FRAC_PI_2 * i as f64 / 256.0));
    std::array::from_fn(|i| part(i) as i32)
});

/// Rows of 5 pixels of a glyph as bits, the top one lowest.
pub(super) fn glyph(byte: u8) -> u64 {
    let rows = rom::GLYPHS[usize::from(byte)];
    rows.iter().rev().fold(0, |bits, &row| bits << 5 | u64::from(row))
}
