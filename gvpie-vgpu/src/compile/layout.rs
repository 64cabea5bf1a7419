//! Where things are that outlive a region, and what machine code is given.

use super::shapes::Shapes;
use super::tree::{Body, Part, Tree};
use crate::ir::{Kernel, Label, Length, Op, Slot, Type, Value};
use std::collections::HashMap;
use std::ffi::c_void;

/// A buffer, as machine code sees it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Span {
    pub(super) start: *mut u8,
    pub(super) bytes: u64,
}

/// What machine code is given: one for each thread.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Given {
    /// In the order of the kernel's bindings; immediate data is the last.
    pub(super) bindings: *const Span,
    /// Elements of the arrays of [`Layout::lengths`].
    pub(super) lengths: *const u32,
    pub(super) workgroup: *mut u8,
    /// Lanes' own memory, a warp after another; word w of a lane is at w × lanes + lane.
    pub(super) private: *mut u8,
    /// Slots and values that outlive regions, a warp after another.
    pub(super) state: *mut u8,
    /// `local_invocation_id`: x of all lanes, then y, then z, then the index.
    pub(super) places: *const u32,
    /// Who takes part: a word for each warp.
    pub(super) masks: *mut u32,
    /// For each wide label, the masks of those who have left it.
    pub(super) left: *mut u32,
    /// For each wide label, the masks of those who go on with its next round.
    pub(super) again: *mut u32,
    /// The lanes that each warp has.
    pub(super) all: *const u32,
    /// Instructions × lanes until somebody must be asked for more.
    pub(super) credit: i64,
    /// What the host has said: 0 to go on.
    pub(super) answer: u32,
    pub(super) id: [u32; 3],
    pub(super) workgroups: [u32; 3],
    /// Who is asked: the thread's [`Host`](super::run::Host).
    pub(super) host: *mut c_void,
}

/// Lanes of a vector of 128 bits, for each size of type.
pub(super) fn chunk_lanes(ty: Type) -> u32 {
    if ty.bytes() == 8 { 2 } else { 4 }
}

/// Where something is in a warp's state, bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) offset: u32,
    pub(super) ty: Type,
    /// Whether it is one number and not one for each lane; a bool is always one word of bits.
    pub(super) uniform: bool,
}

/// Where everything is.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) lanes: u32,
    pub(super) warps: u32,
    /// Bytes of a warp's state.
    pub(super) stride: u32,
    pub(super) slots: HashMap<Slot, Cell>,
    pub(super) values: HashMap<Value, Cell>,
    pub(super) lengths: Vec<Length>,
    pub(super) labels: HashMap<Label, u32>,
}

impl Layout {
    pub(super) fn new(kernel: &Kernel, tree: &Tree<'_>, shapes: &Shapes, lanes: u32) -> Layout {
        let [x, y, z] = kernel.workgroup;
        let mut layout = Layout {
            lanes,
            warps: (x * y * z).div_ceil(lanes),
            stride: 0,
            slots: HashMap::new(),
            values: HashMap::new(),
            lengths: Vec::new(),
            labels: tree.wide_labels.iter().zip(0..).map(|(label, at)| (*label, at)).collect(),
        };
        for (number, looks) in tree.looks.iter().enumerate() {
            let slot = Slot(number as u32);
            let Some(first) = looks.first() else { continue };
            let region = &tree.regions[first.region];
            let (home, written) = shapes.home(slot);
            let afresh = written && tree.within(home, region.body.id);
            let alone = looks.iter().all(|look| look.region == first.region);
            if !alone || region.repeated && !afresh {
                let uniform = shapes.uniform_slots[number];
                let cell = layout.cell(kernel.slots[number], uniform);
                layout.slots.insert(slot, cell);
            }
        }
        let crossing = tree.crossing.iter().map(|(value, _)| *value);
        for value in crossing.chain(tree.asked.iter().copied()) {
            if !layout.values.contains_key(&value) {
                let number = value.0 as usize;
                let cell = layout.cell(kernel.values[number], shapes.uniform[number]);
                layout.values.insert(value, cell);
            }
        }
        for region in &tree.regions {
            layout.lengths_of(&region.body);
        }
        layout.stride = layout.stride.next_multiple_of(16);
        layout
    }

    fn cell(&mut self, ty: Type, uniform: bool) -> Cell {
        let bytes = match (ty, uniform) {
            (Type::Bool, _) => 4,
            (ty, true) => ty.bytes().max(4),
            (ty, false) => ty.bytes().max(4) * self.lanes,
        };
        let offset = self.stride.next_multiple_of(bytes.min(16));
        self.stride = offset + bytes;
        Cell { offset, ty, uniform }
    }

    fn lengths_of(&mut self, body: &Body<'_>) {
        for part in &body.parts {
            match part {
                Part::Inst { op: Op::Bound(_, length) | Op::Length(length), .. } => {
                    let runtime = matches!(length, Length::Runtime { .. });
                    if runtime && !self.lengths.contains(length) {
                        self.lengths.push(*length);
                    }
                }
                Part::If { then, otherwise, .. } => {
                    self.lengths_of(then);
                    self.lengths_of(otherwise);
                }
                Part::Loop { body, continuing, .. } => {
                    self.lengths_of(body);
                    self.lengths_of(continuing);
                }
                Part::Switch { cases, default, .. } => {
                    cases.iter().for_each(|(_, body)| self.lengths_of(body));
                    self.lengths_of(default);
                }
                Part::Scope { body, .. } => self.lengths_of(body),
                Part::Inst { .. } | Part::Leave { .. } | Part::Meet { .. } => {}
            }
        }
    }
}
