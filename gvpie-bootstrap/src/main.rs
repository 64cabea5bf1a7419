//! gvpie-bootstrap: a screen that is a texture of codes, expanded to glyphs by a compute shader;
//! and the canvas of a program, sixty frames a second.
//!
//! `content` reads files. `editor` holds a text and `session` how it is seen; `player` runs a
//! program, `controls` and `pace` being its keys and its clock; `scene` is either. `present` is the
//! way from texels to pixels, `surface` what the system's window needs of a GPU, `app` the window,
//! and `headless` the same without one.
#![warn(missing_docs)]

mod app;
mod content;
mod controls;
mod editor;
mod headless;
mod pace;
mod player;
mod present;
mod scene;
mod session;
mod surface;

use crate::content::Content;
use clap::{CommandFactory, Parser, ValueEnum};
use glam::UVec2;
use gvpie_core::Backend;
use std::path::PathBuf;
use std::process::ExitCode;

/// A text in a window whose every character is a texel; or a program that is a picture, running.
///
/// A text becomes a machine texture: one RGBA8 texel a character cell, with the glyph's code in
/// red. A compute shader expands it to the picture in the window. Typing writes cells.
///
/// A cartridge of PXL-1 (`gvpie asm`), or the text of a program named .pxl (`gvpie help pxl`), runs
/// at 60 frames a second with keys and mouse as its inputs. Its canvas is magnified by a whole
/// number.
#[derive(Debug, Parser)]
#[command(name = "gvpie-bootstrap", version, after_help = AFTER)]
struct Options {
    /// A text file in UTF-8, of at most 16 MiB; a cartridge, .pxl.png; a program's text, .pxl; a
    /// welcome text if there is none. It is read, and never written. One dropped onto the window
    /// is opened there.
    file: Option<PathBuf>,
    /// Pixels of the window at first, or of the headless picture: 960x512 for a text unless said;
    /// for a program as the canvas fills up to 1024x768, headless the canvas itself.
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<UVec2>,
    /// Draw without a window or a display, then write the last frame to --out.
    #[arg(long, requires = "out")]
    headless: bool,
    /// Headless: where to write the picture, a PNG.
    #[arg(long, value_name = "FILE", requires = "headless")]
    out: Option<PathBuf>,
    /// Headless: what to type; see below.
    #[arg(long, value_name = "TEXT", default_value = "", requires = "headless")]
    keys: String,
    /// Headless: how many frames to draw; the keys are spread evenly over them. A program's clock
    /// then goes by their number, 60 a second.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "headless",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    frames: u32,
    /// Headless: the display's scale factor; text is drawn 2 times as large as its glyphs at 1.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "headless",
          value_parser = scale)]
    scale: f64,
    /// Headless: where to compute. auto takes a real GPU if there is one, else the CPU; gpu takes
    /// a software driver too; cpu needs no driver. A program's machine is always on the CPU.
    #[arg(long, value_enum, default_value_t, requires = "headless")]
    backend: Where,
}

const AFTER: &str = "\
Keys, for a text:
  characters, Tab, Enter, Backspace, Delete    edit the text
  arrows, Home, End, PageUp, PageDown, wheel   move in it
  F2    the machine's view (the texels as colours), or the human one again
  F12   save the picture as gvpie-1.png, gvpie-2.png ... in the current folder

Keys, for a program:
  arrows, space, Enter   those of port 0x12; the mouse and its buttons are ports
                         0x08 to 0x0a, in pixels of the canvas
  characters             go to its input, port 0x11, where it waits for one; Ctrl+D
                         ends the input. Its output, port 0x10, goes to standard output
  F5          from the beginning
  F6, Pause   stand still, and go on; after BRK, too
  F12         save the picture
  Escape      close the window

A program that halts stays on its last picture. The title tells its state; a fault is
told there and on standard error, with its place, and headless ends with status 1.

--keys types its text; names of keys stand in braces: {Enter} {Tab} {Backspace}
{Delete} {Left} {Right} {Up} {Down} {Home} {End} {PageUp} {PageDown} {F2} {F5} {F6}
{F12}, and {{ is a brace. For a program each is down for a frame, and its input ends
after the last.

Examples:
  gvpie-bootstrap notes.txt
  gvpie-bootstrap snake.pxl.png
  gvpie-bootstrap --headless --keys 'Hello{Enter}' --out shot.png notes.txt
  gvpie-bootstrap --headless --frames 120 --keys '{Up}{Left}' --out shot.png snake.pxl
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
    let ran = Content::read(options.file.as_deref()).and_then(|content| match &options.out {
        Some(out) => {
            let script = headless::Script { keys, frames: options.frames };
            let (size, backend) = (options.size, options.backend.backend());
            let size = size.unwrap_or_else(|| content.picture());
            headless::run(content, size, options.scale, &script, backend, out)
        }
        None => {
            let size = options.size.unwrap_or_else(|| content.window());
            app::run(content, size)
        }
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
}
