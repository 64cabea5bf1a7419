//! A kernel taken apart at its barriers.
//!
//! What holds no barrier is one [`Region`]: machine code that runs warp after warp. What does is walked once
//! for the whole workgroup ([`Wide`]). Every block has a number, so that analyses can keep what they find
//! beside it.

use crate::ir::{Binary, Block, Kernel, Label, Node, Op, Scope, Slot, Span, Type, Value};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Instructions that a region makes anew at most instead of reading a value of another.
const MAX_COST: u32 = 16;

/// A block, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BodyId(pub(super) u32);

/// A construct whose ways lanes may take apart from one another, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fork(pub(super) u32);

/// How a block is entered from the one around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is the kernel's, or a run of another one's nodes: all lanes come.
    Whole,
    /// Lanes are chosen by a condition or selector.
    Arm(Fork),
    /// The body of a switch, loop or scope: lanes come, and leave it by its label.
    Labelled(Label),
    /// What rounds of a loop end with: those that continued are there again.
    Continuing(Label),
}

/// What is known of a block.
#[derive(Debug)]
pub(super) struct Place {
    /// The block around it, nearest first: an arm of a switch is in the switch's own.
    pub(super) parent: Option<BodyId>,
    pub(super) entry: Entry,
    pub(super) depth: u32,
}

/// Nodes without a barrier.
#[derive(Debug)]
pub(super) struct Body<'k> {
    pub(super) id: BodyId,
    pub(super) parts: Vec<Part<'k>>,
}

/// A node without a barrier.
#[derive(Debug)]
pub(super) enum Part<'k> {
    Inst {
        first: Value,
        op: &'k Op,
        span: Span,
    },
    If {
        fork: Fork,
        condition: Value,
        then: Body<'k>,
        otherwise: Body<'k>,
    },
    Loop {
        label: Label,
        body: Body<'k>,
        continuing: Body<'k>,
        break_if: Option<Value>,
    },
    Switch {
        fork: Fork,
        label: Label,
        selector: Value,
        cases: Vec<(&'k [u32], Body<'k>)>,
        default: Body<'k>,
    },
    Scope {
        label: Label,
        body: Body<'k>,
    },
    Leave {
        label: Label,
        again: bool,
    },
    /// Of a subgroup: a warp is one.
    Meet {
        span: Span,
    },
}

/// A run of nodes without a barrier.
#[derive(Debug)]
pub(super) struct Region<'k> {
    pub(super) body: Body<'k>,
    /// Whether it may run several times for one workgroup.
    pub(super) repeated: bool,
}

/// What is done once for a workgroup.
#[derive(Debug)]
pub(super) enum Wide {
    /// The region of this number, warp after warp.
    Region(usize),
    Barrier(Span),
    If {
        fork: Fork,
        condition: Value,
        then: Vec<Wide>,
        otherwise: Vec<Wide>,
    },
    Loop {
        label: Label,
        body: Vec<Wide>,
        continuing: Vec<Wide>,
        break_if: Option<Value>,
    },
    Switch {
        fork: Fork,
        label: Label,
        selector: Value,
        cases: Vec<(Vec<u32>, Vec<Wide>)>,
        default: Vec<Wide>,
    },
    Scope {
        label: Label,
        body: Vec<Wide>,
    },
}

/// A look at a slot, in the order of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) body: BodyId,
    /// Whether it writes.
    pub(super) sets: bool,
    pub(super) region: usize,
}

/// A kernel, taken apart.
#[derive(Debug)]
pub(super) struct Tree<'k> {
    pub(super) places: Vec<Place>,
    pub(super) regions: Vec<Region<'k>>,
    pub(super) wide: Vec<Wide>,
    pub(super) forks: u32,
    /// Each slot's looks.
    pub(super) looks: Vec<Vec<Look>>,
    /// The region that assigns each value.
    pub(super) assigned: Vec<usize>,
    /// Regions that take a value of another.
    pub(super) crossing: Vec<(Value, usize)>,
    /// Regions that take what is the same in all of them, and so is made anew.
    pub(super) anew: Vec<(Value, usize)>,
    /// How they are made, and of how many instructions.
    constants: HashMap<Value, (&'k Op, u32)>,
    /// The types of values.
    values: &'k [Type],
    /// Values that [`Wide`] constructs ask.
    pub(super) asked: BTreeSet<Value>,
    /// The block that each label's construct is in.
    pub(super) around: HashMap<Label, BodyId>,
    /// Labels of wide constructs.
    pub(super) wide_labels: Vec<Label>,
    pub(super) loops: HashSet<Label>,
}

/// Whether a barrier of the workgroup is within.
fn has_barrier(node: &Node) -> bool {
    let within = |block: &Block| block.iter().any(has_barrier);
    match node {
        Node::Barrier { scope, .. } => *scope != Scope::Subgroup,
        Node::Inst { .. } | Node::Leave { .. } => false,
        Node::If { then, otherwise, .. } => within(then) || within(otherwise),
        Node::Loop { body, continuing, .. } => within(body) || within(continuing),
        Node::Switch { cases, default, .. } => {
            within(default) || cases.iter().any(|(_, block)| within(block))
        }
        Node::Scope { body, .. } => within(body),
    }
}

impl Part<'_> {
    /// Whether lanes may go from within to behind what is around it.
    pub(super) fn leaves(&self) -> bool {
        leaves(self, &mut Vec::new())
    }

    /// Whether lanes may go on with the next round of this loop from within.
    pub(super) fn continues(&self, of: Label) -> bool {
        let any = |body: &Body<'_>| body.parts.iter().any(|part| part.continues(of));
        match self {
            Part::Inst { .. } | Part::Meet { .. } => false,
            Part::Leave { label, again } => *again && *label == of,
            Part::If { then, otherwise, .. } => any(then) || any(otherwise),
            Part::Loop { body, continuing, .. } => any(body) || any(continuing),
            Part::Switch { cases, default, .. } => {
                cases.iter().any(|(_, body)| any(body)) || any(default)
            }
            Part::Scope { body, .. } => any(body),
        }
    }
}

/// Whether lanes may go from within a part to behind what is around it: `open` are the labels of the part
/// itself that are open: who leaves those comes back.
fn leaves(part: &Part<'_>, open: &mut Vec<Label>) -> bool {
    let any = |bodies: &[&Body<'_>], open: &mut Vec<Label>| {
        bodies.iter().any(|body| body.parts.iter().any(|part| leaves(part, open)))
    };
    let within = |label: Label, bodies: &[&Body<'_>], open: &mut Vec<Label>| {
        open.push(label);
        let found = any(bodies, open);
        open.pop();
        found
    };
    match part {
        Part::Inst { .. } | Part::Meet { .. } => false,
        Part::Leave { label, .. } => !open.contains(label),
        Part::If { then, otherwise, .. } => any(&[then, otherwise], open),
        Part::Loop { label, body, continuing, .. } => within(*label, &[body, continuing], open),
        Part::Switch { label, cases, default, .. } => {
            let mut bodies: Vec<&Body<'_>> = cases.iter().map(|(_, body)| body).collect();
            bodies.push(default);
            within(*label, &bodies, open)
        }
        Part::Scope { label, body } => within(*label, &[body], open),
    }
}

impl<'k> Tree<'k> {
    pub(super) fn new(kernel: &'k Kernel) -> Tree<'k> {
        let mut tree = Tree {
            places: vec![Place { parent: None, entry: Entry::Whole, depth: 0 }],
            regions: Vec::new(),
            wide: Vec::new(),
            forks: 0,
            looks: vec![Vec::new(); kernel.slots.len()],
            assigned: vec![0; kernel.values.len()],
            crossing: Vec::new(),
            anew: Vec::new(),
            constants: HashMap::new(),
            values: &kernel.values,
            asked: BTreeSet::new(),
            around: HashMap::new(),
            wide_labels: Vec::new(),
            loops: HashSet::new(),
        };
        tree.wide = tree.wide(&kernel.body, BodyId(0), false);
        tree.crossing.sort();
        tree.crossing.dedup();
        tree.anew.sort();
        tree.anew.dedup();
        tree
    }

    fn enter(&mut self, parent: BodyId, entry: Entry) -> BodyId {
        let depth = self.places[parent.0 as usize].depth + 1;
        self.places.push(Place { parent: Some(parent), entry, depth });
        BodyId(self.places.len() as u32 - 1)
    }

    fn fork(&mut self) -> Fork {
        self.forks += 1;
        Fork(self.forks - 1)
    }

    /// Nodes of a block, of which one at least may hold a barrier.
    fn wide(&mut self, block: &'k Block, id: BodyId, repeated: bool) -> Vec<Wide> {
        let mut out = Vec::new();
        let mut rest = &block[..];
        while let Some(node) = rest.first() {
            let run = rest.iter().take_while(|node| !has_barrier(node)).count();
            if run > 0 {
                let number = self.regions.len();
                let body_id = self.enter(id, Entry::Whole);
                let body = Body { id: body_id, parts: Vec::new() };
                self.regions.push(Region { body, repeated });
                let parts = rest[..run].iter().map(|node| self.part(node, body_id, number));
                let parts = parts.collect();
                self.regions[number].body.parts = parts;
                out.push(Wide::Region(number));
                rest = &rest[run..];
                continue;
            }
            out.extend(self.construct(node, id, repeated));
            rest = &rest[1..];
        }
        out
    }

    /// A node that holds a barrier; none for others.
    fn construct(&mut self, node: &'k Node, id: BodyId, repeated: bool) -> Option<Wide> {
        Some(match node {
            Node::If { condition, then, otherwise, .. } => {
                self.asked.insert(*condition);
                let fork = self.fork();
                let mut arm = |block| {
                    let id = self.enter(id, Entry::Arm(fork));
                    self.wide(block, id, repeated)
                };
                let (then, otherwise) = (arm(then), arm(otherwise));
                Wide::If { fork, condition: *condition, then, otherwise }
            }
            Node::Loop { label, body, continuing, break_if, .. } => {
                self.asked.extend(break_if);
                self.loops.insert(*label);
                self.wide_label(*label, id);
                let inner = self.enter(id, Entry::Labelled(*label));
                let body = self.wide(body, inner, true);
                let inner = self.enter(id, Entry::Continuing(*label));
                let continuing = self.wide(continuing, inner, true);
                Wide::Loop { label: *label, body, continuing, break_if: *break_if }
            }
            Node::Switch { label, selector, cases, default, .. } => {
                self.asked.insert(*selector);
                self.wide_label(*label, id);
                let fork = self.fork();
                let inner = self.enter(id, Entry::Labelled(*label));
                let mut arm = |block| {
                    let id = self.enter(inner, Entry::Arm(fork));
                    self.wide(block, id, repeated)
                };
                let cases = cases.iter().map(|(of, block)| (of.clone(), arm(block))).collect();
                let default = arm(default);
                Wide::Switch { fork, label: *label, selector: *selector, cases, default }
            }
            Node::Scope { label, body } => {
                self.wide_label(*label, id);
                let inner = self.enter(id, Entry::Labelled(*label));
                Wide::Scope { label: *label, body: self.wide(body, inner, repeated) }
            }
            Node::Barrier { span, .. } => Wide::Barrier(*span),
            Node::Leave { .. } | Node::Inst { .. } => return None,
        })
    }

    fn wide_label(&mut self, label: Label, around: BodyId) {
        self.around.insert(label, around);
        self.wide_labels.push(label);
    }

    fn body(&mut self, block: &'k Block, id: BodyId, region: usize) -> Body<'k> {
        Body { id, parts: block.iter().map(|node| self.part(node, id, region)).collect() }
    }

    fn used(&mut self, value: Value, region: usize) {
        if self.assigned[value.0 as usize] != region {
            let anew = self.constants.contains_key(&value);
            let list = if anew { &mut self.anew } else { &mut self.crossing };
            list.push((value, region));
        }
    }

    fn part(&mut self, node: &'k Node, id: BodyId, region: usize) -> Part<'k> {
        match node {
            Node::Inst { first, op, span } => {
                op.operands(|value| self.used(value, region));
                if let Some(cost) = self.cost(op).filter(|cost| *cost <= MAX_COST) {
                    self.constants.insert(*first, (op, cost));
                }
                for value in first.0..first.0 + op.results() {
                    self.assigned[value as usize] = region;
                }
                let look = |slot: &Slot, sets| (slot.0 as usize, Look { body: id, sets, region });
                match op {
                    Op::Get(slot) => {
                        let (slot, look) = look(slot, false);
                        self.looks[slot].push(look);
                    }
                    Op::Set(slot, _) => {
                        let (slot, look) = look(slot, true);
                        self.looks[slot].push(look);
                    }
                    _ => {}
                }
                Part::Inst { first: *first, op, span: *span }
            }
            Node::If { condition, then, otherwise, .. } => {
                self.used(*condition, region);
                let fork = self.fork();
                let mut arm = |block| {
                    let id = self.enter(id, Entry::Arm(fork));
                    self.body(block, id, region)
                };
                let (then, otherwise) = (arm(then), arm(otherwise));
                Part::If { fork, condition: *condition, then, otherwise }
            }
            Node::Loop { label, body, continuing, break_if, .. } => {
                self.around.insert(*label, id);
                self.loops.insert(*label);
                let inner = self.enter(id, Entry::Labelled(*label));
                let body = self.body(body, inner, region);
                let inner = self.enter(id, Entry::Continuing(*label));
                let continuing = self.body(continuing, inner, region);
                break_if.iter().for_each(|value| self.used(*value, region));
                Part::Loop { label: *label, body, continuing, break_if: *break_if }
            }
            Node::Switch { label, selector, cases, default, .. } => {
                self.used(*selector, region);
                self.around.insert(*label, id);
                let fork = self.fork();
                let inner = self.enter(id, Entry::Labelled(*label));
                let mut arm = |block| {
                    let id = self.enter(inner, Entry::Arm(fork));
                    self.body(block, id, region)
                };
                let cases = cases.iter().map(|(of, block)| (&of[..], arm(block))).collect();
                let default = arm(default);
                Part::Switch { fork, label: *label, selector: *selector, cases, default }
            }
            Node::Scope { label, body } => {
                self.around.insert(*label, id);
                let inner = self.enter(id, Entry::Labelled(*label));
                Part::Scope { label: *label, body: self.body(body, inner, region) }
            }
            Node::Leave { label, again, .. } => Part::Leave { label: *label, again: *again },
            Node::Barrier { span, .. } => Part::Meet { span: *span },
        }
    }

    /// Instructions that make a value that is the same in every region: what it is there for an address, one
    /// number or such as counts up, is not known of vectors that another region has left in memory.
    fn cost(&self, op: &Op) -> Option<u32> {
        use Binary::*;
        let of = |value: &Value| match self.values[value.0 as usize] {
            Type::U32 | Type::I32 => self.constants.get(value).map(|(_, cost)| *cost),
            _ => None,
        };
        match op {
            Op::Const(_) | Op::Builtin(_) | Op::Length(_) => Some(1),
            Op::Binary(Add | Sub | Mul | And, a, b) => Some(of(a)? + of(b)? + 1),
            Op::Binary(Shl | Shr, a, b) if matches!(self.constant(*b), Some(Op::Const(_))) => {
                Some(of(a)? + 1)
            }
            _ => None,
        }
    }

    fn parent(&self, id: BodyId) -> Option<BodyId> {
        self.places[id.0 as usize].parent
    }

    /// The innermost block that holds both.
    pub(super) fn meet(&self, mut a: BodyId, mut b: BodyId) -> BodyId {
        let depth = |id: BodyId| self.places[id.0 as usize].depth;
        while a != b {
            let deeper = if depth(a) >= depth(b) { &mut a } else { &mut b };
            *deeper = self.parent(*deeper).unwrap_or(BodyId(0));
        }
        a
    }

    /// What makes a value that is the same in all regions.
    pub(super) fn constant(&self, value: Value) -> Option<&'k Op> {
        self.constants.get(&value).map(|(op, _)| *op)
    }

    /// Whether a block is another, or within it.
    pub(super) fn within(&self, inner: BodyId, outer: BodyId) -> bool {
        self.meet(inner, outer) == outer
    }

    /// From a block outwards, up to but without `end`.
    pub(super) fn path(&self, from: BodyId, end: BodyId) -> impl Iterator<Item = &Place> {
        let mut at = Some(from);
        std::iter::from_fn(move || {
            let id = at.filter(|id| *id != end)?;
            at = self.parent(id);
            Some(&self.places[id.0 as usize])
        })
    }
}
