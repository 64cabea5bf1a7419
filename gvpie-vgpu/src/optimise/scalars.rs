//! Elements of a lane's own memory that are always named by constants become slots.

use super::range::{self, Range};
use crate::ir::*;
use std::collections::HashMap;

/// Elements that become slots, at most.
const MAX_SLOTS: usize = 1024;

/// What is reached in the lane's own memory.
struct Reached<'a> {
    kernel: &'a Kernel,
    ranges: Vec<Range>,
    /// Elements by their first byte, with their type, or none where there are several.
    elements: HashMap<u32, Option<Type>>,
    /// From the first byte to the one after the last of what is reached by indices.
    indexed: Vec<(u64, u64)>,
}

/// A kernel whose private arrays are slots as far as they can be; nothing if none can.
pub(super) fn split(kernel: &Kernel) -> Option<Kernel> {
    if kernel.private_bytes == 0 {
        return None;
    }
    let ranges = vec![Range::ANY; kernel.values.len()];
    let (elements, indexed) = (HashMap::new(), Vec::new());
    let mut reached = Reached { kernel, ranges, elements, indexed };
    reached.block(&kernel.body);
    let alone = reached.alone();
    if alone.is_empty() || alone.len() > MAX_SLOTS {
        return None;
    }
    let mut kernel = kernel.clone();
    let mut slots = HashMap::new();
    for (base, ty) in alone {
        slots.insert(base, Slot(kernel.slots.len() as u32));
        kernel.slots.push(ty);
    }
    replace(&mut kernel.body, &slots);
    Some(kernel)
}

impl Reached<'_> {
    fn block(&mut self, block: &Block) {
        for node in block {
            if let Node::Inst { first, op, .. } = node {
                self.instruction(*first, op);
            }
            node.blocks().for_each(|block| self.block(block));
        }
    }

    fn instruction(&mut self, first: Value, op: &Op) {
        let types = &self.kernel.values;
        if op.results() == 1 {
            let at = first.0 as usize;
            let look = |value: Value| (types[value.0 as usize], self.ranges[value.0 as usize]);
            self.ranges[at] = range::of(self.kernel, types[at], op, look);
        }
        let (place, ty) = match op {
            Op::Load(place) => (place, types[first.0 as usize]),
            Op::Store(place, value) => (place, types[value.0 as usize]),
            _ => return,
        };
        if place.memory != Memory::Private {
            return;
        }
        if place.terms.is_empty() {
            let known = self.elements.entry(place.base).or_insert(Some(ty));
            *known = known.filter(|known| *known == ty);
            return;
        }
        let reach = |end: fn(Range) -> u32| {
            place.terms.iter().fold(u64::from(place.base), |sum, (value, stride)| {
                let count = end(self.ranges[value.0 as usize]);
                sum.saturating_add(u64::from(count) * u64::from(*stride))
            })
        };
        let end = reach(|range| range.high).saturating_add(ty.bytes().into());
        self.indexed.push((reach(|range| range.low), end));
    }

    /// The elements that nothing else overlaps.
    fn alone(mut self) -> Vec<(u32, Type)> {
        self.indexed.sort_unstable();
        let mut elements: Vec<_> = self.elements.into_iter().collect();
        elements.sort_unstable_by_key(|(base, _)| *base);
        // Of two types at one place, the wider counts as 8 bytes.
        let end = |(base, ty): &(u32, Option<Type>)| {
            u64::from(*base) + ty.map_or(8, |ty| u64::from(ty.bytes()))
        };
        let (mut alone, mut reached) = (Vec::new(), 0);
        let mut indexed = self.indexed.iter().peekable();
        for (number, element) in elements.iter().enumerate() {
            let (first, last) = (u64::from(element.0), end(element));
            while let Some((_, end)) = indexed.next_if(|(start, _)| *start < last) {
                reached = reached.max(*end);
            }
            let apart = elements.get(number + 1).is_none_or(|next| u64::from(next.0) >= last);
            if let (Some(ty), true) = (element.1, first >= reached && apart) {
                alone.push((element.0, ty));
            }
            reached = reached.max(last);
        }
        alone
    }
}

/// Has slots stand for the elements at these bytes.
fn replace(block: &mut Block, slots: &HashMap<u32, Slot>) {
    for node in block {
        match node {
            Node::Inst { op, .. } => {
                let slot = op
                    .place()
                    .filter(|place| place.memory == Memory::Private && place.terms.is_empty());
                let Some(slot) = slot.and_then(|place| slots.get(&place.base)) else { continue };
                match op {
                    Op::Load(_) => *op = Op::Get(*slot),
                    Op::Store(_, value) => *op = Op::Set(*slot, *value),
                    _ => {}
                }
            }
            Node::If { then, otherwise, .. } => {
                replace(then, slots);
                replace(otherwise, slots);
            }
            Node::Loop { body, continuing, .. } => {
                replace(body, slots);
                replace(continuing, slots);
            }
            Node::Switch { cases, default, .. } => {
                cases.iter_mut().for_each(|(_, block)| replace(block, slots));
                replace(default, slots);
            }
            Node::Scope { body, .. } => replace(body, slots),
            Node::Leave { .. } | Node::Barrier { .. } => {}
        }
    }
}
