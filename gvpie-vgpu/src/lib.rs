//! A WGSL compute device in software: any compute kernel without a GPU or a driver, and its races found.
//!
//! WGSL → naga → [`ir`] → an interpreter in lock step (the reference, and the sanitizer) or machine code.
#![warn(missing_docs)]

// The tests run the examples, which name this crate as others do.
#[cfg(all(test, feature = "wgpu"))]
extern crate self as gvpie_vgpu;

mod compile;
pub mod device;
mod error;
pub mod fuzz;
mod interp;
pub mod ir;
mod lower;
mod module;
pub mod numerics;
mod optimise;
#[cfg(test)]
mod proof;
pub mod sanitize;
mod scan;
#[cfg(test)]
mod sketch;
#[cfg(feature = "wgpu")]
pub mod wgpu;

pub use device::{
    Bindings, Buffer, Device, Execution, Extent, Format, Here, Interrupt, Options, Pipeline,
    Session, Texture, Until,
};
pub use error::{Error, Result};
pub use interp::{Datum, RunError};
pub use module::Module;
pub use sanitize::Report;
pub use scan::Limits;
