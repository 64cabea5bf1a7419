//! `gvpie cart`: what is on a cartridge.

use super::table::printable;
use super::{Arguments, Failure, asm};
use crate::output::print;
use crate::program::{self, Error};
use clap::{Args, Subcommand};
use gvpie_core::pixel::cartridge::art;
use gvpie_core::pixel::{Cartridge, CartridgeError, assemble};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Pixels of a picture for a label at most.
const MOST_PIXELS: usize = 64 << 20;

/// Make, look at, check and label cartridges.
#[derive(Debug, Args)]
pub struct Options {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with a cartridge.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a cartridge, saying of it what its text does not
    New(New),
    /// Tell what is on a cartridge
    Inspect(Inspect),
    /// Check cartridges: every rule of the format, the hash, and that a source gives the program
    Verify {
        /// The cartridges
        #[arg(value_name = "CART.pxl.png", required = true)]
        cartridges: Vec<PathBuf>,
    },
    /// Give a cartridge another label: a picture, or what it draws in two seconds
    Label {
        /// The cartridge
        #[arg(value_name = "CART.pxl.png")]
        cartridge: PathBuf,
        /// The picture; it is made to fit 128x64
        #[arg(value_name = "PICTURE.png")]
        picture: Option<PathBuf>,
        /// Where to write the cartridge; over itself unless said
        #[arg(short, long, value_name = "OUT.pxl.png")]
        output: Option<PathBuf>,
    },
}

/// Options of `gvpie cart new`.
#[derive(Debug, Args)]
pub struct New {
    /// A text, or a cartridge to make another of
    #[arg(value_name = "PROGRAM")]
    pub program: PathBuf,
    /// Where to write the cartridge
    #[arg(short, long, value_name = "OUT.pxl.png")]
    pub output: PathBuf,
    /// Its name among machines: a-z 0-9 _ -, 64 at most
    #[arg(long)]
    pub id: Option<String>,
    /// Its name among people
    #[arg(long)]
    pub name: Option<String>,
    /// Who has made it
    #[arg(long)]
    pub author: Option<String>,
    /// On which terms it may be used
    #[arg(long)]
    pub licence: Option<String>,
    /// What it is about
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub tags: Vec<String>,
    /// Ids of cartridges it was made from
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub parents: Vec<String>,
    /// Cycles after which it should be stopped
    #[arg(long, value_name = "N")]
    pub max_cycles: Option<u64>,
}

/// Options of `gvpie cart inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The cartridge
    #[arg(value_name = "CART.pxl.png")]
    pub cartridge: PathBuf,
    /// Print the text that it was made from, and nothing else
    #[arg(long)]
    pub source: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], naming the file and the place in it.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    match &options.action {
        Action::New(new) => make(new),
        Action::Inspect(inspect) => tell(arguments, inspect),
        Action::Verify { cartridges } => verify(arguments, cartridges),
        Action::Label { cartridge, picture, output } => {
            label(cartridge, picture.as_deref(), output.as_deref().unwrap_or(cartridge))
        }
    }
}

fn make(new: &New) -> Result<(), Failure> {
    let mut cartridge = program::read(&new.program)?;
    let meta = &mut cartridge.meta;
    meta.id = new.id.clone().or(meta.id.take());
    for (said, place) in [
        (&new.name, &mut meta.name),
        (&new.author, &mut meta.author),
        (&new.licence, &mut meta.licence),
    ] {
        place.clone_from(said.as_ref().unwrap_or(&place.clone()));
    }
    for (said, place) in [(&new.tags, &mut meta.tags), (&new.parents, &mut meta.parents)] {
        if !said.is_empty() {
            place.clone_from(said);
        }
    }
    cartridge.max_cycles = new.max_cycles.unwrap_or(cartridge.max_cycles);
    asm::finish(&mut cartridge, &new.output)?;
    asm::write(&cartridge, &new.output)
}

/// Reads a cartridge, not a text.
fn cartridge(path: &Path) -> Result<Cartridge, Failure> {
    let bytes =
        std::fs::read(path).map_err(|source| Failure::Input { path: path.into(), source })?;
    let wrong = |source: CartridgeError| Error::Cartridge { path: path.into(), source };
    Ok(Cartridge::decode(&bytes).map_err(wrong)?)
}

fn tell(arguments: &Arguments, inspect: &Inspect) -> Result<(), Failure> {
    let cartridge = cartridge(&inspect.cartridge)?;
    if inspect.source {
        let none = || Failure::Wrong(format!("{} has no source", inspect.cartridge.display()));
        return Ok(print(cartridge.source.as_deref().ok_or_else(none)?)?);
    }
    let (program, meta) = (&cartridge.program, &cartridge.meta);
    let [width, height] = program.canvas;
    let report = json!({
        "id": meta.id,
        "name": meta.name,
        "author": meta.author,
        "licence": meta.licence,
        "tags": meta.tags,
        "parents": meta.parents,
        "instructions": program.code.len(),
        "data": program.data.len(),
        "mode": program.mode.to_string(),
        "canvas": [width, height],
        "seed": program.seed,
        "max_cycles": cartridge.max_cycles,
        "source": cartridge.source.as_ref().map(String::len),
        "sha256": cartridge.hash(),
    });
    if arguments.json {
        return Ok(print(&format!("{report}\n"))?);
    }
    let or_none = |text: &str| if text.is_empty() { "-".into() } else { printable(text) };
    let rows = [
        ("id", or_none(meta.id.as_deref().unwrap_or(""))),
        ("name", or_none(&meta.name)),
        ("author", or_none(&meta.author)),
        ("licence", or_none(&meta.licence)),
        ("tags", or_none(&meta.tags.join(", "))),
        ("parents", or_none(&meta.parents.join(", "))),
        ("instructions", program.code.len().to_string()),
        ("data", format!("{} bytes", program.data.len())),
        ("mode", program.mode.to_string()),
        ("canvas", format!("{width} x {height}")),
        ("seed", program.seed.to_string()),
        (
            "cycles",
            match cartridge.max_cycles {
                0 => "no limit".into(),
                most => format!("{most} at most"),
            },
        ),
        ("source", cartridge.source.map_or("-".into(), |text| format!("{} bytes", text.len()))),
        ("sha256", report["sha256"].as_str().unwrap_or("").into()),
    ];
    let lines: String = rows.iter().map(|(name, value)| format!("{name:<13}{value}\n")).collect();
    Ok(print(&lines)?)
}

fn verify(arguments: &Arguments, paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        let cartridge = cartridge(path)?;
        if let Some(source) = &cartridge.source {
            // A cartridge whose chunk of pairs was lost is as good.
            let same = assemble(source).is_ok_and(|program| {
                Cartridge { program, ..cartridge.clone() }.hash() == cartridge.hash()
            });
            if !same {
                let message = format!("{}: its source gives another program", path.display());
                return Err(Failure::Wrong(message));
            }
        }
        let hash = cartridge.hash();
        print(&if arguments.json {
            let report = json!({ "cartridge": path.display().to_string(), "sha256": hash });
            format!("{report}\n")
        } else {
            format!("{}: right, {hash}\n", path.display())
        })?;
    }
    Ok(())
}

fn label(path: &Path, picture: Option<&Path>, output: &Path) -> Result<(), Failure> {
    let mut cartridge = cartridge(path)?;
    let (size, pixels) = match picture {
        Some(picture) => crate::png::read(picture, MOST_PIXELS)
            .map_err(|source| Failure::Input { path: picture.into(), source })?,
        None => {
            let size = cartridge.program.canvas.map(|extent| extent as usize);
            let blank = || Failure::Wrong(format!("{} draws nothing", path.display()));
            (size, program::picture(&cartridge.program)?.ok_or_else(blank)?)
        }
    };
    cartridge.label = art(size, &pixels);
    asm::write(&cartridge, output)
}
