//! Who looks on as a kernel runs. Plain runs have nobody, and pay nothing.

use super::Stop;
use super::lanes::Mask;
use super::look::Look;
use crate::device::Texture;
use crate::ir::{Memory, Scope, Span};
use std::ops::Range;

/// How memory is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    Read,
    Write,
    /// In one piece with what others do; whether it may change what is there.
    Atomic {
        writes: bool,
    },
}

/// How the addresses of lanes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All are the same.
    Same,
    /// From the first lane that takes part to the last, each is a word after the one before.
    Linear,
    /// Each is where it is.
    Separate,
}

/// Lanes that reach memory, at one place in the source.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    /// Of the instruction, among those that reach memory or texels.
    pub(crate) number: u32,
    pub(crate) memory: Memory,
    pub(crate) reach: Reach,
    /// Of what each lane reaches.
    pub(crate) bytes: u32,
    /// Of every lane; those that do not take part have anything.
    pub(crate) addresses: &'a [u32],
    pub(crate) shape: Shape,
    /// The lanes that take part.
    pub(crate) mask: &'a Mask,
    /// From the first of them to the last.
    pub(crate) range: Range<usize>,
    pub(crate) span: Span,
}

impl Access<'_> {
    /// Whether all lanes of the range take part.
    pub(crate) fn is_dense(&self) -> bool {
        self.mask.count() == self.range.len()
    }

    /// Calls `f` with each lane that takes part and its address, lowest first.
    #[inline(always)]
    pub(crate) fn each(&self, mut f: impl FnMut(usize, u32)) {
        for lane in self.range.clone().filter(|lane| self.mask.has(*lane)) {
            f(lane, self.addresses[lane]);
        }
    }
}

/// Lanes that reach texels, at one place in the source.
#[derive(Debug)]
pub(crate) struct Texels<'a> {
    /// Of the instruction, among those that reach memory or texels.
    pub(crate) number: u32,
    pub(crate) texture: &'a Texture,
    /// The number of its binding.
    pub(crate) binding: u32,
    pub(crate) reach: Reach,
    /// Coordinates and level of every lane.
    pub(crate) at: &'a [([u32; 3], u32)],
    /// Whether coordinates are i32.
    pub(crate) signed: [bool; 3],
    /// The lanes that take part.
    pub(crate) mask: &'a Mask,
    pub(crate) span: Span,
}

/// Who looks on.
pub(crate) trait Watch {
    /// Whether anybody is there.
    const ACTIVE: bool;
    /// Whether anybody wants to see each step.
    const STEPS: bool = false;
    /// A workgroup begins.
    fn begin(&mut self, workgroup: [u32; 3]);
    /// A step is about to be taken; an error is to take no more.
    fn step(&mut self, _: &Look<'_>) -> Result<(), Stop> {
        Ok(())
    }
    /// Memory is about to be reached.
    fn access(&mut self, access: Access<'_>);
    /// Texels are about to be reached.
    fn texels(&mut self, texels: Texels<'_>);
    /// Lanes are at a barrier, with a lane that is not there; whether to go on in spite of it.
    fn barrier(&mut self, scope: Scope, mask: &Mask, missing: Option<usize>, span: Span) -> bool;
    /// Indices are about to be held below a length.
    fn bound(&mut self, indices: &[u32], length: u32, mask: &Mask, span: Span);
    /// These lanes divide an integer by zero.
    fn divided_by_zero(&mut self, lanes: &Mask, span: Span);
    /// These lanes have a NaN, from operands that were none.
    fn not_a_number(&mut self, lanes: &Mask, span: Span);
}

/// Nobody.
#[derive(Debug)]
pub(crate) struct Unwatched;

impl Watch for Unwatched {
    const ACTIVE: bool = false;
    fn begin(&mut self, _: [u32; 3]) {}
    fn access(&mut self, _: Access<'_>) {}
    fn texels(&mut self, _: Texels<'_>) {}
    fn barrier(&mut self, _: Scope, _: &Mask, missing: Option<usize>, _: Span) -> bool {
        missing.is_none()
    }
    fn bound(&mut self, _: &[u32], _: u32, _: &Mask, _: Span) {}
    fn divided_by_zero(&mut self, _: &Mask, _: Span) {}
    fn not_a_number(&mut self, _: &Mask, _: Span) {}
}
