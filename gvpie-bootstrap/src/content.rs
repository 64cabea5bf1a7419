//! Files: texts to edit, and programs of PXL-1 to run.

use crate::Failure;
use glam::UVec2;
use gvpie_core::pixel::{Cartridge, assemble};
use std::io::Read;
use std::path::Path;

const WELCOME: &str = include_str!("welcome.txt");

/// The editor holds a text in memory, four bytes a character; a larger one is not for it.
const LARGEST: u64 = 16 << 20;

/// What every PNG begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Pixels of a frame for a text.
const PAGE: UVec2 = UVec2::new(960, 512);

/// Pixels of a window that a canvas is magnified to fill, as far as whole numbers do.
const ROOM: UVec2 = UVec2::new(1024, 768);

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// A program, and the file that it is from.
    Program(Box<Cartridge>, String),
}

impl Content {
    /// Of a file: a PNG or what is named `.pxl.png` is a cartridge, what is named `.pxl` the text
    /// of a program, all else a text; the welcome text of no file.
    pub fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = file else { return Ok(Content::Text(WELCOME.into())) };
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        // One byte past the limit shows that there is more, even of a file that is still growing.
        std::fs::File::open(path)
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
            .map_err(|error| {
            let hint = "name a text or a cartridge, or none for the welcome text";
            Failure::new(format!("cannot read '{name}': {error}"), hint)
        })?;
        if bytes.starts_with(PNG) || name.ends_with(".pxl.png") {
            let cartridge = Cartridge::decode(&bytes).map_err(|error| {
                let hint = "`gvpie asm` makes cartridges, and `gvpie cart verify` checks them";
                Failure::new(format!("'{name}' is no cartridge: {error}"), hint)
            })?;
            return Ok(Content::Program(Box::new(cartridge), name));
        }
        let text = text(bytes, &name)?;
        if path.extension().is_none_or(|extension| extension != "pxl") {
            return Ok(Content::Text(text));
        }
        let program = assemble(&text).map_err(|faults| {
            let more = match faults.len() {
                0 | 1 => String::new(),
                several => format!(" (the first of {several} errors)"),
            };
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            let hint = "`gvpie run` shows each error with its line";
            Failure::new(format!("'{name}', {first}{more}"), hint)
        })?;
        Ok(Content::Program(Box::new(Cartridge::new(program)), name))
    }

    /// Pixels of a window for it at first.
    pub fn window(&self) -> UVec2 {
        match self {
            Content::Text(_) => PAGE,
            Content::Program(cartridge, _) => {
                let canvas = UVec2::from(cartridge.program.canvas);
                canvas * (ROOM / canvas).min_element().max(1)
            }
        }
    }

    /// Pixels of a picture of it.
    pub fn picture(&self) -> UVec2 {
        match self {
            Content::Text(_) => PAGE,
            Content::Program(cartridge, _) => cartridge.program.canvas.into(),
        }
    }
}

/// The text of a file.
fn text(bytes: Vec<u8>, name: &str) -> Result<String, Failure> {
    if bytes.len() as u64 > LARGEST {
        let words = format!("'{name}' is larger than {} MiB", LARGEST >> 20);
        return Err(Failure::new(words, "`gvpie render` draws texts of any size"));
    }
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        let words = format!("'{name}' is a binary file: there is a zero byte at byte {at}");
        return Err(Failure::new(words, "name a text file or a cartridge"));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let words = format!("'{name}' is not text: invalid UTF-8 at byte {at}");
        Failure::new(words, "convert it to UTF-8, as with iconv -t UTF-8")
    })?;
    if text.starts_with('\u{FEFF}') {
        text.remove(0); // a byte order mark is no part of the text
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Result<Content, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Content::read(Some(&path)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn files_that_are_no_text_say_where() {
        assert_eq!(read("a", "\u{FEFF}né".as_bytes()), Ok(Content::Text("né".into())));
        assert!(read("b", b"abc\xFF").unwrap_err().contains("invalid UTF-8 at byte 3"));
        assert!(read("c", b"ab\0c").unwrap_err().contains("zero byte at byte 2"));
        let large = read("d", &vec![b'x'; LARGEST as usize + 1]).unwrap_err();
        assert!(large.contains("larger than 16 MiB"), "{large}");
        let folder = tempfile::tempdir().unwrap();
        let missing = Content::read(Some(&folder.path().join("e"))).unwrap_err().to_string();
        assert!(missing.contains("cannot read") && !missing.contains('\n'), "{missing}");
        assert!(Content::read(Some(folder.path())).is_err());
        let Ok(Content::Text(welcome)) = Content::read(None) else { panic!("no welcome") };
        assert!(welcome.contains("gvpie"));
    }

    #[test]
    fn programs_are_cartridges_or_texts_by_name() {
        let text = ".canvas 96 96\nTXT 1 1 Hi\n";
        let cartridge = Cartridge::new(assemble(text).unwrap());
        let file = cartridge.encode().unwrap();
        for (name, bytes) in [("a.pxl.png", &file[..]), ("a", &file), ("a.pxl", text.as_bytes())] {
            let Ok(Content::Program(read, from)) = read(name, bytes) else { panic!("{name}") };
            assert!(*read == cartridge && from.ends_with(name));
            let content = Content::Program(read, from);
            assert_eq!(
                (content.window(), content.picture()),
                (UVec2::splat(768), UVec2::splat(96))
            );
        }
        assert_eq!(read("a.txt", text.as_bytes()), Ok(Content::Text(text.into())));

        let told = |name, bytes: &[u8], words: [&str; 2]| {
            let message = read(name, bytes).unwrap_err();
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        };
        told("a.pxl", b"NOP\nADDD r1\nJMP x", ["a.pxl', 2:1: ", "the first of 2 errors"]);
        told("a.pxl.png", text.as_bytes(), ["a.pxl.png' is no cartridge", "PNG"]);
        told("cut", &file[..file.len() / 2], ["cut' is no cartridge", "PNG"]);
    }
}
