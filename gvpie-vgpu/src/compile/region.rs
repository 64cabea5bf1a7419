//! A region's function: warp after warp, those that have lanes there.

use super::ask::Asked;
use super::emit::{Emitter, Held, Home, There, field, fixed, own, scalar, scratch, vector};
use super::engine::Engine;
use super::layout::{Cell, Layout};
use super::proofs::Proofs;
use super::quiet::Quiet;
use super::shapes::Shapes;
use super::tree::{Body, BodyId, Part, Tree};
use crate::interp::RunError;
use crate::ir::{self, Kernel, Op, Slot, Type};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};
use cranelift_frontend::FunctionBuilder;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What is known of the kernel that a region is of.
#[derive(Clone, Copy)]
pub(super) struct Of<'a, 'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) tree: &'a Tree<'k>,
    pub(super) shapes: &'a Shapes,
    pub(super) layout: &'a Layout,
    pub(super) proofs: &'a Proofs,
}

/// Compiles the region of a number.
pub(super) fn compile(
    engine: &mut Engine,
    of: &Of<'_, '_>,
    asks: &mut Vec<Arc<Asked>>,
    number: usize,
) -> Result<(), RunError> {
    let Of { kernel, tree, shapes, layout, proofs } = *of;
    let mut function = engine.function();
    let (convention, frontend) = (engine.call(), engine.frontend());
    let mut b = FunctionBuilder::new(&mut function, &mut engine.builder);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let given = b.block_params(entry)[0];
    let (warp, credit) = (b.declare_var(types::I64), b.declare_var(types::I64));
    let mask = (0..layout.lanes / 4).map(|_| b.declare_var(types::I32X4)).collect();
    let scratch = b.create_sized_stack_slot(scratch(layout.lanes));
    let mut emitter = Emitter {
        b,
        kernel,
        tree,
        shapes,
        layout,
        proofs,
        asks,
        quiet: Quiet::get()?,
        convention,
        values: HashMap::new(),
        factors: HashMap::new(),
        slots: HashMap::new(),
        targets: HashMap::new(),
        mask,
        there: There::Some,
        below: HashMap::new(),
        lanes_of: HashMap::new(),
        thinned: false,
        warp,
        credit,
        given,
        state: given,
        private: given,
        places: given,
        scratch,
        signatures: HashMap::new(),
    };
    emitter.warps(number);
    emitter.b.finalize(frontend);
    engine.define(function)
}

/// What a region does with a slot.
#[derive(Debug, Default, Clone, Copy)]
struct Looks {
    /// Whether its own first look is a write that all lanes do.
    afresh: bool,
    sets: bool,
}

/// Nodes of a region, and the slots that are looked at there for the first and for the last time: what is
/// not needed yet, or no more, takes no registers.
struct Stretch<'a, 'k> {
    parts: &'a [Part<'k>],
    first: Vec<(Slot, Looks)>,
    last: Vec<(Slot, Looks)>,
}

/// A region node by node; or whole, if lanes may leave it on the way.
fn stretches<'a, 'k>(body: &'a Body<'k>) -> Vec<Stretch<'a, 'k>> {
    let size = match body.parts.iter().any(Part::leaves) {
        true => body.parts.len(),
        false => 1,
    };
    let stretch = |parts| Stretch { parts, first: Vec::new(), last: Vec::new() };
    let mut stretches: Vec<_> = body.parts.chunks(size.max(1)).map(stretch).collect();
    let mut all: BTreeMap<Slot, (Looks, usize, usize)> = BTreeMap::new();
    for (number, stretch) in stretches.iter().enumerate() {
        let mut here = BTreeMap::new();
        looks(stretch.parts, true, &mut here);
        for (slot, looks) in here {
            let (before, _, last) = all.entry(slot).or_insert((looks, number, number));
            before.sets |= looks.sets;
            *last = number;
        }
    }
    for (slot, (looks, first, last)) in all {
        stretches[first].first.push((slot, looks));
        stretches[last].last.push((slot, looks));
    }
    stretches
}

/// The slots that nodes look at; `top` as long as all lanes that came in are there.
fn looks(parts: &[Part<'_>], mut top: bool, found: &mut BTreeMap<Slot, Looks>) {
    for part in parts {
        top = top && !part.leaves();
        match part {
            Part::Inst { op: Op::Get(slot), .. } => {
                found.entry(*slot).or_default();
            }
            Part::Inst { op: Op::Set(slot, _), .. } => {
                let looks = found.entry(*slot).or_insert(Looks { afresh: top, sets: true });
                looks.sets = true;
            }
            Part::Inst { .. } | Part::Leave { .. } | Part::Meet { .. } => {}
            Part::If { then, otherwise, .. } => {
                looks(&then.parts, false, found);
                looks(&otherwise.parts, false, found);
            }
            Part::Loop { body, continuing, .. } => {
                looks(&body.parts, false, found);
                looks(&continuing.parts, false, found);
            }
            Part::Switch { cases, default, .. } => {
                cases.iter().for_each(|(_, body)| looks(&body.parts, false, found));
                looks(&default.parts, false, found);
            }
            Part::Scope { body, .. } => looks(&body.parts, false, found),
        }
    }
}

impl Emitter<'_, '_> {
    /// The whole function.
    fn warps(&mut self, number: usize) {
        let region = &self.tree.regions[number];
        let (head, work, next, done) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        let zero = self.long(0);
        self.b.def_var(self.warp, zero);
        let credit = self.load(types::I64, own(), self.given, field!(credit));
        self.b.def_var(self.credit, credit);
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        let warp = self.b.use_var(self.warp);
        let masks = self.load(types::I64, fixed(), self.given, field!(masks));
        let at = self.b.ins().ishl_imm_u(warp, 2);
        let at = self.b.ins().iadd(masks, at);
        let bits = self.load(types::I32, own(), at, 0);
        self.b.ins().brif(bits, work, &[], next, &[]);
        self.b.seal_block(work);
        self.b.switch_to_block(work);
        self.warp(bits, warp);
        self.take(number);
        let entered = self.mask();
        self.thinned = false;
        let stretches = stretches(&region.body);
        for Stretch { parts, first, last } in &stretches {
            self.take_slots(first);
            self.parts(parts, region.body.id);
            self.give(last, &entered, region.body.id);
        }
        if self.thinned {
            let mask = self.mask();
            let bits = self.bits(&mask);
            self.store(own(), bits, at, 0);
        }
        self.b.ins().jump(next, &[]);
        self.b.seal_block(next);
        self.b.switch_to_block(next);
        let warp = self.b.ins().iadd_imm_u(warp, 1);
        self.b.def_var(self.warp, warp);
        let more =
            self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, warp, i64::from(self.layout.warps));
        self.b.ins().brif(more, head, &[], done, &[]);
        self.b.seal_block(head);
        self.b.seal_block(done);
        self.b.switch_to_block(done);
        let credit = self.b.use_var(self.credit);
        self.store(own(), credit, self.given, field!(credit));
        let zero = self.word(0);
        self.b.ins().return_(&[zero]);
    }

    /// What a warp has of its own.
    fn warp(&mut self, bits: Value, warp: Value) {
        let own_of = |e: &mut Self, offset: i32, stride: u32| {
            let start = e.load(types::I64, fixed(), e.given, offset);
            let at = e.b.ins().imul_imm_u(warp, i64::from(stride));
            e.b.ins().iadd(start, at)
        };
        let private = self.kernel.private_bytes.next_multiple_of(4) * self.lanes();
        self.state = own_of(self, field!(state), self.layout.stride);
        self.private = own_of(self, field!(private), private);
        self.places = own_of(self, field!(places), 4 * self.lanes());
        let mask = self.unpack(bits);
        self.set_mask(&mask);
        self.there = There::Bits(bits);
    }

    /// Brings slots in.
    fn take_slots(&mut self, slots: &[(Slot, Looks)]) {
        let layout = self.layout;
        for (slot, looks) in slots {
            let ty = self.kernel.slots[slot.0 as usize];
            let uniform = self.shapes.uniform_slots[slot.0 as usize];
            let (machine, count) = match uniform {
                true => (scalar(ty), 1),
                false => (vector(ty), self.chunks(ty)),
            };
            let variables = self.variables(machine, count);
            let begin = match layout.slots.get(slot) {
                Some(cell) if !looks.afresh => self.fetch(*cell),
                _ => {
                    let zero = self.constant(ty, 0);
                    if uniform { Held::Uniform(zero) } else { self.spread_of(ty, zero) }
                }
            };
            let begin = match begin {
                Held::Uniform(value) => vec![value],
                held => self.spread(ty, &held),
            };
            for (variable, value) in variables.iter().zip(begin) {
                self.b.def_var(*variable, value);
            }
            self.slots.insert(*slot, Home { variables, uniform });
        }
    }

    /// Brings values of other regions in.
    fn take(&mut self, number: usize) {
        let (tree, layout) = (self.tree, self.layout);
        for (value, region) in &tree.crossing {
            if *region == number {
                let held = self.fetch(layout.values[value]);
                self.hold(*value, held);
            }
        }
        for (value, region) in &tree.anew {
            if *region == number {
                self.make_anew(*value);
            }
        }
    }

    /// Computes a value of another region again, and what it is computed from.
    fn make_anew(&mut self, value: ir::Value) {
        let Some(op) = self.tree.constant(value).filter(|_| !self.values.contains_key(&value))
        else {
            return;
        };
        op.operands(|operand| self.make_anew(operand));
        let held = self.compute(value, op);
        self.hold_word(value, op, held);
    }

    fn spread_of(&mut self, ty: Type, value: Value) -> Held {
        let vectors = self.spread(ty, &Held::Uniform(value));
        Held::Varying(vectors)
    }

    /// Keeps what slots hold now for the lanes that came in.
    fn give(&mut self, slots: &[(Slot, Looks)], entered: &[Value], at: BodyId) {
        for (slot, looks) in slots {
            let Some(cell) = self.layout.slots.get(slot).copied().filter(|_| looks.sets) else {
                continue;
            };
            let home = self.slots[slot].clone();
            let now: Vec<Value> =
                home.variables.iter().map(|variable| self.b.use_var(*variable)).collect();
            let now = match home.uniform {
                true => Held::Uniform(now[0]),
                // What was brought in is there of all lanes: writes keep what must be kept.
                false if !looks.afresh || !self.shapes.keeps(self.tree, *slot, at) => {
                    Held::Varying(now)
                }
                false => {
                    let before = self.fetch(cell);
                    let before = self.spread(cell.ty, &before);
                    let mask = self.widen(cell.ty, entered);
                    Held::Varying(self.choose(cell.ty, &mask, &now, &before))
                }
            };
            self.keep(cell, &now);
        }
    }

    /// Reads a cell of the warp's state.
    fn fetch(&mut self, cell: Cell) -> Held {
        let (state, offset) = (self.state, cell.offset as i32);
        match (cell.ty, cell.uniform) {
            (Type::Bool, true) => {
                let word = self.load(types::I32, own(), state, offset);
                Held::Uniform(self.b.ins().icmp_imm_u(IntCC::NotEqual, word, 0))
            }
            (Type::Bool, false) => {
                let bits = self.load(types::I32, own(), state, offset);
                Held::Varying(self.unpack(bits))
            }
            (ty, true) => Held::Uniform(self.load(scalar(ty), own(), state, offset)),
            (ty, false) => {
                let chunks = 0..self.chunks(ty) as i32;
                let chunk = |chunk| self.load(vector(ty), own(), state, offset + 16 * chunk);
                Held::Varying(chunks.map(chunk).collect())
            }
        }
    }

    /// Writes a cell of the warp's state.
    fn keep(&mut self, cell: Cell, held: &Held) {
        let (state, offset) = (self.state, cell.offset as i32);
        match (cell.ty, cell.uniform, held) {
            (Type::Bool, true, Held::Uniform(value)) => {
                let word = self.b.ins().bmask(types::I32, *value);
                self.store(own(), word, state, offset);
            }
            (Type::Bool, ..) => {
                let vectors = self.spread(Type::Bool, held);
                let bits = self.bits(&vectors);
                self.store(own(), bits, state, offset);
            }
            (_, true, Held::Uniform(value)) => self.store(own(), *value, state, offset),
            (ty, ..) => {
                for (chunk, value) in self.spread(ty, held).into_iter().enumerate() {
                    self.store(own(), value, state, offset + 16 * chunk as i32);
                }
            }
        }
    }

    /// Keeps a value that others ask for.
    pub(super) fn publish(&mut self, value: ir::Value) {
        if let Some(cell) = self.layout.values.get(&value).copied() {
            let held = self.held(value);
            self.keep(cell, &held);
        }
    }

    /// Ends a block: goes to its end, where masks and slots of all ways meet.
    pub(super) fn close(&mut self, end: Block) {
        self.b.ins().jump(end, &[]);
        self.b.seal_block(end);
        self.b.switch_to_block(end);
    }
}
