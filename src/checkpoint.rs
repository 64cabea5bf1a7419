//! Checkpoints of a motion: a `.npz` archive, which `numpy.load` reads too.
//!
//! `positions`, `velocities` and `field` are the state's arrays of N×4; `run.json` says which motion
//! it is of. Nothing is compressed.

use crate::npy::{self, Float};
use gvpie_core::nbody::Checkpoint;
use gvpie_core::{DType, Shape};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Why a file is not a checkpoint that can be used; each names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no archive, or a part of it is missing or makes no sense.
    #[error("{}: not a checkpoint: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The motion has gone farther than it is asked to.
    #[error("{}: has gone {done} steps, --steps asks for {wanted} in all", path.display())]
    Beyond {
        /// The file.
        path: PathBuf,
        /// Steps behind it.
        done: u64,
        /// Steps asked for.
        wanted: u64,
    },
}

/// A number as decimal text, which is read back to the bit; JSON's own may not be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Exact(pub f64);

impl From<Exact> for String {
    fn from(number: Exact) -> String {
        number.0.to_string()
    }
}

impl TryFrom<String> for Exact {
    type Error = std::num::ParseFloatError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Exact)
    }
}

/// Which motion a checkpoint is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The form of the archive: 1.
    pub version: u32,
    /// Where the bodies came from.
    pub source: String,
    /// How many they are.
    pub bodies: usize,
    /// Whether they are of f64.
    pub double: bool,
    /// The step's length.
    pub step: Exact,
    /// η, where steps are divided.
    pub adaptive: Option<Exact>,
    /// The softening length.
    pub softening: Exact,
    /// The field's tolerance.
    pub tolerance: Exact,
    /// The field's method, as on the command line.
    pub method: String,
    /// The energy at time 0.
    pub energy: Exact,
    /// Steps behind it.
    pub steps: u64,
}

const VERSION: u32 = 1;
const ARRAYS: [&str; 3] = ["positions", "velocities", "field"];

impl Run {
    /// Writes an archive into a file that has been begun; the caller finishes it.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write<T: Float>(
        &self,
        file: &mut (impl Write + Seek),
        state: &Checkpoint<T>,
    ) -> io::Result<()> {
        let mut zip = ZipWriter::new(file);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(true);
        for (name, rows) in
            ARRAYS.into_iter().zip([&state.positions, &state.velocities, &state.field])
        {
            zip.start_file(format!("{name}.npy"), options)?;
            npy::write(&mut zip, &Shape::from([rows.len() / 4, 4]), rows)?;
        }
        zip.start_file("run.json", options)?;
        let run = Run { version: VERSION, steps: state.steps, ..self.clone() };
        zip.write_all(serde_json::to_string_pretty(&run)?.as_bytes())?;
        zip.finish()?;
        Ok(())
    }
}

/// An archive that has been opened, and which motion it is of.
#[derive(Debug)]
pub struct Opened {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
    /// The motion.
    pub run: Run,
}

impl Opened {
    /// Opens an archive that goes on to `steps`.
    ///
    /// # Errors
    /// [`Error`], naming the file.
    pub fn open(path: &Path, steps: u64) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.into(), source };
        let format = |reason: String| Error::Format { path: path.into(), reason };
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.is_dir() {
            return Err(io(io::ErrorKind::IsADirectory.into()));
        }
        let mut zip =
            ZipArchive::new(BufReader::new(file)).map_err(|error| format(error.to_string()))?;
        let mut text = String::new();
        let mut entry =
            zip.by_name("run.json").map_err(|error| format(format!("run.json: {error}")))?;
        // A description is a few hundred bytes; one of gigabytes is none.
        let limited = (&mut entry).take(1 << 16).read_to_string(&mut text);
        limited.map_err(|error| format(format!("run.json: {error}")))?;
        drop(entry);
        let run: Run =
            serde_json::from_str(&text).map_err(|error| format(format!("run.json: {error}")))?;
        if run.version != VERSION {
            return Err(format(format!("expected version {VERSION}, found {}", run.version)));
        }
        if run.steps > steps {
            return Err(Error::Beyond { path: path.into(), done: run.steps, wanted: steps });
        }
        Ok(Opened { path: path.into(), zip, run })
    }

    /// The state, of elements that [`Run::double`] names.
    ///
    /// # Errors
    /// [`Error::Format`].
    pub fn state<T: Float>(&mut self) -> Result<Checkpoint<T>, Error> {
        let count = self.run.bodies;
        let path = self.path.clone();
        let mut read = |name: &str| -> Result<Vec<T>, Error> {
            let format = |reason: String| Error::Format {
                path: path.clone(),
                reason: format!("{name}.npy: {reason}"),
            };
            let words = |error: &dyn std::fmt::Display| {
                format(error.to_string().lines().next().unwrap_or_default().trim().into())
            };
            let entry = self.zip.by_name(&format!("{name}.npy")).map_err(|error| words(&error))?;
            let file = npyz::NpyFile::new(entry).map_err(|error| words(&error))?;
            if file.shape() != [count as u64, 4] {
                let found =
                    Shape::from(file.shape().iter().map(|&d| d as usize).collect::<Vec<_>>());
                return Err(format(format!("expected shape {count}x4, found shape {found}")));
            }
            let rows = file.into_vec().map_err(|error| words(&error))?;
            if rows.len() != 4 * count {
                return Err(format(format!(
                    "expected {} elements, found {}",
                    4 * count,
                    rows.len()
                )));
            }
            Ok(rows)
        };
        let [positions, velocities, field] = [read(ARRAYS[0])?, read(ARRAYS[1])?, read(ARRAYS[2])?];
        Ok(Checkpoint { positions, velocities, field, steps: self.run.steps })
    }

    /// The elements it is of.
    pub fn precision(&self) -> DType {
        if self.run.double { DType::F64 } else { DType::F32 }
    }
}
