//! The library behind the command `gvpie`: its subcommands, the files they read and write, and the
//! runtime around `gvpie-core`: an HTTP interface, a store, and a daemon.
//!
//! For computing from Rust, link [`gvpie_core`] instead; everything here is about a person or a
//! script at a terminal.
#![warn(missing_docs)]

pub mod bodies;
pub mod bytes;
pub mod checkpoint;
pub mod cli;
pub mod daemon;
pub mod movie;
pub mod npy;
pub mod output;
pub mod png;
pub mod program;
pub mod runtime;
pub mod store;
pub mod terminal;
pub mod wav;
