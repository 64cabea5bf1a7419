//! Why a kernel does not run, or not to its end.

use crate::ir::{self, Span};
use std::ops::Range;
use std::time::Duration;

/// What was wrong with a dispatch, or went wrong in it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The kernel breaks a rule of the IR.
    #[error("the kernel is not sound: {0}")]
    Kernel(Box<ir::Fault>),
    /// The kernel nests deeper than an executor follows.
    #[error("the kernel nests deeper than {limit} constructs")]
    Nesting {
        /// Constructs within one another, at most.
        limit: usize,
    },
    /// The kernel needs what this device has not.
    #[error("{what} is not supported")]
    Unsupported {
        /// What it is.
        what: String,
    },
    /// Nothing is bound where the kernel has a binding.
    #[error(
        "@group({group}) @binding({binding}) {name}: expected a buffer or a texture, found nothing"
    )]
    Missing {
        /// `@group`.
        group: u32,
        /// `@binding`.
        binding: u32,
        /// As the source calls it.
        name: String,
    },
    /// The kernel has no such binding.
    #[error(
        "@group({group}) @binding({binding}): something is bound, the kernel has nothing there"
    )]
    Unknown {
        /// `@group`.
        group: u32,
        /// `@binding`.
        binding: u32,
    },
    /// Two are bound at one place.
    #[error("@group({group}) @binding({binding}) is bound twice")]
    Twice {
        /// `@group`.
        group: u32,
        /// `@binding`.
        binding: u32,
    },
    /// What is bound is shorter than the kernel's least.
    #[error(
        "@group({group}) @binding({binding}) {name}: expected {expected} bytes at least, found {found}"
    )]
    TooSmall {
        /// `@group`.
        group: u32,
        /// `@binding`.
        binding: u32,
        /// As the source calls it.
        name: String,
        /// Bytes at least.
        expected: u64,
        /// Bytes bound.
        found: u64,
    },
    /// A part of a buffer begins where none may.
    #[error(
        "@group({group}) @binding({binding}): expected an offset in multiples of {expected} bytes, \
         found {found}"
    )]
    Misaligned {
        /// `@group`.
        group: u32,
        /// `@binding`.
        binding: u32,
        /// Bytes that it must be a multiple of.
        expected: u64,
        /// The offset that came.
        found: u64,
    },
    /// A buffer is bound where the kernel has a texture, or a texture where it has a buffer.
    #[error("@group({group}) @binding({binding}) {name}: expected {expected}, found {found}")]
    Resource {
        /// `@group`.
        group: u32,
        /// `@binding`.
        binding: u32,
        /// As the source calls it.
        name: String,
        /// A buffer or a texture.
        expected: &'static str,
        /// The other.
        found: &'static str,
    },
    /// A texture of other dimensions than the kernel's, or with layers where it has none, or without.
    #[error(
        "@group({group}) @binding({binding}) {name}: expected a texture of {expected}, found one of {found}"
    )]
    Dimensions {
        /// `@group`.
        group: u32,
        /// `@binding`.
        binding: u32,
        /// As the source calls it.
        name: String,
        /// The kernel's.
        expected: &'static str,
        /// The texture's.
        found: &'static str,
    },
    /// A texture whose texels are not the kernel's.
    #[error(
        "@group({group}) @binding({binding}) {name}: expected a texture of {expected}, found {found}"
    )]
    Format {
        /// `@group`.
        group: u32,
        /// `@binding`.
        binding: u32,
        /// As the source calls it.
        name: String,
        /// The format, or of a texture that is only read the type of its channels.
        expected: String,
        /// The texture's format, or the type of its channels.
        found: String,
    },
    /// A texture without texels.
    #[error("a texture of {found:?} texels: expected 1 at least along each axis")]
    Extent {
        /// Width, height, and depth or layers.
        found: [u32; 3],
    },
    /// More levels of a texture than there are, or none.
    #[error("levels of a texture: expected {expected} at most, and one at least, found {found}")]
    Levels {
        /// Levels at most.
        expected: u32,
        /// What came.
        found: u32,
    },
    /// Layers that a texture has not, or that its view cannot have.
    #[error("layers {found:?} of a texture: expected {expected} at most, and one at least")]
    Layers {
        /// Layers at most.
        expected: u32,
        /// What came.
        found: Range<u32>,
    },
    /// A box that is not within a texture's level.
    #[error("{size:?} texels from {at:?} on: expected them within {expected:?}")]
    Part {
        /// Texels of the level along x, y and z.
        expected: [u32; 3],
        /// The box's first texel.
        at: [u32; 3],
        /// Its texels along each axis.
        size: [u32; 3],
    },
    /// Texels of another length.
    #[error("texels: expected {expected} bytes, found {found}")]
    Texels {
        /// Bytes of the texels.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// Two bindings overlap, and the kernel writes to one.
    #[error(
        "{first} and {second} are bound to the same memory, and the kernel writes there: \
         expected memory of their own"
    )]
    Overlap {
        /// As the source calls one.
        first: String,
        /// As the source calls the other.
        second: String,
    },
    /// The immediate data has another length.
    #[error("immediate data: expected {expected} bytes, found {found}")]
    Immediate {
        /// Bytes of the kernel's.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// The kernel's workgroup has more lanes than the device runs.
    #[error("a workgroup of {found} lanes: expected 1 to {expected}")]
    Workgroup {
        /// Lanes at most.
        expected: u64,
        /// The kernel's.
        found: u64,
    },
    /// Too many workgroups.
    #[error("{found} workgroups along {axis}: expected {expected} at most")]
    Workgroups {
        /// x, y or z.
        axis: char,
        /// Workgroups at most.
        expected: u32,
        /// What came.
        found: u32,
    },
    /// A workgroup that a dispatch has not.
    #[error("workgroup {found:?}: expected one of the dispatch's {expected:?}")]
    NoWorkgroup {
        /// Workgroups along x, y and z.
        expected: [u32; 3],
        /// What came.
        found: [u32; 3],
    },
    /// More memory than allowed, or than there is.
    #[error("{what}: expected {expected} bytes at most, found {found}")]
    Memory {
        /// For what.
        what: &'static str,
        /// Bytes at most.
        expected: u64,
        /// Bytes asked for.
        found: u64,
    },
    /// A read or write past a buffer's end.
    #[error("bytes {offset} to {end} of a buffer of {bytes} bytes")]
    PastEnd {
        /// The first byte.
        offset: u64,
        /// The byte after the last.
        end: u64,
        /// Bytes of the buffer.
        bytes: u64,
    },
    /// An option that no device can have.
    #[error("{option}: expected {expected}, found {found}")]
    Option {
        /// Which.
        option: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: u64,
    },
    /// The dispatch has used up its instructions.
    #[error("the dispatch was stopped after {instructions} instructions of lanes, its budget")]
    Budget {
        /// Instructions × lanes of a workgroup, over all workgroups.
        instructions: u64,
    },
    /// The dispatch has used up its time.
    #[error("the dispatch was stopped after {limit:?}, its time limit")]
    Deadline {
        /// The time it had.
        limit: Duration,
    },
    /// A barrier that not every lane has come to.
    #[error(
        "barrier in divergent control flow: lane {lane} of workgroup {workgroup:?} is not there"
    )]
    Divergent {
        /// Where the barrier is.
        span: Span,
        /// The workgroup.
        workgroup: [u32; 3],
        /// The first lane that is missing.
        lane: u32,
    },
    /// An address past its memory: the kernel has an index that no bound holds.
    #[error("lane {lane} of workgroup {workgroup:?} reaches byte {address} of {bytes} bytes")]
    Address {
        /// Where the access is.
        span: Span,
        /// The workgroup.
        workgroup: [u32; 3],
        /// The lane.
        lane: u32,
        /// The byte.
        address: u64,
        /// Bytes of the memory.
        bytes: u64,
    },
    /// The system gives no threads.
    #[error("no threads: {0}")]
    Threads(String),
    /// A fault of this crate.
    #[error("a fault of the executor, please report it: {0}")]
    Broken(String),
}
