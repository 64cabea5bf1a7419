//! Which addresses are within their memory, and which indices below their lengths, whatever a kernel is
//! given: so that they are not looked at again when it runs.
//!
//! One walk in the order of the text, with the largest number that each u32 can be there. What a condition
//! says holds where it was found to, for numbers that are the same in all lanes: lanes that take no part
//! compute too, and may have anything else.

use super::shapes::Shapes;
use crate::ir::{
    Binary, BindingKind, Block, Builtin, Compare, Kernel, Length, Memory, Node, Op, Place, Slot,
    Type, Unary, Value,
};
use std::collections::{HashMap, HashSet};

/// The largest u32.
const ANY: u64 = u32::MAX as u64;

/// Instructions that cannot go wrong.
#[derive(Debug)]
pub(super) struct Proofs(HashSet<*const Op>);

impl Proofs {
    pub(super) fn new(kernel: &Kernel, shapes: &Shapes) -> Proofs {
        let mut prover = Prover {
            kernel,
            shapes,
            ranges: vec![ANY; kernel.values.len()],
            ops: vec![None; kernel.values.len()],
            slots: HashMap::new(),
            learned: Vec::new(),
            proofs: Proofs(HashSet::new()),
        };
        prover.block(&kernel.body);
        prover.proofs
    }

    /// Whether an instruction's address is within its memory, or its index below its length.
    pub(super) fn holds(&self, op: &Op) -> bool {
        self.0.contains(&std::ptr::from_ref(op))
    }
}

struct Prover<'k> {
    kernel: &'k Kernel,
    shapes: &'k Shapes,
    /// The largest number that each u32 can be here.
    ranges: Vec<u64>,
    ops: Vec<Option<&'k Op>>,
    /// The same of slots that all lanes have the same in; others can be anything.
    slots: HashMap<Slot, Known>,
    /// What ranges were before conditions said more, to be undone.
    learned: Vec<(Value, u64)>,
    proofs: Proofs,
}

/// What is known of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// The largest number that it can hold.
    Most(u64),
    /// That it holds this value.
    Value(Value),
}

/// The slots that a block writes.
fn written(block: &Block, slots: &mut HashSet<Slot>) {
    for node in block {
        match node {
            Node::Inst { op: Op::Set(slot, _), .. } => {
                slots.insert(*slot);
            }
            Node::Inst { .. } | Node::Leave { .. } | Node::Barrier { .. } => {}
            Node::If { then, otherwise, .. } => {
                written(then, slots);
                written(otherwise, slots);
            }
            Node::Loop { body, continuing, .. } => {
                written(body, slots);
                written(continuing, slots);
            }
            Node::Switch { cases, default, .. } => {
                cases.iter().for_each(|(_, block)| written(block, slots));
                written(default, slots);
            }
            Node::Scope { body, .. } => written(body, slots),
        }
    }
}

impl<'k> Prover<'k> {
    fn block(&mut self, nodes: &'k Block) {
        for node in nodes {
            match node {
                Node::Inst { first, op, .. } => self.instruction(*first, op),
                Node::If { condition, then, otherwise, .. } => {
                    self.branch(*condition, then, otherwise);
                }
                Node::Loop { body, continuing, .. } => {
                    self.forget([body, continuing]);
                    let before = self.slots.clone();
                    self.within(body);
                    // Whoever continues comes from anywhere.
                    self.slots.clone_from(&before);
                    self.within(continuing);
                    self.slots = before;
                }
                Node::Switch { cases, default, .. } => {
                    let before = self.slots.clone();
                    for (_, nodes) in cases {
                        self.within(nodes);
                        self.slots.clone_from(&before);
                    }
                    self.within(default);
                    self.slots = before;
                    self.forget(cases.iter().map(|(_, nodes)| nodes).chain([default]));
                }
                Node::Scope { body, .. } => {
                    self.within(body);
                    self.forget([body]);
                }
                Node::Leave { .. } | Node::Barrier { .. } => {}
            }
        }
    }

    /// Nothing is known of what these write.
    fn forget<'b>(&mut self, blocks: impl IntoIterator<Item = &'b Block>) {
        let mut slots = HashSet::new();
        blocks.into_iter().for_each(|block| written(block, &mut slots));
        self.slots.retain(|slot, _| !slots.contains(slot));
    }

    /// A block whose end is not the only way out: what conditions say there is forgotten after it.
    fn within(&mut self, nodes: &'k Block) {
        let mark = self.learned.len();
        self.block(nodes);
        self.undo(mark);
    }

    fn undo(&mut self, mark: usize) {
        for (value, range) in self.learned.drain(mark..).rev() {
            self.ranges[value.0 as usize] = range;
        }
    }

    fn branch(&mut self, condition: Value, then: &'k Block, otherwise: &'k Block) {
        let leaves = |block: &Block| matches!(block.last(), Some(Node::Leave { .. }));
        let mark = self.learned.len();
        let before = self.slots.clone();
        self.learn(condition, true);
        self.block(then);
        self.undo(mark);
        let after = std::mem::replace(&mut self.slots, before);
        self.learn(condition, false);
        self.block(otherwise);
        if leaves(then) {
            return;
        }
        self.undo(mark);
        if leaves(otherwise) {
            self.slots = after;
            self.learn(condition, true);
            return;
        }
        let both = |slot: &Slot, known: Known| match (known, after.get(slot)?) {
            (Known::Most(a), Known::Most(b)) => Some(Known::Most(a.max(*b))),
            (a, b) => (a == *b).then_some(a),
        };
        let slots =
            self.slots.iter().filter_map(|(slot, known)| Some((*slot, both(slot, *known)?)));
        self.slots = slots.collect();
    }

    /// What a condition says.
    fn learn(&mut self, condition: Value, holds: bool) {
        let uniform = self.shapes.uniform[condition.0 as usize];
        let Some(op) = self.ops[condition.0 as usize].filter(|_| uniform) else { return };
        match (op, holds) {
            (Op::Unary(Unary::Not, a), _) => self.learn(*a, !holds),
            (Op::Binary(Binary::And, a, b), true) | (Op::Binary(Binary::Or, a, b), false) => {
                self.learn(*a, holds);
                self.learn(*b, holds);
            }
            (Op::Compare(op, a, b), _) => {
                let (small, large, strict) = match (op, holds) {
                    (Compare::Less, true) | (Compare::GreaterEqual, false) => (a, b, true),
                    (Compare::LessEqual, true) | (Compare::Greater, false) => (a, b, false),
                    (Compare::Greater, true) | (Compare::LessEqual, false) => (b, a, true),
                    (Compare::GreaterEqual, true) | (Compare::Less, false) => (b, a, false),
                    _ => return,
                };
                if self.kernel.values[small.0 as usize] == Type::U32 {
                    let most = self.ranges[large.0 as usize].saturating_sub(strict.into());
                    self.limit(*small, most);
                }
            }
            _ => {}
        }
    }

    fn limit(&mut self, value: Value, most: u64) {
        let range = &mut self.ranges[value.0 as usize];
        self.learned.push((value, *range));
        *range = most.min(*range);
        let range = *range;
        if let Some(Op::Get(slot)) = self.ops[value.0 as usize]
            && self.slots.get(slot) == Some(&Known::Value(value))
        {
            self.slots.insert(*slot, Known::Most(range));
        }
    }

    fn instruction(&mut self, first: Value, op: &'k Op) {
        match op {
            Op::Set(slot, value) if self.shapes.uniform_slots[slot.0 as usize] => {
                let range = self.ranges[value.0 as usize];
                self.slots.insert(*slot, Known::Most(range));
            }
            Op::Load(place) | Op::Store(place, _) | Op::Atomic { place, .. } => {
                let ty = match op {
                    Op::Store(_, value) | Op::Atomic { value, .. } => *value,
                    _ => first,
                };
                if self.is_within(place, self.kernel.values[ty.0 as usize]) {
                    self.proofs.0.insert(std::ptr::from_ref(op));
                }
            }
            Op::Bound(value, Length::Fixed(count))
                if self.ranges[value.0 as usize] < u64::from(*count) =>
            {
                self.proofs.0.insert(std::ptr::from_ref(op));
            }
            _ => {}
        }
        if op.results() == 1 {
            self.ops[first.0 as usize] = Some(op);
            if self.kernel.values[first.0 as usize] == Type::U32 {
                self.ranges[first.0 as usize] = self.range(first, op).min(ANY);
            }
        }
    }

    fn range(&mut self, first: Value, op: &Op) -> u64 {
        let of = |value: &Value| self.ranges[value.0 as usize];
        // What may not wrap.
        let whole = |range: u64| if range > ANY { ANY } else { range };
        let [x, y, z] = self.kernel.workgroup.map(u64::from);
        match op {
            Op::Const(bits) => *bits & ANY,
            Op::Builtin(Builtin::LocalId(axis)) => [x, y, z][usize::from(*axis).min(2)] - 1,
            Op::Builtin(Builtin::LocalIndex) => x * y * z - 1,
            Op::Builtin(Builtin::WorkgroupId(_)) => 65_534,
            Op::Bound(value, Length::Fixed(count)) => of(value).min(u64::from(*count).max(1) - 1),
            Op::Bound(value, Length::Runtime { .. }) => of(value),
            Op::Binary(Binary::Add, a, b) => whole(of(a) + of(b)),
            Op::Binary(Binary::Mul, a, b) => whole(of(a).saturating_mul(of(b))),
            Op::Binary(Binary::Shl, a, b) => match self.ops[b.0 as usize] {
                Some(Op::Const(count)) => whole(of(a) << (count & 31)),
                _ => ANY,
            },
            Op::Binary(Binary::Shr, a, b) => match self.ops[b.0 as usize] {
                Some(Op::Const(count)) => of(a) >> (count & 31),
                _ => of(a),
            },
            Op::Binary(Binary::Div, a, b) => match self.ops[b.0 as usize] {
                Some(Op::Const(by)) => of(a) / (by & ANY).max(1),
                _ => of(a),
            },
            // x % 0 is 0.
            Op::Binary(Binary::Rem, a, b) => of(a).min(of(b).max(1) - 1),
            Op::Binary(Binary::And | Binary::Min, a, b) => of(a).min(of(b)),
            Op::Binary(Binary::Max, a, b) => of(a).max(of(b)),
            Op::Binary(Binary::Or | Binary::Xor, a, b) => {
                (of(a).max(of(b)) + 1).next_power_of_two() - 1
            }
            Op::Select(_, a, b) => of(a).max(of(b)),
            Op::Get(slot) => match self.slots.get(slot) {
                Some(Known::Most(range)) => *range,
                // A condition on this value is one on the slot.
                _ if self.shapes.uniform_slots[slot.0 as usize] => {
                    self.slots.insert(*slot, Known::Value(first));
                    ANY
                }
                _ => ANY,
            },
            _ => ANY,
        }
    }

    /// Whether an address is within its memory.
    fn is_within(&self, place: &Place, ty: Type) -> bool {
        let bytes = u64::from(ty.bytes());
        let least = |number: u32| match self.kernel.bindings[number as usize].kind {
            BindingKind::Buffer { least, .. } => least,
            BindingKind::Texture { .. } => 0,
        };
        let most = |except: Option<usize>| {
            let mut terms = place.terms.iter().enumerate().filter(|(n, _)| Some(*n) != except);
            terms.try_fold(u64::from(place.base), |sum, (_, (value, stride))| {
                let range = self.ranges[value.0 as usize];
                sum.checked_add(range.checked_mul(u64::from(*stride))?)
            })
        };
        let there = match place.memory {
            Memory::Binding(number) => least(number),
            Memory::Workgroup => self.kernel.workgroup_bytes.into(),
            Memory::Private => self.kernel.private_bytes.into(),
            Memory::Immediate => self.kernel.immediate_bytes.into(),
        };
        if most(None).is_some_and(|most| most + bytes <= there) {
            return true;
        }
        // An index below the number of elements of the array that it is in, of which there is one at least.
        place.terms.iter().enumerate().any(|(number, (value, stride))| {
            let Some(Op::Bound(_, Length::Runtime { binding, offset, stride: of })) =
                self.ops[value.0 as usize]
            else {
                return false;
            };
            let element = most(Some(number)).is_some_and(|most| {
                most >= u64::from(*offset) && most - u64::from(*offset) + bytes <= u64::from(*of)
            });
            place.memory == Memory::Binding(*binding)
                && stride == of
                && place.base >= *offset
                && element
                && least(*binding) >= u64::from(*offset) + u64::from(*of)
        })
    }
}
