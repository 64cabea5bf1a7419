//! Cases from a corpus: files changed, cut, grown and crossed, the same for the same seed.

use super::Target;
use crate::pixel::isa::OPERATIONS;
use fastrand::Rng;
use sha2::{Digest, Sha256};
use std::io::Cursor;

/// Bytes of a case that a change may grow to.
const MOST: usize = 64 << 10;

/// Numbers at whose sides implementations differ.
const EDGES: [u8; 8] = [0, 1, 15, 16, 127, 128, 254, 255];

/// What texts are made of besides mnemonics.
const PIECES: &[&str] = &[
    ".canvas",
    ".mode",
    ".seed",
    ".equ",
    ".reg",
    ".data",
    ".meta",
    ".raw",
    ".end",
    "SET",
    "IF",
    "r0",
    "r15",
    "r16",
    "r99",
    "@",
    "#",
    ";",
    ":",
    "'",
    "\"",
    "\\",
    "\\x",
    "\\u{",
    "-",
    "+",
    "0x",
    "0b",
    "-1",
    "255",
    "256",
    "65535",
    "65536",
    "8388607",
    "8388608",
    "4294967295",
    "99999999999999999999",
    "#ff8000",
    "'A'",
    "..##..##",
    "total",
    "strict",
    "a",
    "a:",
    "a-a",
    "\n",
    "\r\n",
    "\t",
    ",",
    "é",
    "字",
    "\u{2028}",
    "\0",
];

/// A case for a target from files of its corpus.
///
/// A quarter of the files for a [loader](Target::Loader) have other bytes in header, code or data and
/// a hash that fits, and half of the others have the check sums of their chunks set right: so that what
/// comes after these rules is tried, too.
pub fn mutated(target: Target, corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let any = |random: &mut Rng| corpus.get(random.usize(..corpus.len().max(1)));
    let Some(first) = any(&mut random) else { return Vec::new() };
    let mut bytes = first.clone();
    if target == Target::Loader && random.u8(..4) == 0 {
        return repainted(&bytes, &mut random).unwrap_or(bytes);
    }
    for _ in 0..random.usize(1..8) {
        let other = any(&mut random).unwrap_or(first);
        change(target, &mut bytes, other, &mut random);
        bytes.truncate(MOST.max(first.len()));
    }
    if target == Target::Loader && random.bool() {
        mend(&mut bytes);
    }
    bytes
}

/// Some bytes of these, from a place at random.
fn piece(bytes: &[u8], most: usize, random: &mut Rng) -> std::ops::Range<usize> {
    let start = random.usize(..=bytes.len());
    start..(start + random.usize(..=most)).min(bytes.len())
}

fn change(target: Target, bytes: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    let at = random.usize(..=bytes.len());
    let most = if random.u8(..8) == 0 { 4096 } else { 24 };
    match random.u8(..8) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = if random.bool() { random.u8(..) } else { EDGES[random.usize(..8)] };
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.u8(..8);
            }
        }
        3 => drop(bytes.drain(piece(bytes, most, random))),
        4 => {
            let doubled = bytes[piece(bytes, most, random)].to_vec();
            bytes.splice(at..at, doubled);
        }
        5 => drop(bytes.splice(at..at, other[piece(other, most, random)].iter().copied())),
        6 => {
            let from = piece(other, most, random);
            let end = (at + from.len()).min(bytes.len());
            bytes.splice(at..end, other[from].iter().copied());
        }
        _ if target == Target::Assembler => {
            let word = match random.usize(..2 * PIECES.len()) {
                place if place < PIECES.len() => PIECES[place],
                _ => OPERATIONS[random.usize(..OPERATIONS.len())].name,
            };
            let blank = if random.bool() { " " } else { "" };
            bytes.splice(at..at, format!("{blank}{word}{blank}").into_bytes());
        }
        _ => {
            let word = if random.bool() { random.u32(..) } else { 1 << random.u32(..32) };
            let end = (at + 4).min(bytes.len());
            bytes.splice(at..end, word.wrapping_sub(random.u32(..2)).to_le_bytes());
        }
    }
}

/// Sets the check sums of a PNG's chunks right.
fn mend(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let end = at + 8 + length;
        if bytes.len() < end + 4 {
            return;
        }
        let sum = crc32fast::hash(&bytes[at + 4..end]).to_be_bytes();
        bytes[end..end + 4].copy_from_slice(&sum);
        at = end + 4;
    }
}

/// A cartridge with other bytes in header, code or data, and a hash that fits; `None` if the file is
/// no picture of that kind.
fn repainted(file: &[u8], random: &mut Rng) -> Option<Vec<u8>> {
    const LABEL: usize = 4 * 128 * 64;
    const ROW: usize = 384;
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().ok()?;
    let info = reader.info();
    let (width, height) = (info.width, info.height);
    let kind = (info.color_type, info.bit_depth);
    if width != 128 || height > 512 || kind != (png::ColorType::Rgba, png::BitDepth::Eight) {
        return None;
    }
    let mut pixels = vec![0; reader.output_buffer_size()?];
    reader.next_frame(&mut pixels).ok()?;
    let picture = pixels.get(LABEL..)?;
    let mut body: Vec<u8> = picture.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    for _ in 0..random.usize(1..4) {
        // Fields of the header as often as the rows behind it.
        let most = if random.bool() { 40 } else { body.len() };
        if let Some(byte) = body.get_mut(random.usize(..most.max(1))) {
            *byte = if random.bool() { random.u8(..) } else { EDGES[random.usize(..8)] };
        }
    }
    let word = |at: usize| Some(u32::from_le_bytes(*body.get(at..at + 4)?.first_chunk()?) as usize);
    let (code, data) = (6_usize.saturating_mul(word(12)?), word(16)?);
    let rows = code.div_ceil(ROW).max(1);
    let from = ROW + rows.saturating_mul(ROW);
    let parts = (body.get(ROW..ROW + code), body.get(from..from.saturating_add(data)));
    if let (Some(code), Some(data)) = parts {
        let header = body[..40].iter().copied().chain([0; 32]).chain(body[72..ROW].iter().copied());
        let header: Vec<u8> = header.collect();
        let hash = Sha256::new().chain_update(header).chain_update(code).chain_update(data);
        let hash = hash.finalize();
        body[40..72].copy_from_slice(&hash);
    }
    for (pixel, rgb) in pixels[LABEL..].chunks_exact_mut(4).zip(body.chunks_exact(3)) {
        pixel[..3].copy_from_slice(rgb);
    }
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_compression(png::Compression::Fastest);
    encoder.write_header().ok()?.write_image_data(&pixels).ok()?;
    Some(out)
}
