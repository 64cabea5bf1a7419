//! gvpie-bootstrap: a screen that is a texture of codes, expanded to glyphs by a compute shader.
//!
//! `editor` holds the text, `present` the way from cells to pixels, `surface` what the system's
//! window needs of a GPU, `app` the window, and `headless` the same without one.
#![warn(missing_docs)]

mod app;
mod editor;
mod headless;
mod present;
mod surface;

use clap::{CommandFactory, Parser, ValueEnum};
use glam::UVec2;
use gvpie_core::Backend;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const WELCOME: &str = include_str!("welcome.txt");

/// The editor holds a text in memory, four bytes a character; a larger one is not for it.
const LARGEST: u64 = 16 << 20;

/// A text in a window whose every character is a texel.
///
/// The text becomes a machine texture: one RGBA8 texel a character cell, with the glyph's code in
/// red. A compute shader expands it to the picture in the window. Typing writes cells.
#[derive(Debug, Parser)]
#[command(name = "gvpie-bootstrap", version, after_help = AFTER)]
struct Options {
    /// A text file in UTF-8, of at most 16 MiB; a welcome text if there is none. It is read, and
    /// never written.
    file: Option<PathBuf>,
    /// Pixels of the window at first, or of the headless picture.
    #[arg(long, value_name = "WxH", default_value = "960x512", value_parser = size)]
    size: UVec2,
    /// Draw without a window or a display, then write the last frame to --out.
    #[arg(long, requires = "out")]
    headless: bool,
    /// Headless: where to write the picture, a PNG.
    #[arg(long, value_name = "FILE", requires = "headless")]
    out: Option<PathBuf>,
    /// Headless: what to type; see below.
    #[arg(long, value_name = "TEXT", default_value = "", requires = "headless")]
    keys: String,
    /// Headless: how many frames to draw; the keys are spread evenly over them.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "headless",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    frames: u32,
    /// Headless: the display's scale factor; text is drawn 2 times as large as its glyphs at 1.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "headless",
          value_parser = scale)]
    scale: f64,
    /// Headless: where to compute. auto takes a real GPU if there is one, else the CPU; gpu takes
    /// a software driver too; cpu needs no driver.
    #[arg(long, value_enum, default_value_t, requires = "headless")]
    backend: Where,
}

const AFTER: &str = "\
Keys:
  characters, Tab, Enter, Backspace, Delete    edit the text
  arrows, Home, End, PageUp, PageDown, wheel   move in it
  F2    the machine's view (the texels as colours), or the human one again
  F12   save the picture as gvpie-1.png, gvpie-2.png ... in the current folder

--keys types its text; names of keys stand in braces: {Enter} {Tab} {Backspace}
{Delete} {Left} {Right} {Up} {Down} {Home} {End} {PageUp} {PageDown} {F2} {F12},
and {{ is a brace.

Examples:
  gvpie-bootstrap notes.txt
  gvpie-bootstrap --headless --keys 'Hello{Enter}' --out shot.png notes.txt
  gvpie-bootstrap --headless --keys '{F2}' --size 640x400 --backend cpu --out shot.png

The environment: WGPU_BACKEND, WGPU_ADAPTER_NAME and WGPU_POWER_PREF choose the GPU.

Exit status: 0 all went well; 1 it did not; 2 the call is mistaken.";

/// Where a headless run computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Where {
    /// A real GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// A GPU, or a software driver for one.
    Gpu,
    /// The host's processor.
    Cpu,
}

impl Where {
    fn backend(self) -> Option<Backend> {
        match self {
            Where::Auto => None,
            Where::Gpu => Some(Backend::Gpu),
            Where::Cpu => Some(Backend::Cpu),
        }
    }
}

/// Why the program ends early: what happened, and what to do about it, on one line.
#[derive(Debug)]
pub struct Failure {
    words: String,
    hint: String,
}

impl Failure {
    /// What happened, and what to do about it.
    pub fn new(words: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure { words: words.into(), hint: hint.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Drivers and shader compilers write several lines; the first says what it is.
        let words = self.words.lines().next().unwrap_or("it failed");
        write!(f, "{words}; {}", self.hint)
    }
}

impl From<gvpie_core::Error> for Failure {
    fn from(error: gvpie_core::Error) -> Self {
        let hint = match error {
            gvpie_core::Error::Setting { .. } => "mend or unset it",
            _ => "--headless --backend cpu --out shot.png draws without a GPU or a window",
        };
        Failure::new(error.to_string(), hint)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    // Keys are part of the call: a mistake in them is told as clap tells its own.
    let keys = headless::parse_keys(&options.keys).unwrap_or_else(|error| {
        Options::command().error(clap::error::ErrorKind::InvalidValue, error).exit()
    });
    let ran = load(options.file.as_deref()).and_then(|text| match &options.out {
        Some(out) => {
            let script = headless::Script { keys, frames: options.frames };
            let backend = options.backend.backend();
            headless::run(&text, options.size, options.scale, &script, backend, out)
        }
        None => app::run(&text, options.size),
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("gvpie-bootstrap: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// `960x512`.
fn size(text: &str) -> Result<UVec2, String> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=8192).contains(side));
    let sides = text.split_once('x').and_then(|(x, y)| Some(UVec2::new(side(x)?, side(y)?)));
    sides.ok_or_else(|| "expected two numbers from 1 to 8192, as in 960x512".into())
}

fn scale(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (0.25..=16.0).contains(factor));
    factor.ok_or_else(|| "expected a number from 0.25 to 16".into())
}

/// The text to begin with.
fn load(file: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = file else { return Ok(WELCOME.into()) };
    let name = path.display();
    let mut bytes = Vec::new();
    // One byte past the limit shows that there is more, even of a file that is still growing.
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            let hint = "name a text file, or none for the welcome text";
            Failure::new(format!("cannot read '{name}': {error}"), hint)
        })?;
    if bytes.len() as u64 > LARGEST {
        let words = format!("'{name}' is larger than {} MiB", LARGEST >> 20);
        return Err(Failure::new(words, "`gvpie render` draws texts of any size"));
    }
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        let words = format!("'{name}' is a binary file: there is a zero byte at byte {at}");
        return Err(Failure::new(words, "name a text file"));
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

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
        assert_eq!(size("640x400"), Ok(UVec2::new(640, 400)));
        for wrong in ["640", "0x5", "5x", "8193x5", "-1x4", "4x4x4"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(scale("NaN").is_err() && scale("0").is_err() && scale("1.5").is_ok());
    }

    #[test]
    fn files_that_are_no_text_say_where() {
        let folder = tempfile::tempdir().unwrap();
        let told = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            load(Some(&path)).map_err(|failure| failure.to_string())
        };
        assert_eq!(told("a", "\u{FEFF}né".as_bytes()), Ok("né".into()));
        assert!(told("b", b"abc\xFF").unwrap_err().contains("invalid UTF-8 at byte 3"));
        assert!(told("c", b"ab\0c").unwrap_err().contains("zero byte at byte 2"));
        let large = told("d", &vec![b'x'; LARGEST as usize + 1]).unwrap_err();
        assert!(large.contains("larger than 16 MiB"), "{large}");
        let missing = load(Some(&folder.path().join("e"))).unwrap_err().to_string();
        assert!(missing.contains("cannot read") && !missing.contains('\n'), "{missing}");
        assert!(load(Some(folder.path())).is_err());
        assert!(load(None).unwrap().contains("gvpie"));
    }
}
