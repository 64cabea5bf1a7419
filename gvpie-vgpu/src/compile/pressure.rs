//! How many lanes a warp should have: the more the better, as long as what is alive in loops fits the
//! registers, and as long as the code does not take long to make.
//!
//! What is alive is counted in the order of the text, from where a value is assigned to where it is taken
//! last, to the end of a loop that it comes into. What all lanes share needs no vector. Of sixteen registers
//! each value takes one for every four lanes, and what comes between takes a few.

use super::shapes::Shapes;
use super::tree::{Body, Part, Tree};
use crate::ir::{Kernel, Op, Slot, Value};
use std::collections::{HashMap, HashSet};

/// Instructions × vectors of a kernel from which on code is made for fewer lanes.
const LARGE: usize = 512;

/// Lanes of a warp for a kernel of so many instructions: 4, 8 or 16.
pub(crate) fn lanes(kernel: &Kernel) -> usize {
    let small = |lanes: &usize| kernel.values.len() * (lanes / 4) <= LARGE;
    let Some(most) = [16, 8].into_iter().find(small) else { return 4 };
    let tree = Tree::new(kernel);
    let shapes = Shapes::new(kernel, &tree, 4);
    let alive = tree.regions.iter().map(|region| Counter::count(kernel, &shapes, &region.body));
    let alive = alive.max().unwrap_or(0);
    most.min(match alive {
        0..=4 => 16,
        5..=6 => 8,
        _ => 4,
    })
}

/// Something that a vector holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Thing {
    Value(Value),
    Slot(Slot),
}

struct Counter<'a> {
    kernel: &'a Kernel,
    shapes: &'a Shapes,
    /// Where each thing is seen first and last, in the order of the text.
    seen: HashMap<Thing, (usize, usize)>,
    /// Values that are what a slot holds.
    gotten: HashSet<Value>,
    at: usize,
    /// Where the innermost loops begin and end.
    loops: Vec<(usize, usize)>,
}

impl Counter<'_> {
    /// Vectors of four lanes that are alive at once, in a region's innermost loops; in all of it where it
    /// has none.
    fn count(kernel: &Kernel, shapes: &Shapes, body: &Body<'_>) -> usize {
        let mut counter = Counter {
            kernel,
            shapes,
            seen: HashMap::new(),
            gotten: HashSet::new(),
            at: 0,
            loops: Vec::new(),
        };
        counter.body(body);
        if counter.loops.is_empty() {
            counter.loops.push((0, counter.at));
        }
        let mut change = vec![0_isize; counter.at + 2];
        for (thing, (first, last)) in &counter.seen {
            let vectors = counter.vectors(*thing);
            change[*first] += vectors;
            change[*last] -= vectors;
        }
        let mut alive = 0;
        let alive: Vec<isize> = change
            .iter()
            .map(|change| {
                alive += change;
                alive
            })
            .collect();
        let most = counter.loops.iter().flat_map(|(first, last)| &alive[*first..=*last]).max();
        most.map_or(0, |most| *most as usize)
    }

    fn vectors(&self, thing: Thing) -> isize {
        let (uniform, ty) = match thing {
            Thing::Value(Value(n)) => {
                (self.shapes.uniform[n as usize], self.kernel.values[n as usize])
            }
            Thing::Slot(Slot(n)) => {
                (self.shapes.uniform_slots[n as usize], self.kernel.slots[n as usize])
            }
        };
        if uniform { 0 } else { (ty.bytes() / 4).max(1) as isize }
    }

    fn see(&mut self, thing: Thing) {
        let at = self.at;
        self.seen.entry(thing).or_insert((at, at)).1 = at;
    }

    fn take(&mut self, value: Value) {
        if !self.gotten.contains(&value) {
            self.see(Thing::Value(value));
        }
    }

    fn body(&mut self, body: &Body<'_>) {
        for part in &body.parts {
            self.at += 1;
            match part {
                Part::Inst { first, op, .. } => {
                    op.operands(|value| self.take(value));
                    match op {
                        // What a slot holds is in one register with it.
                        Op::Get(slot) => {
                            self.gotten.insert(*first);
                            self.see(Thing::Slot(*slot));
                        }
                        Op::Set(slot, _) => self.see(Thing::Slot(*slot)),
                        _ => {
                            let results = first.0..first.0 + op.results();
                            results.for_each(|value| self.see(Thing::Value(Value(value))));
                        }
                    }
                }
                Part::If { condition, then, otherwise, .. } => {
                    self.take(*condition);
                    self.body(then);
                    self.body(otherwise);
                }
                Part::Loop { body, continuing, .. } => self.looped(body, continuing),
                Part::Switch { selector, cases, default, .. } => {
                    self.take(*selector);
                    cases.iter().for_each(|(_, body)| self.body(body));
                    self.body(default);
                }
                Part::Scope { body, .. } => self.body(body),
                Part::Leave { .. } | Part::Meet { .. } => {}
            }
        }
    }

    fn looped(&mut self, body: &Body<'_>, continuing: &Body<'_>) {
        let (first, inner) = (self.at, self.loops.len());
        self.body(body);
        self.body(continuing);
        self.at += 1;
        let last = self.at;
        // What comes in, and what goes round, is alive in all of it.
        for (thing, (from, to)) in &mut self.seen {
            if *to >= first && (*from < first || matches!(thing, Thing::Slot(_))) {
                *from = first.min(*from);
                *to = last;
            }
        }
        if self.loops.len() == inner {
            self.loops.push((first, last));
        }
    }
}
