//! Cartridges: a program as a PNG, `NAME.pxl.png`, that any picture viewer shows.
//!
//! A picture of RGBA8 pixels, 128 wide, alpha 255 everywhere. Each pixel holds three bytes, red,
//! green, blue, and rows follow one another.
//!
//! | rows | what |
//! |---|---|
//! | 0 to 63 | the label: 128 × 64 pixels of art, or the last canvas |
//! | 64 | the header: 384 bytes, of which 72 have a meaning and the others are 0 |
//! | 65 on | the instructions, 64 a row, two pixels each; one row at least |
//! | then | the data, 384 bytes a row; none if there are none |
//!
//! What is left of the last row of either is 0. Numbers in the header are little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 0 to 7 | magic: `GVPIEPXL` |
//! | 8, 9 | version: 1 |
//! | 10, 11 | flags: 1 for a program of mode total, else 0 |
//! | 12 to 15 | instructions |
//! | 16 to 19 | bytes of data |
//! | 20 to 23, 24 to 27 | width and height of the canvas |
//! | 28 to 31 | seed |
//! | 32 to 39 | cycles after which it should be stopped; 0 for no limit |
//! | 40 to 71 | SHA-256 of the header's 384 bytes with zeros here, the instructions' bytes (six each) and the data |
//!
//! The pixels are the truth. Two chunks say more, and a cartridge that has lost them runs as before:
//! iTXt `gvpie:meta`, JSON of at most 64 KiB ([`Meta`], and the pairs of `.meta`), and iTXt
//! `gvpie:source`, the text of the program, at most 256 KiB.
//!
//! A reader trusts nothing: see [`CartridgeError`] for what it refuses.

mod header;
mod label;
#[cfg(test)]
mod tests;

pub use label::{LABEL, art, title};

use super::isa;
use super::program::{Mode, Program};
use header::{CODE_A_ROW, HEADER_ROW, Header, ROW_BYTES};
use serde::{Deserialize, Serialize};
use std::io::Cursor;

/// Bytes of a file at most.
pub const MAX_FILE: usize = 1 << 20;

/// Bytes of a source at most.
pub const MAX_SOURCE: usize = 256 << 10;

/// Bytes of the JSON at most.
const MAX_META: usize = 64 << 10;

/// Bytes that decoding may take.
const MAX_MEMORY: usize = 8 << 20;

/// Pixels in a row.
const WIDTH: u32 = 128;

/// Rows of a picture, least and most.
const HEIGHTS: (u32, u32) = (66, 512);

/// Characters of an id at most.
const MAX_ID: usize = 64;

const META: &str = "gvpie:meta";
const SOURCE: &str = "gvpie:source";

/// Why a file is no cartridge, or a cartridge cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CartridgeError {
    /// The file is too large; none of it was read.
    #[error("{bytes} bytes, a cartridge has {MAX_FILE} at most")]
    Large {
        /// Its bytes.
        bytes: usize,
    },
    /// It is no PNG, is cut short, or is damaged.
    #[error("this PNG cannot be read: {message}")]
    Png {
        /// The decoder's words.
        message: String,
    },
    /// It is a picture of another kind.
    #[error("{what}: expected {expected}, found {found}")]
    Picture {
        /// Which property of the picture.
        what: &'static str,
        /// What a cartridge has.
        expected: String,
        /// What this has.
        found: String,
    },
    /// A pixel is not opaque.
    #[error("pixel ({x}, {y}): alpha {alpha}, expected 255")]
    Alpha {
        /// Pixels from the left.
        x: u32,
        /// Pixels from the top.
        y: u32,
        /// Its alpha.
        alpha: u8,
    },
    /// A field of the header holds what it may not.
    #[error("header (row {HEADER_ROW}), {field}: expected {expected}, found {found}")]
    Header {
        /// Which field.
        field: &'static str,
        /// What it may hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// A byte behind the end of a part is not 0.
    #[error("pixel ({x}, {y}), behind the end of {part}: expected black")]
    Padding {
        /// Pixels from the left.
        x: u32,
        /// Pixels from the top.
        y: u32,
        /// Which part.
        part: &'static str,
    },
    /// Header, code or data are not what was hashed.
    #[error("the SHA-256 of header, code and data is {found}, the header says {expected}")]
    Hash {
        /// The header's, in hexadecimal digits.
        expected: String,
        /// That of the pixels.
        found: String,
    },
    /// A strict program has an instruction of no operation.
    #[error("instruction {instruction}, pixel ({x}, {y}): 0x{code:02x} is no operation")]
    Operation {
        /// Its place in the program.
        instruction: usize,
        /// Pixels from the left.
        x: u32,
        /// Pixels from the top.
        y: u32,
        /// The code.
        code: u8,
    },
    /// A chunk is too large, is there twice, or does not hold what it should.
    #[error("chunk {keyword}: {fault}")]
    Chunk {
        /// Its keyword.
        keyword: &'static str,
        /// What is wrong with it.
        fault: String,
    },
    /// An id is not of lower case letters, digits, `_` and `-`.
    #[error(
        "{field}: expected 1 to {MAX_ID} of a-z 0-9 _ -, the first a letter or digit, found '{found}'"
    )]
    Id {
        /// Which field.
        field: &'static str,
        /// What it is.
        found: String,
    },
    /// A program, label or source is larger than may be.
    #[error("{what}: expected {expected}, found {found}")]
    Extent {
        /// Which of them.
        what: String,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// What a cartridge says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Its name among machines: see [`is_id`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name among people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Who has made it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// On which terms it may be used.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub licence: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Ids of the cartridges it was made from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
}

/// What the chunk holds: [`Meta`], and the program's own pairs.
#[derive(Serialize, Deserialize)]
struct Chunk {
    #[serde(flatten)]
    meta: Meta,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    program: Vec<(String, String)>,
}

impl Meta {
    /// What a program's `.meta` lines say: `id`, `name`, `author`, `licence`, and `tags` and
    /// `parents` with commas or blanks between them.
    ///
    /// ```
    /// use gvpie_core::pixel::{Meta, assemble};
    /// let program = assemble(".meta id rain\n.meta tags text, loop\nHALT")?;
    /// let meta = Meta::of(&program);
    /// assert_eq!((meta.id.as_deref(), meta.tags), (Some("rain"), vec!["text".into(), "loop".into()]));
    /// # Ok::<(), Vec<gvpie_core::pixel::Diagnostic>>(())
    /// ```
    pub fn of(program: &Program) -> Self {
        let mut meta = Meta::default();
        for (key, value) in &program.meta {
            let words = value.split([',', ' ']).filter(|word| !word.is_empty()).map(String::from);
            match key.as_str() {
                "id" => meta.id = Some(value.clone()),
                "name" => meta.name = value.clone(),
                "author" => meta.author = value.clone(),
                "licence" => meta.licence = value.clone(),
                "tags" => meta.tags.extend(words),
                "parents" => meta.parents.extend(words),
                _ => {}
            }
        }
        meta
    }

    fn check(&self) -> Result<(), CartridgeError> {
        let ids = self.id.iter().map(|id| ("id", id));
        let parents = self.parents.iter().map(|id| ("parents", id));
        match ids.chain(parents).find(|(_, id)| !is_id(id)) {
            Some((field, id)) => {
                Err(CartridgeError::Id { field, found: id.escape_debug().take(80).collect() })
            }
            None => Ok(()),
        }
    }
}

/// Whether a text is an id: 1 to 64 of `a-z 0-9 _ -`, the first a letter or digit.
pub fn is_id(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= MAX_ID
        && bytes.first().is_some_and(|&c| plain(c))
        && bytes.iter().all(|&c| plain(c) || matches!(c, b'_' | b'-'))
}

/// A program with its label and what is said about it; see the [module](self) for the file.
///
/// ```
/// use gvpie_core::pixel::{Cartridge, assemble};
/// let text = ".meta name Hello\nTXT 10 10 Hello World";
/// let cartridge = Cartridge::new(assemble(text).map_err(|faults| faults[0].clone())?);
/// let file = cartridge.encode()?;
/// assert_eq!(Cartridge::decode(&file)?, cartridge);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cartridge {
    /// What it runs.
    pub program: Program,
    /// Its picture: 128 × 64 pixels, red lowest, row by row; alpha is not kept.
    pub label: Vec<u32>,
    /// What it says of itself.
    pub meta: Meta,
    /// The text that its program was made from, if it comes along.
    pub source: Option<String>,
    /// Cycles after which it should be stopped; 0 for no limit.
    pub max_cycles: u64,
}

impl Cartridge {
    /// A cartridge of a program, with its name on the label.
    pub fn new(program: Program) -> Self {
        let meta = Meta::of(&program);
        let label = title(&meta.name, &program);
        Cartridge { program, label, meta, source: None, max_cycles: 0 }
    }

    /// SHA-256 of header, code and data, in hexadecimal digits.
    pub fn hash(&self) -> String {
        let header = Header::of(self);
        header::hexadecimal(&header.hash(&self.program.code, &self.program.data))
    }

    /// The file.
    ///
    /// # Errors
    /// [`CartridgeError::Extent`] for a program, label or source beyond its limits,
    /// [`CartridgeError::Id`], [`CartridgeError::Operation`], [`CartridgeError::Chunk`].
    pub fn encode(&self) -> Result<Vec<u8>, CartridgeError> {
        self.program.check().map_err(|error| CartridgeError::Extent {
            what: "the program".into(),
            expected: "one within its limits".into(),
            found: error.to_string(),
        })?;
        let extent = |what: &str, expected: String, found: usize| CartridgeError::Extent {
            what: what.into(),
            expected,
            found: found.to_string(),
        };
        let pixels = LABEL[0] * LABEL[1];
        if self.label.len() != pixels {
            return Err(extent("the label", format!("{pixels} pixels"), self.label.len()));
        }
        let source = self.source.as_deref().unwrap_or("");
        if source.len() > MAX_SOURCE {
            return Err(extent("the source", format!("{MAX_SOURCE} bytes at most"), source.len()));
        }
        self.meta.check()?;
        check_operations(&self.program)?;
        let chunk = Chunk { meta: self.meta.clone(), program: self.program.meta.clone() };
        let unwritten = |keyword, fault: String| CartridgeError::Chunk { keyword, fault };
        let json = serde_json::to_string(&chunk).map_err(|e| unwritten(META, e.to_string()))?;
        if json.len() > MAX_META {
            let fault = format!("{} bytes, {MAX_META} at most", json.len());
            return Err(unwritten(META, fault));
        }

        let header = Header::of(self);
        let bytes = [
            &header.bytes(header.hash(&self.program.code, &self.program.data))[..],
            &padded(self.program.code.as_flattened(), 1),
            &padded(&self.program.data, 0),
        ]
        .concat();
        let opaque = |pixel: &[u8]| [pixel[0], pixel[1], pixel[2], 255];
        let label = self.label.iter().map(|pixel| opaque(&pixel.to_le_bytes()));
        let picture: Vec<u8> = label.chain(bytes.chunks_exact(3).map(opaque)).flatten().collect();

        let mut file = Vec::new();
        let height = (HEADER_ROW as usize + bytes.len() / ROW_BYTES) as u32;
        let mut encoder = png::Encoder::new(&mut file, WIDTH, height);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Eight);
        let refused =
            |error: png::EncodingError| CartridgeError::Png { message: error.to_string() };
        encoder.add_itxt_chunk(META.into(), json).map_err(refused)?;
        if self.source.is_some() {
            encoder.add_itxt_chunk(SOURCE.into(), source.into()).map_err(refused)?;
        }
        let mut writer = encoder.write_header().map_err(refused)?;
        writer.write_image_data(&picture).map_err(refused)?;
        writer.finish().map_err(refused)?;
        Ok(file)
    }

    /// What a file holds.
    ///
    /// # Errors
    /// [`CartridgeError`], naming the place: nothing is taken from a file that breaks any rule.
    pub fn decode(file: &[u8]) -> Result<Self, CartridgeError> {
        if file.len() > MAX_FILE {
            return Err(CartridgeError::Large { bytes: file.len() });
        }
        let (height, pixels, chunks) = read(file)?;
        let pixel = |at: usize| (at as u32 % WIDTH, at as u32 / WIDTH);
        if let Some(at) = pixels.iter().position(|&pixel| pixel >> 24 != 255) {
            let ((x, y), alpha) = (pixel(at), (pixels[at] >> 24) as u8);
            return Err(CartridgeError::Alpha { x, y, alpha });
        }
        let (label, body) = pixels.split_at(LABEL[0] * LABEL[1]);
        let bytes: Vec<u8> =
            body.iter().flat_map(|p| p.to_le_bytes().into_iter().take(3)).collect();
        let (first, body) = bytes.split_at(ROW_BYTES);
        let (header, expected) = Header::parse(first)?;
        let (code_bytes, data_bytes) = (6 * header.instructions, header.data);
        let code_rows = header.instructions.div_ceil(CODE_A_ROW).max(1);
        let rows = HEADER_ROW as usize + 1 + code_rows + data_bytes.div_ceil(ROW_BYTES);
        if rows != height as usize {
            return Err(CartridgeError::Picture {
                what: "height",
                expected: format!("{rows} rows, as the header counts"),
                found: height.to_string(),
            });
        }
        let (code, data) = body.split_at(code_rows * ROW_BYTES);
        for (part, bytes, length, row) in
            [("code", code, code_bytes, 0), ("data", data, data_bytes, code_rows)]
        {
            if let Some(at) = bytes[length..].iter().position(|&byte| byte != 0) {
                let above = (HEADER_ROW as usize + 1 + row) * WIDTH as usize;
                let (x, y) = pixel(above + (length + at) / 3);
                return Err(CartridgeError::Padding { x, y, part });
            }
        }
        let instruction = |b: &[u8]| [b[0], b[1], b[2], b[3], b[4], b[5]];
        let code = code[..code_bytes].chunks_exact(6).map(instruction).collect();
        let mut program = Program {
            code,
            data: data[..data_bytes].into(),
            mode: if header.total { Mode::Total } else { Mode::Strict },
            seed: header.seed,
            canvas: header.canvas,
            meta: Vec::new(),
        };
        let found = header.hash(&program.code, &program.data);
        if found != expected {
            let [expected, found] = [expected, found].map(|hash| header::hexadecimal(&hash));
            return Err(CartridgeError::Hash { expected, found });
        }
        check_operations(&program)?;
        let mut meta = Meta::default();
        if let Some(json) = chunks.meta {
            let fault = |e: serde_json::Error| e.to_string();
            let chunk: Chunk = serde_json::from_str(&json)
                .map_err(|e| CartridgeError::Chunk { keyword: META, fault: fault(e) })?;
            (meta, program.meta) = (chunk.meta, chunk.program);
            meta.check()?;
        }
        let max_cycles = header.max_cycles;
        Ok(Cartridge { program, label: label.into(), meta, source: chunks.source, max_cycles })
    }
}

/// Bytes with zeros up to the end of their last row, of which there are at least so many.
fn padded(bytes: &[u8], least: usize) -> Vec<u8> {
    let rows = bytes.len().div_ceil(ROW_BYTES).max(least);
    let mut out = bytes.to_vec();
    out.resize(rows * ROW_BYTES, 0);
    out
}

/// Refuses a strict program with an instruction that could only stop it.
fn check_operations(program: &Program) -> Result<(), CartridgeError> {
    let codes = program.code.iter().map(|instruction| instruction[0]).enumerate();
    let mut unknown = codes.filter(|&(_, code)| isa::operation(code).is_none());
    match unknown.next() {
        Some((instruction, code)) if program.mode == Mode::Strict => {
            let (row, column) = (instruction / CODE_A_ROW, instruction % CODE_A_ROW);
            let (x, y) = (2 * column as u32, HEADER_ROW + 1 + row as u32);
            Err(CartridgeError::Operation { instruction, x, y, code })
        }
        _ => Ok(()),
    }
}

#[derive(Default)]
struct Chunks {
    meta: Option<String>,
    source: Option<String>,
}

/// Height, pixels and chunks of a PNG that is of a cartridge's kind.
fn read(file: &[u8]) -> Result<(u32, Vec<u32>, Chunks), CartridgeError> {
    let damaged = |error: png::DecodingError| CartridgeError::Png { message: error.to_string() };
    let limits = png::Limits { bytes: MAX_MEMORY };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), limits);
    let info = decoder.read_header_info().map_err(damaged)?;
    let refuse = |what, expected: String, found: String| {
        Err(CartridgeError::Picture { what, expected, found })
    };
    let (least, most) = HEIGHTS;
    let height = info.height;
    if info.width != WIDTH {
        return refuse("width", WIDTH.to_string(), info.width.to_string());
    }
    if !(least..=most).contains(&height) {
        return refuse("height", format!("{least} to {most}"), height.to_string());
    }
    let kind = (info.color_type, info.bit_depth);
    if kind != (png::ColorType::Rgba, png::BitDepth::Eight) {
        let found = format!("{:?} of {} bits", kind.0, kind.1 as u8);
        return refuse("pixels", "Rgba of 8 bits".into(), found);
    }
    if info.interlaced {
        return refuse("order of pixels", "row by row".into(), "interlaced".into());
    }
    let mut reader = decoder.read_info().map_err(damaged)?;
    if let Some(animation) = reader.info().animation_control {
        let found = format!("an animation of {}", animation.num_frames);
        return refuse("pictures", "one".into(), found);
    }
    let mut bytes = vec![0; 4 * WIDTH as usize * height as usize];
    reader.next_frame(&mut bytes).map_err(damaged)?;
    reader.finish().map_err(damaged)?;
    let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let pixels = bytes.chunks_exact(4).map(word).collect();

    let mut chunks = Chunks::default();
    for chunk in &reader.info().utf8_text {
        let (place, keyword, most) = match chunk.keyword.as_str() {
            META => (&mut chunks.meta, META, MAX_META),
            SOURCE => (&mut chunks.source, SOURCE, MAX_SOURCE),
            _ => continue,
        };
        let wrong = |fault: String| CartridgeError::Chunk { keyword, fault };
        let mut chunk = chunk.clone();
        chunk.decompress_text_with_limit(most).map_err(|error| wrong(error.to_string()))?;
        let text = chunk.get_text().map_err(|error| wrong(error.to_string()))?;
        if text.len() > most {
            return Err(wrong(format!("{} bytes, {most} at most", text.len())));
        }
        if place.replace(text).is_some() {
            return Err(wrong("there are two".into()));
        }
    }
    Ok((height, pixels, chunks))
}
