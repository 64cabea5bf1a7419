//! Programs of PXL-1 from files: texts, and cartridges.

use gvpie_core::pixel::cartridge::MAX_FILE;
use gvpie_core::pixel::{
    Cartridge, CartridgeError, Diagnostic, Inputs, Pixel, Program, Status, assemble,
};
use gvpie_core::{Backend, Context};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of a text at most.
const MAX_TEXT: u64 = 8 << 20;

/// What every PNG begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Milliseconds from one frame to the next.
pub const FRAME_MS: u32 = 20;

/// Frames after which a label is taken from a program, and its cycles at most.
const LABEL_FRAMES: u32 = 120;
const LABEL_CYCLES: u32 = 20_000_000;

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is neither a cartridge nor a text.
    #[error("{}: expected a text in UTF-8 of at most {MAX_TEXT} bytes, or a cartridge", .0.display())]
    Kind(PathBuf),
    /// It is a text with faults.
    #[error("{}", told(path, text, faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// The text.
        text: String,
        /// All that is wrong with it.
        faults: Vec<Diagnostic>,
    },
    /// It is a PNG, but no cartridge; or it cannot be written as one.
    #[error("{}: {source}", path.display())]
    Cartridge {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: CartridgeError,
    },
}

/// All faults, each with its line.
fn told(path: &Path, text: &str, faults: &[Diagnostic]) -> String {
    let name = path.display().to_string();
    let several = if faults.len() == 1 { "error" } else { "errors" };
    let shown: String = faults.iter().map(|fault| fault.render(text, &name) + "\n").collect();
    format!("{name}: {} {several}\n\n{}", faults.len(), shown.trim_end())
}

/// The cartridge in a file, or one made of the text in it, without a label that is worth a look.
///
/// # Errors
/// [`Error`], naming the file.
pub fn read(path: &Path) -> Result<Cartridge, Error> {
    let unread = |source| Error::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unread)?;
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.starts_with(PNG) {
        // What was not read is more than a cartridge has.
        debug_assert!(MAX_TEXT as usize > MAX_FILE);
        return Cartridge::decode(&bytes)
            .map_err(|source| Error::Cartridge { path: path.into(), source });
    }
    let kind = || Error::Kind(path.into());
    if bytes.len() as u64 > MAX_TEXT {
        return Err(kind());
    }
    of_text(String::from_utf8(bytes).map_err(|_| kind())?, path)
}

/// A cartridge made of a text, which messages call by this name.
///
/// # Errors
/// [`Error::Faults`].
pub fn of_text(text: String, name: &Path) -> Result<Cartridge, Error> {
    match assemble(&text) {
        Ok(program) => Ok(Cartridge { source: Some(text), ..Cartridge::new(program) }),
        Err(faults) => Err(Error::Faults { path: name.into(), text, faults }),
    }
}

/// The canvas of a program after two seconds, or as far as it has come; `None` if nothing is on it.
///
/// # Errors
/// Those of running it.
pub fn picture(program: &Program) -> gvpie_core::Result<Option<Vec<u32>>> {
    let ctx = Context::on(Backend::Cpu)?;
    let mut machines = Pixel::new(program.clone()).limit(LABEL_CYCLES).plan(&ctx)?.start()?;
    let mut frame = 0;
    loop {
        machines.run()?;
        let mut on = false;
        machines.change(|_, state| {
            state.drain();
            state.feed(&[], false);
            if state.status() == Status::Yielded && frame < LABEL_FRAMES {
                frame += 1;
                state.frame(Inputs { time: frame * FRAME_MS, ..Inputs::default() });
            }
            on = state.status() == Status::Running;
        })?;
        if !on {
            break;
        }
    }
    let canvas = machines.states()?.first().map(|state| state.canvas().to_vec());
    Ok(canvas.filter(|canvas| canvas.iter().any(|pixel| Some(pixel) != canvas.first())))
}
