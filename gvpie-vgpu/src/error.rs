//! Why a kernel cannot be had.

use crate::ir::Fault;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a kernel cannot be had. Lines and columns count from 1; 0 where there is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The WGSL does not compile.
    #[error("line {line}, column {column}: {message}")]
    Compile {
        /// Where in the source.
        line: u32,
        /// Where in the line.
        column: u32,
        /// What is wrong, with the lines that it is about.
        message: String,
    },
    /// The WGSL compiles, but has something that this device cannot do.
    #[error("line {line}, column {column}: {what} cannot be run in software")]
    Unsupported {
        /// What it is.
        what: String,
        /// Where in the source.
        line: u32,
        /// Where in the line.
        column: u32,
    },
    /// Larger than what is taken.
    #[error("{what}: {asked} asked, {allowed} allowed (line {line})")]
    Limit {
        /// What is limited, with its unit.
        what: String,
        /// How much there is.
        asked: u64,
        /// How much there may be.
        allowed: u64,
        /// Where in the source, 0 where it is all of it.
        line: u32,
    },
    /// There is no such compute entry point.
    #[error("no compute entry point '{name}'{}; there is {}", if *.stage { ", it is of another stage" } else { "" }, list(.entries))]
    Entry {
        /// What was asked for.
        name: String,
        /// Whether there is an entry point of this name, of another stage.
        stage: bool,
        /// The compute entry points that there are.
        entries: Vec<String>,
    },
    /// An `override` without a value, or a value without its `override`.
    #[error("override '{name}': {what}; there is {}", list(.overrides))]
    Override {
        /// Its name or number; empty where it is not known.
        name: String,
        /// What is wrong.
        what: String,
        /// The overrides that the source has.
        overrides: Vec<String>,
    },
    /// A kernel that breaks the rules of the [`ir`](crate::ir): a fault of this crate.
    #[error("lowered to a kernel that is none: {0}")]
    Broken(Box<Fault>),
}

/// Names in quotes, or that there are none.
fn list(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        names => names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", "),
    }
}
