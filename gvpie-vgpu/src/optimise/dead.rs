//! What nobody looks at is left out, and what remains is numbered anew.

use super::walk::head;
use crate::ir::*;
use std::collections::HashMap;

/// A set of slots.
#[derive(Debug, Clone, Default)]
struct Slots(Vec<u64>);

impl Slots {
    fn has(&self, slot: Slot) -> bool {
        self.0[slot.0 as usize / 64] >> (slot.0 % 64) & 1 != 0
    }

    fn insert(&mut self, slot: Slot) {
        self.0[slot.0 as usize / 64] |= 1 << (slot.0 % 64);
    }

    fn remove(&mut self, slot: Slot) {
        self.0[slot.0 as usize / 64] &= !(1 << (slot.0 % 64));
    }

    fn join(&mut self, other: &Slots) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    /// Inserts the slots that a block gets.
    fn gotten(&mut self, block: &Block) {
        for node in block {
            if let Node::Inst { op: Op::Get(slot), .. } = node {
                self.insert(*slot);
            }
            node.blocks().for_each(|block| self.gotten(block));
        }
    }
}

/// Whether an instruction does more than to give its results.
fn acts(op: &Op) -> bool {
    matches!(op, Op::Store(..) | Op::Atomic { .. } | Op::TextureStore { .. })
}

/// From the end to the beginning.
struct Backward {
    /// Values that somebody looks at, by their numbers.
    used: Vec<bool>,
    /// Slots that somebody looks at from here on.
    live: Slots,
    /// The same after the constructs that are open, and where their next rounds begin.
    open: HashMap<Label, [Slots; 2]>,
    /// Whether anybody reads a lane's own memory.
    private: bool,
}

/// Leaves out what has no effect.
pub(super) fn sweep(kernel: Kernel) -> Kernel {
    let none = Slots(vec![0; kernel.slots.len().div_ceil(64)]);
    let mut backward = Backward {
        used: vec![false; kernel.values.len()],
        live: none,
        open: HashMap::new(),
        private: reads_private(&kernel.body),
    };
    let mut kernel = kernel;
    kernel.body = backward.block(std::mem::take(&mut kernel.body));
    if !backward.private {
        kernel.private_bytes = 0;
    }
    number(kernel)
}

fn reads_private(block: &Block) -> bool {
    block.iter().any(|node| match node {
        Node::Inst { op: Op::Load(place), .. } => place.memory == Memory::Private,
        node => node.blocks().any(reads_private),
    })
}

impl Backward {
    fn block(&mut self, block: Block) -> Block {
        let mut kept = Vec::with_capacity(block.len());
        for node in block.into_iter().rev() {
            kept.extend(self.node(node));
        }
        kept.reverse();
        kept
    }

    fn uses(&mut self, value: Value) {
        self.used[value.0 as usize] = true;
    }

    /// The same node without what is dead in it, or nothing.
    fn node(&mut self, node: Node) -> Option<Node> {
        Some(match node {
            Node::Inst { first, ref op, .. } => {
                let wanted = match op {
                    Op::Set(slot, _) => self.live.has(*slot),
                    Op::Store(place, _) if place.memory == Memory::Private => self.private,
                    op if acts(op) => true,
                    op => (0..op.results()).any(|k| self.used[(first.0 + k) as usize]),
                };
                if !wanted {
                    return None;
                }
                match op {
                    Op::Set(slot, _) => self.live.remove(*slot),
                    Op::Get(slot) => self.live.insert(*slot),
                    _ => {}
                }
                op.operands(|value| self.uses(value));
                node
            }
            Node::If { condition, then, otherwise, span } => {
                let after = self.live.clone();
                let then = self.block(then);
                let before = std::mem::replace(&mut self.live, after);
                let otherwise = self.block(otherwise);
                self.live.join(&before);
                if then.is_empty() && otherwise.is_empty() {
                    return None;
                }
                self.uses(condition);
                Node::If { condition, then, otherwise, span }
            }
            Node::Loop { label, body, continuing, break_if, span } => {
                let after = self.live.clone();
                // What any round gets may be what the one before it has left.
                self.live.gotten(&body);
                self.live.gotten(&continuing);
                break_if.iter().for_each(|value| self.uses(*value));
                self.open.insert(label, [after, Slots::default()]);
                let continuing = self.block(continuing);
                if let Some([_, again]) = self.open.get_mut(&label) {
                    *again = self.live.clone();
                }
                let body = self.block(body);
                Node::Loop { label, body, continuing, break_if, span }
            }
            Node::Switch { label, selector, cases, default, span } => {
                let after = self.live.clone();
                self.open.insert(label, [after.clone(), Slots::default()]);
                let default = self.block(default);
                let mut before = std::mem::replace(&mut self.live, after.clone());
                let mut kept = Vec::with_capacity(cases.len());
                for (list, block) in cases {
                    let block = self.block(block);
                    before.join(&std::mem::replace(&mut self.live, after.clone()));
                    kept.push((list, block));
                }
                self.live = before;
                if default.is_empty() && kept.iter().all(|(_, block)| block.is_empty()) {
                    return None;
                }
                self.uses(selector);
                Node::Switch { label, selector, cases: kept, default, span }
            }
            Node::Scope { label, body } => {
                self.open.insert(label, [self.live.clone(), Slots::default()]);
                let body = self.block(body);
                if body.is_empty() {
                    return None;
                }
                Node::Scope { label, body }
            }
            Node::Leave { label, again, .. } => {
                if let Some(live) = self.open.get(&label) {
                    self.live = live[usize::from(again)].clone();
                }
                node
            }
            Node::Barrier { .. } => node,
        })
    }
}

/// Numbers values and slots in the order of the text; variables whose slots are gone are gone too.
fn number(kernel: Kernel) -> Kernel {
    let mut numbers = Numbers {
        types: &kernel.values,
        values: Vec::with_capacity(kernel.values.len()),
        names: vec![Value(0); kernel.values.len()],
        slots: vec![None; kernel.slots.len()],
        count: 0,
    };
    let mut body = kernel.body.clone();
    numbers.block(&mut body);
    let Numbers { values, slots, count, .. } = numbers;
    let mut types = vec![Type::U32; count as usize];
    for (old, new) in slots.iter().enumerate() {
        if let Some(new) = new {
            types[new.0 as usize] = kernel.slots[old];
        }
    }
    let mut head = head(&kernel);
    head.variables.retain_mut(|variable| match &mut variable.at {
        Where::Slot(slot) => match slots[slot.0 as usize] {
            Some(new) => {
                *slot = new;
                true
            }
            None => false,
        },
        Where::Private(at, count, ty) => {
            u64::from(*at) + u64::from(*count) * u64::from(ty.bytes())
                <= u64::from(kernel.private_bytes)
        }
        Where::Workgroup(..) => true,
    });
    Kernel { values, slots: types, body, ..head }
}

struct Numbers<'a> {
    types: &'a [Type],
    values: Vec<Type>,
    names: Vec<Value>,
    slots: Vec<Option<Slot>>,
    count: u32,
}

impl Numbers<'_> {
    fn slot(&mut self, slot: &mut Slot) {
        let new = self.slots[slot.0 as usize].get_or_insert_with(|| {
            self.count += 1;
            Slot(self.count - 1)
        });
        *slot = *new;
    }

    fn block(&mut self, block: &mut Block) {
        for node in block {
            match node {
                Node::Inst { first, op, .. } => {
                    op.operands_mut(|value| *value = self.names[value.0 as usize]);
                    if let Op::Get(slot) | Op::Set(slot, _) = op {
                        self.slot(slot);
                    }
                    let new = Value(self.values.len() as u32);
                    for k in 0..op.results() {
                        let old = (first.0 + k) as usize;
                        self.names[old] = Value(new.0 + k);
                        self.values.push(self.types[old]);
                    }
                    *first = if op.results() > 0 { new } else { Value(0) };
                }
                Node::If { condition, then, otherwise, .. } => {
                    *condition = self.names[condition.0 as usize];
                    self.block(then);
                    self.block(otherwise);
                }
                Node::Loop { body, continuing, break_if, .. } => {
                    self.block(body);
                    self.block(continuing);
                    if let Some(value) = break_if {
                        *value = self.names[value.0 as usize];
                    }
                }
                Node::Switch { selector, cases, default, .. } => {
                    *selector = self.names[selector.0 as usize];
                    cases.iter_mut().for_each(|(_, block)| self.block(block));
                    self.block(default);
                }
                Node::Scope { body, .. } => self.block(body),
                Node::Leave { .. } | Node::Barrier { .. } => {}
            }
        }
    }
}
