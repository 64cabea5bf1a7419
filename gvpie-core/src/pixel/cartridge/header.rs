//! The header's bytes.

use super::{Cartridge, CartridgeError, WIDTH};
use crate::pixel::isa::Instruction;
use crate::pixel::program::{MAX_CANVAS, MAX_CODE, MAX_DATA, Mode};
use sha2::{Digest, Sha256};

/// The row it is in.
pub const HEADER_ROW: u32 = 64;

/// Bytes in a row of pixels.
pub const ROW_BYTES: usize = 3 * WIDTH as usize;

/// Instructions in a row of pixels.
pub const CODE_A_ROW: usize = WIDTH as usize / 2;

const MAGIC: &[u8; 8] = b"GVPIEPXL";
const VERSION: u16 = 1;

/// Where the hash stands.
const HASH: std::ops::Range<usize> = 40..72;

/// Flag of a total program.
const TOTAL: u16 = 1;

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub total: bool,
    pub instructions: usize,
    pub data: usize,
    pub canvas: [u32; 2],
    pub seed: u32,
    pub max_cycles: u64,
}

impl Header {
    pub fn of(cartridge: &Cartridge) -> Self {
        let program = &cartridge.program;
        Header {
            total: program.mode == Mode::Total,
            instructions: program.code.len(),
            data: program.data.len(),
            canvas: program.canvas,
            seed: program.seed,
            max_cycles: cartridge.max_cycles,
        }
    }

    /// Its bytes, with this hash.
    pub fn bytes(&self, hash: [u8; 32]) -> [u8; ROW_BYTES] {
        let flags = if self.total { TOTAL } else { 0 };
        let mut bytes = [0; ROW_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&flags.to_le_bytes());
        let [width, height] = self.canvas;
        let words = [self.instructions as u32, self.data as u32, width, height, self.seed];
        for (place, word) in bytes[12..32].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[32..40].copy_from_slice(&self.max_cycles.to_le_bytes());
        bytes[HASH].copy_from_slice(&hash);
        bytes
    }

    /// SHA-256 of it, code and data.
    pub fn hash(&self, code: &[Instruction], data: &[u8]) -> [u8; 32] {
        let header = Sha256::new().chain_update(self.bytes([0; 32]));
        header.chain_update(code.as_flattened()).chain_update(data).finalize().into()
    }

    /// A header and its hash from a row's bytes.
    pub fn parse(bytes: &[u8]) -> Result<(Self, [u8; 32]), CartridgeError> {
        let wrong = |field, expected: String, found: String| {
            Err(CartridgeError::Header { field, expected, found })
        };
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
        if !bytes.starts_with(MAGIC) {
            let found = hexadecimal(&bytes[..8]);
            return wrong("magic", format!("{} ('GVPIEPXL')", hexadecimal(MAGIC)), found);
        }
        if short(8) != VERSION {
            return wrong("version", VERSION.to_string(), short(8).to_string());
        }
        if short(10) & !TOTAL != 0 {
            return wrong("flags", "0 or 1".into(), short(10).to_string());
        }
        for (field, at, least, most) in [
            ("instructions", 12, 0, MAX_CODE as u32),
            ("bytes of data", 16, 0, MAX_DATA as u32),
            ("width of the canvas", 20, 1, MAX_CANVAS),
            ("height of the canvas", 24, 1, MAX_CANVAS),
        ] {
            if !(least..=most).contains(&word(at)) {
                return wrong(field, format!("{least} to {most}"), word(at).to_string());
            }
        }
        if let Some(at) = bytes[HASH.end..].iter().position(|&byte| byte != 0) {
            let (at, byte) = (HASH.end + at, bytes[HASH.end + at]);
            return wrong("bytes 72 to 383", "zeros".into(), format!("{byte} in byte {at}"));
        }
        let header = Header {
            total: short(10) == TOTAL,
            instructions: word(12) as usize,
            data: word(16) as usize,
            canvas: [word(20), word(24)],
            seed: word(28),
            max_cycles: u64::from(word(32)) | u64::from(word(36)) << 32,
        };
        let mut hash = [0; 32];
        hash.copy_from_slice(&bytes[HASH]);
        Ok((header, hash))
    }
}

/// Two digits a byte.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
