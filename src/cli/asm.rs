//! `gvpie asm` and `gvpie disasm`: texts to cartridges, and back.

use super::{Arguments, Failure};
use crate::output::{PendingFile, print};
use crate::program::{self, Error};
use clap::Args;
use gvpie_core::pixel::cartridge::{MAX_SOURCE, art, is_id};
use gvpie_core::pixel::{Cartridge, disassemble};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Make a cartridge of a program: PXL-1, as `gvpie pxl` tells.
///
/// All errors of the text are told at once; then nothing is written. The label is what the program
/// draws in two seconds. The text goes along.
#[derive(Debug, Args)]
pub struct Options {
    /// The text
    #[arg(value_name = "IN.pxl")]
    pub program: PathBuf,
    /// Where to write the cartridge
    #[arg(short, long, value_name = "OUT.pxl.png")]
    pub output: PathBuf,
}

/// Write the text of a program, from a cartridge or another text.
///
/// The text gives the same program again, byte for byte. A cartridge that holds its source has that
/// too: `gvpie cart inspect --source`.
#[derive(Debug, Args)]
pub struct DisasmOptions {
    /// A cartridge, or a text
    #[arg(value_name = "PROGRAM")]
    pub program: PathBuf,
    /// Where to write the text; standard output unless said
    #[arg(short, long, value_name = "OUT.pxl")]
    pub output: Option<PathBuf>,
}

/// Runs `gvpie asm`.
///
/// # Errors
/// [`Failure`], with all that is wrong with the text.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let mut cartridge = program::read(&options.program)?;
    finish(&mut cartridge, &options.output)?;
    write(&cartridge, &options.output)?;
    let program = &cartridge.program;
    let (code, data) = (program.code.len(), program.data.len());
    let text = if arguments.json {
        let output = options.output.display().to_string();
        let hash = cartridge.hash();
        let report =
            json!({ "output": output, "instructions": code, "data": data, "sha256": hash });
        format!("{report}\n")
    } else {
        format!("{}: {code} instructions, {data} bytes of data\n", options.output.display())
    };
    Ok(print(&text)?)
}

/// Runs `gvpie disasm`.
///
/// # Errors
/// [`Failure`], naming the file.
pub fn disasm(options: &DisasmOptions) -> Result<(), Failure> {
    let cartridge = program::read(&options.program)?;
    let text = disassemble(&cartridge.program);
    match &options.output {
        Some(path) => save(path, text.as_bytes()),
        None => Ok(print(&text)?),
    }
}

/// Gives a cartridge what its text did not: a label of what it draws, an id from its file's name.
pub(super) fn finish(cartridge: &mut Cartridge, path: &Path) -> Result<(), Failure> {
    let size = cartridge.program.canvas.map(|extent| extent as usize);
    if let Some(canvas) = program::picture(&cartridge.program)? {
        cartridge.label = art(size, &canvas);
    }
    if cartridge.meta.id.is_none() {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase());
        let stem = name.as_deref().and_then(|name| name.split('.').next()).unwrap_or("");
        cartridge.meta.id = Some(stem.to_string()).filter(|id| is_id(id));
    }
    if cartridge.source.as_ref().is_some_and(|source| source.len() > MAX_SOURCE) {
        eprintln!("gvpie: the source has more than {MAX_SOURCE} bytes and does not go along");
        cartridge.source = None;
    }
    Ok(())
}

/// Writes a cartridge, whole or not at all.
pub(super) fn write(cartridge: &Cartridge, path: &Path) -> Result<(), Failure> {
    let refused = |source| Error::Cartridge { path: path.into(), source };
    save(path, &cartridge.encode().map_err(refused)?)
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let unwritten = |source| Failure::Output { path: path.into(), source };
    let mut file = PendingFile::create(path).map_err(unwritten)?;
    file.write_all(bytes).map_err(unwritten)?;
    file.finish().map_err(unwritten)
}
