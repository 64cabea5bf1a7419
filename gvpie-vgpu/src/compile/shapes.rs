//! Which values are the same in all lanes of a warp, where lanes go separate ways, and which writes to
//! slots must keep what absent lanes have there.
//!
//! All is taken to be uniform until something says otherwise, again and again until nothing changes. A slot
//! has a home: the innermost block that all looks at it are in, if the first of them, in that block itself,
//! writes; else the kernel's. A write needs no mask if between its block and the slot's home lanes do not
//! part: whoever is absent has gone for good, or writes before it reads.

use super::tree::{Body, BodyId, Entry, Fork, Part, Place, Tree, Wide};
use crate::ir::{Builtin, Kernel, Label, Memory, Op, Slot, Together, Value};
use std::collections::HashSet;

/// What is known of a kernel for warps of a width.
#[derive(Debug)]
pub(super) struct Shapes {
    /// Whether each value is the same in all lanes that are there.
    pub(super) uniform: Vec<bool>,
    pub(super) uniform_slots: Vec<bool>,
    homes: Vec<BodyId>,
    /// Whether the first look at each slot writes it, in its home.
    written: Vec<bool>,
    /// Forks where lanes part.
    parted: Vec<bool>,
    /// Labels that some lanes leave before others.
    left: HashSet<Label>,
    /// Loops that some lanes continue before others.
    again: HashSet<Label>,
    changed: bool,
}

/// How an axis of a lane's place in the workgroup runs along a warp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Along {
    Uniform,
    /// One more from lane to lane.
    Linear,
    Any,
}

/// How `local_invocation_id` runs along warps of `lanes`.
pub(super) fn along(workgroup: [u32; 3], axis: u8, lanes: u32) -> Along {
    let [x, y, z] = workgroup;
    if !(x * y * z).is_multiple_of(lanes) {
        return Along::Any;
    }
    let (before, extent) = match axis {
        0 => (1, x),
        1 => (x, y),
        _ => (x * y, z),
    };
    if extent == 1 || before.is_multiple_of(lanes) {
        Along::Uniform
    } else if before == 1 && extent.is_multiple_of(lanes) {
        Along::Linear
    } else {
        Along::Any
    }
}

impl Shapes {
    pub(super) fn new(kernel: &Kernel, tree: &Tree<'_>, lanes: u32) -> Shapes {
        let (homes, written) = (0..kernel.slots.len()).map(|slot| home(tree, slot)).unzip();
        let mut shapes = Shapes {
            uniform: vec![true; kernel.values.len()],
            uniform_slots: vec![true; kernel.slots.len()],
            homes,
            written,
            parted: vec![false; tree.forks as usize],
            left: HashSet::new(),
            again: HashSet::new(),
            changed: true,
        };
        while std::mem::take(&mut shapes.changed) {
            let mut walk = Walk { kernel, tree, lanes, shapes: &mut shapes };
            walk.wide(&tree.wide);
        }
        shapes
    }

    /// Whether lanes part at a fork.
    pub(super) fn parts(&self, fork: Fork) -> bool {
        self.parted[fork.0 as usize]
    }

    /// Whether some lanes leave a construct before others.
    pub(super) fn leaves_apart(&self, label: Label) -> bool {
        self.left.contains(&label)
    }

    /// Whether some lanes continue a loop before others.
    pub(super) fn continues_apart(&self, label: Label) -> bool {
        self.again.contains(&label)
    }

    /// Whether a write from within a block must keep what absent lanes have.
    pub(super) fn keeps(&self, tree: &Tree<'_>, slot: Slot, from: BodyId) -> bool {
        let home = self.homes[slot.0 as usize];
        tree.path(from, home).any(|place| match place.entry {
            Entry::Whole => false,
            Entry::Arm(fork) => self.parts(fork),
            Entry::Labelled(label) if self.again.contains(&label) => true,
            Entry::Labelled(label) | Entry::Continuing(label) => {
                self.left.contains(&label) && !self.forgotten(tree, slot, label, home)
            }
        })
    }

    /// Whether those who have left a construct never read a slot again that was not written anew: all that
    /// read it are within, and nothing between it and the slot's home goes round.
    fn forgotten(&self, tree: &Tree<'_>, slot: Slot, label: Label, home: BodyId) -> bool {
        let of = |place: &Place, label| matches!(place.entry, Entry::Labelled(l) | Entry::Continuing(l) if l == label);
        let around = tree.around[&label];
        let mut reads = tree.looks[slot.0 as usize].iter().filter(|look| !look.sets);
        let within = reads.all(|look| tree.path(look.body, around).any(|place| of(place, label)));
        let round = |place: &Place| match place.entry {
            Entry::Labelled(label) | Entry::Continuing(label) => tree.loops.contains(&label),
            Entry::Whole | Entry::Arm(_) => false,
        };
        within && self.written[slot.0 as usize] && !tree.path(around, home).any(round)
    }

    /// The innermost block that all looks at a slot are in, if it is written there before it is read, and
    /// whether it is.
    pub(super) fn home(&self, slot: Slot) -> (BodyId, bool) {
        (self.homes[slot.0 as usize], self.written[slot.0 as usize])
    }
}

/// A slot's home, and whether the first look at it, in that block itself, writes.
fn home(tree: &Tree<'_>, slot: usize) -> (BodyId, bool) {
    let looks = &tree.looks[slot];
    let Some(first) = looks.first() else { return (BodyId(0), false) };
    let meet = looks.iter().fold(first.body, |home, look| tree.meet(home, look.body));
    // A region's nodes are its block's.
    let place = &tree.places[first.body.0 as usize];
    let direct = first.body == meet || place.parent == Some(meet) && place.entry == Entry::Whole;
    if first.sets && direct { (meet, true) } else { (BodyId(0), false) }
}

struct Walk<'a, 'k> {
    kernel: &'k Kernel,
    tree: &'a Tree<'k>,
    lanes: u32,
    shapes: &'a mut Shapes,
}

impl Walk<'_, '_> {
    fn uniform(&self, value: Value) -> bool {
        self.shapes.uniform[value.0 as usize]
    }

    fn varies(&mut self, value: u32) {
        let uniform = &mut self.shapes.uniform[value as usize];
        self.shapes.changed |= *uniform;
        *uniform = false;
    }

    fn part(&mut self, fork: Fork) {
        let parted = &mut self.shapes.parted[fork.0 as usize];
        self.shapes.changed |= !*parted;
        *parted = true;
    }

    fn wide(&mut self, nodes: &[Wide]) {
        let tree = self.tree;
        for node in nodes {
            match node {
                Wide::Region(number) => self.body(&tree.regions[*number].body),
                Wide::Barrier(_) => {}
                Wide::If { fork, condition, then, otherwise } => {
                    if !self.uniform(*condition) {
                        self.part(*fork);
                    }
                    self.wide(then);
                    self.wide(otherwise);
                }
                Wide::Loop { label, body, continuing, break_if } => {
                    self.wide(body);
                    self.wide(continuing);
                    self.break_if(*label, *break_if);
                }
                Wide::Switch { fork, selector, cases, default, .. } => {
                    if !self.uniform(*selector) {
                        self.part(*fork);
                    }
                    cases.iter().for_each(|(_, nodes)| self.wide(nodes));
                    self.wide(default);
                }
                Wide::Scope { body, .. } => self.wide(body),
            }
        }
    }

    fn break_if(&mut self, label: Label, break_if: Option<Value>) {
        if break_if.is_some_and(|value| !self.uniform(value)) {
            self.shapes.changed |= self.shapes.left.insert(label);
        }
    }

    fn body(&mut self, body: &Body<'_>) {
        for part in &body.parts {
            match part {
                Part::Inst { first, op, .. } => self.inst(first.0, op, body.id),
                Part::If { fork, condition, then, otherwise } => {
                    if !self.uniform(*condition) {
                        self.part(*fork);
                    }
                    self.body(then);
                    self.body(otherwise);
                }
                Part::Loop { label, body, continuing, break_if } => {
                    self.body(body);
                    self.body(continuing);
                    self.break_if(*label, *break_if);
                }
                Part::Switch { fork, selector, cases, default, .. } => {
                    if !self.uniform(*selector) {
                        self.part(*fork);
                    }
                    cases.iter().for_each(|(_, body)| self.body(body));
                    self.body(default);
                }
                Part::Scope { body, .. } => self.body(body),
                Part::Leave { label, again } => self.leave(*label, *again, body.id),
                Part::Meet { .. } => {}
            }
        }
    }

    fn leave(&mut self, label: Label, again: bool, from: BodyId) {
        let tree = self.tree;
        let around = tree.around[&label];
        // The construct's own block, which is entered by its label, is the last before the one around it.
        let shapes = &*self.shapes;
        let apart = tree.path(from, around).any(|place| match place.entry {
            Entry::Whole => false,
            Entry::Arm(fork) => shapes.parts(fork),
            Entry::Labelled(inner) if inner == label => !again && shapes.again.contains(&label),
            Entry::Labelled(inner) => shapes.left.contains(&inner) || shapes.again.contains(&inner),
            Entry::Continuing(inner) => inner != label && shapes.left.contains(&inner),
        });
        if apart {
            let set = if again { &mut self.shapes.again } else { &mut self.shapes.left };
            self.shapes.changed |= set.insert(label);
        }
    }

    fn inst(&mut self, first: u32, op: &Op, at: BodyId) {
        if let Op::Set(slot, value) = op {
            let keeps = self.shapes.keeps(self.tree, *slot, at);
            if keeps || !self.uniform(*value) {
                let uniform = &mut self.shapes.uniform_slots[slot.0 as usize];
                self.shapes.changed |= *uniform;
                *uniform = false;
            }
            return;
        }
        let mut uniform = true;
        op.operands(|value| uniform &= self.uniform(value));
        let uniform = match op {
            Op::Builtin(builtin) => match builtin {
                Builtin::LocalId(axis) => {
                    along(self.kernel.workgroup, *axis, self.lanes) == Along::Uniform
                }
                Builtin::LocalIndex | Builtin::SubgroupLane => false,
                _ => true,
            },
            Op::Get(slot) => self.shapes.uniform_slots[slot.0 as usize],
            Op::Load(place) => uniform && place.memory != Memory::Private,
            Op::Atomic { .. } | Op::TextureLoad { .. } => false,
            Op::Ballot(_) => true,
            Op::Together(op, _, b) => match op {
                Together::All
                | Together::Any
                | Together::Add
                | Together::Mul
                | Together::Min
                | Together::Max
                | Together::And
                | Together::Or
                | Together::Xor
                | Together::First => true,
                Together::Broadcast => b.is_none_or(|b| self.uniform(b)),
                _ => false,
            },
            _ => uniform,
        };
        if !uniform {
            (first..first + op.results()).for_each(|value| self.varies(value));
        }
    }
}
