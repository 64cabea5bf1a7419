//! One region as machine code: what a value is there, and vectors of 128 bits.
//!
//! A value is one number where it is the same in all lanes, a first number where it counts up by the same
//! step from lane to lane, and else a vector for every four lanes, or two of 64 bits. A bool of lanes is a
//! vector of words, all ones or zero; f16 is in the lowest bits of a word.

use super::ask::Asked;
use super::layout::{Layout, chunk_lanes};
use super::proofs::Proofs;
use super::quiet::Quiet;
use super::shapes::Shapes;
use super::tree::Tree;
use crate::ir::{self, Kernel, Label, Slot, Type};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::{
    AbiParam, Block, ConstantData, InstBuilder, MemFlagsData, SigRef, Signature, StackSlot,
    StackSlotData, StackSlotKind, Type as Machine, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, Variable};
use std::collections::HashMap;
use std::sync::Arc;

/// What the lanes of a warp hold.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// One number for all; a bool in a byte.
    Uniform(Value),
    /// Words: a first one, and what each lane has more than the one before it.
    Linear(Value, u32),
    /// Words that count up by one, held at or below a last one.
    Capped { first: Value, last: Value },
    /// Vectors.
    Varying(Vec<Value>),
}

/// Where a slot is: one variable, or one for each vector.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) variables: Vec<Variable>,
    pub(super) uniform: bool,
}

/// The constructs that can be left from where the code is.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Where to go on after it, and with its next round.
    pub(super) exit: Block,
    pub(super) round: Option<Block>,
    /// Masks of those who wait there, where lanes come at different times.
    pub(super) left: Vec<Variable>,
    pub(super) again: Vec<Variable>,
}

/// What is known of who takes part.
#[derive(Debug, Clone, Copy)]
pub(super) enum There {
    All,
    /// Those of a word of bits, who came into the region.
    Bits(Value),
    Some,
}

/// Machine code of a region, under way.
pub(super) struct Emitter<'a, 'k> {
    pub(super) b: FunctionBuilder<'a>,
    pub(super) kernel: &'k Kernel,
    pub(super) tree: &'a Tree<'k>,
    pub(super) shapes: &'a Shapes,
    pub(super) layout: &'a Layout,
    pub(super) proofs: &'a Proofs,
    pub(super) asks: &'a mut Vec<Arc<Asked>>,
    pub(super) quiet: &'static Quiet,
    pub(super) convention: CallConv,
    pub(super) values: HashMap<ir::Value, Held>,
    /// Powers of two that divide numbers, and the first of those that count up.
    pub(super) factors: HashMap<ir::Value, u32>,
    pub(super) slots: HashMap<Slot, Home>,
    pub(super) targets: HashMap<Label, Target>,
    /// Who takes part: a vector of words for every four lanes.
    pub(super) mask: Vec<Variable>,
    pub(super) there: There,
    /// Numbers that were loaded four at a time: the vector, and which of its lanes.
    pub(super) lanes_of: HashMap<Value, (Value, u8)>,
    /// Conditions that lanes which count up by one are below a number: the first of them, and the number.
    pub(super) below: HashMap<ir::Value, (Value, Value)>,
    /// Whether lanes may have left one by one since this was last asked, so that nobody may be there.
    pub(super) thinned: bool,
    /// The number of the warp, as 64 bits.
    pub(super) warp: Variable,
    /// Instructions × lanes until somebody must be asked for more.
    pub(super) credit: Variable,
    pub(super) given: Value,
    /// The warp's own: its state, its lanes' memory, the places of its lanes.
    pub(super) state: Value,
    pub(super) private: Value,
    pub(super) places: Value,
    /// Memory for calls and for lanes one by one: [`AREAS`], of 8 bytes a lane.
    pub(super) scratch: StackSlot,
    /// Of functions called, by how many words they take and whether they give one.
    pub(super) signatures: HashMap<usize, SigRef>,
}

/// Of one number.
pub(super) fn scalar(ty: Type) -> Machine {
    match ty {
        Type::Bool => types::I8,
        Type::I32 | Type::U32 | Type::F16 => types::I32,
        Type::F32 => types::F32,
        Type::I64 | Type::U64 => types::I64,
        Type::F64 => types::F64,
    }
}

/// Of four lanes, or two.
pub(super) fn vector(ty: Type) -> Machine {
    match ty {
        Type::Bool | Type::I32 | Type::U32 | Type::F16 => types::I32X4,
        Type::F32 => types::F32X4,
        Type::I64 | Type::U64 => types::I64X2,
        Type::F64 => types::F64X2,
    }
}

/// Of memory that is this program's own.
pub(super) fn own() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// Of what does not change while the code runs.
pub(super) fn fixed() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly().with_can_move()
}

/// Of what kernels reach: in place, but aligned as its elements are only.
pub(super) fn kernel_memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// The offset of a field of [`Given`](super::layout::Given).
macro_rules! field {
    ($name:ident) => {
        std::mem::offset_of!($crate::compile::layout::Given, $name) as i32
    };
}
pub(super) use field;

impl Emitter<'_, '_> {
    pub(super) fn lanes(&self) -> u32 {
        self.layout.lanes
    }

    pub(super) fn ty(&self, value: ir::Value) -> Type {
        self.kernel.values[value.0 as usize]
    }

    /// How many vectors lanes of a type take.
    pub(super) fn chunks(&self, ty: Type) -> usize {
        (self.lanes() / chunk_lanes(ty)) as usize
    }

    pub(super) fn word(&mut self, word: u32) -> Value {
        self.b.ins().iconst(types::I32, i64::from(word))
    }

    pub(super) fn long(&mut self, long: i64) -> Value {
        self.b.ins().iconst(types::I64, long)
    }

    /// A vector of four words.
    pub(super) fn words(&mut self, words: [u32; 4]) -> Value {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let constant = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(types::I32X4, constant)
    }

    pub(super) fn splat(&mut self, ty: Type, value: Value) -> Value {
        if ty == Type::Bool {
            let word = self.b.ins().bmask(types::I32, value);
            return self.b.ins().splat(types::I32X4, word);
        }
        if let Some((four, lane)) = self.lanes_of.get(&value).copied() {
            let bytes: Vec<u8> = (0..16).map(|byte| 4 * lane + byte % 4).collect();
            let bytes = self.b.func.dfg.immediates.push(ConstantData::from(bytes));
            let four = self.cast(types::I8X16, four);
            let all = self.b.ins().shuffle(four, four, bytes);
            return self.cast(vector(ty), all);
        }
        self.b.ins().splat(vector(ty), value)
    }

    /// The bits of a vector as another type.
    pub(super) fn cast(&mut self, to: Machine, value: Value) -> Value {
        if self.b.func.dfg.value_type(value) == to {
            return value;
        }
        let flags = MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little);
        self.b.ins().bitcast(to, flags, value)
    }

    pub(super) fn held(&self, value: ir::Value) -> Held {
        // A value that nothing assigned is one of code that is never reached; verify sees to all others.
        self.values.get(&value).cloned().unwrap_or(Held::Varying(Vec::new()))
    }

    pub(super) fn hold(&mut self, value: ir::Value, held: Held) {
        self.values.insert(value, held);
    }

    /// What lanes hold, as vectors.
    pub(super) fn vectors(&mut self, value: ir::Value) -> Vec<Value> {
        let ty = self.ty(value);
        let held = self.held(value);
        self.spread(ty, &held)
    }

    pub(super) fn spread(&mut self, ty: Type, held: &Held) -> Vec<Value> {
        match held {
            Held::Uniform(value) => {
                let vector = self.splat(ty, *value);
                vec![vector; self.chunks(ty)]
            }
            Held::Linear(first, step) => self.count_up(*first, *step),
            Held::Capped { first, last } => {
                let last = self.b.ins().splat(types::I32X4, *last);
                let all = self.count_up(*first, 1);
                all.into_iter().map(|chunk| self.b.ins().umin(chunk, last)).collect()
            }
            Held::Varying(chunks) => chunks.clone(),
        }
    }

    fn count_up(&mut self, first: Value, step: u32) -> Vec<Value> {
        let first = self.b.ins().splat(types::I32X4, first);
        (0..self.lanes() / 4)
            .map(|chunk| {
                let steps = [0, 1, 2, 3].map(|lane| (4 * chunk + lane).wrapping_mul(step));
                let steps = self.words(steps);
                self.b.ins().iadd(first, steps)
            })
            .collect()
    }

    /// The one number of a uniform value.
    pub(super) fn number(&mut self, value: ir::Value) -> Option<Value> {
        match self.held(value) {
            Held::Uniform(value) => Some(value),
            _ => None,
        }
    }

    /// Who takes part.
    pub(super) fn mask(&mut self) -> Vec<Value> {
        self.mask.clone().into_iter().map(|variable| self.b.use_var(variable)).collect()
    }

    pub(super) fn set_mask(&mut self, mask: &[Value]) {
        self.there = There::Some;
        for (variable, value) in self.mask.clone().into_iter().zip(mask) {
            self.b.def_var(variable, *value);
        }
    }

    pub(super) fn nobody(&mut self) -> Vec<Value> {
        let none = self.words([0; 4]);
        vec![none; self.mask.len()]
    }

    pub(super) fn and(&mut self, a: &[Value], b: &[Value]) -> Vec<Value> {
        a.iter().zip(b).map(|(a, b)| self.b.ins().band(*a, *b)).collect()
    }

    pub(super) fn or(&mut self, a: &[Value], b: &[Value]) -> Vec<Value> {
        a.iter().zip(b).map(|(a, b)| self.b.ins().bor(*a, *b)).collect()
    }

    /// Those of a that b has not.
    pub(super) fn without(&mut self, a: &[Value], b: &[Value]) -> Vec<Value> {
        a.iter().zip(b).map(|(a, b)| self.b.ins().band_not(*a, *b)).collect()
    }

    /// Whether a mask has anybody, in a byte.
    pub(super) fn any(&mut self, mask: &[Value]) -> Value {
        let one = self.merge(mask, |e, a, b| e.b.ins().bor(a, b));
        let bits = self.b.ins().vhigh_bits(types::I32, one);
        self.b.ins().icmp_imm_u(IntCC::NotEqual, bits, 0)
    }

    /// Whether a mask has everybody.
    fn every(&mut self, mask: &[Value]) -> Value {
        let one = self.merge(mask, |e, a, b| e.b.ins().band(a, b));
        let bits = self.b.ins().vhigh_bits(types::I32, one);
        self.b.ins().icmp_imm_u(IntCC::Equal, bits, 0xf)
    }

    /// Whether all lanes take part, in a byte.
    pub(super) fn everybody(&mut self) -> Value {
        match self.there {
            There::All => self.b.ins().iconst(types::I8, 1),
            There::Bits(bits) => {
                let all = (u64::MAX >> (64 - self.lanes())) as u32;
                let all = self.word(all);
                self.b.ins().icmp(IntCC::Equal, bits, all)
            }
            There::Some => {
                let mask = self.mask();
                self.every(&mask)
            }
        }
    }

    /// The vectors of a mask as one, two by two.
    fn merge(&mut self, mask: &[Value], with: impl Fn(&mut Self, Value, Value) -> Value) -> Value {
        let mut mask = mask.to_vec();
        while mask.len() > 1 {
            mask = mask.chunks_exact(2).map(|pair| with(self, pair[0], pair[1])).collect();
        }
        mask[0]
    }

    /// A mask as a word, a bit for each lane.
    pub(super) fn bits(&mut self, mask: &[Value]) -> Value {
        let mut all = None;
        for (number, chunk) in mask.iter().enumerate() {
            let mut bits = self.b.ins().vhigh_bits(types::I32, *chunk);
            if number > 0 {
                bits = self.b.ins().ishl_imm_u(bits, 4 * number as i64);
            }
            all = Some(match all {
                Some(all) => self.b.ins().bor(all, bits),
                None => bits,
            });
        }
        match all {
            Some(all) => all,
            None => self.word(0),
        }
    }

    /// A word of bits as a mask.
    pub(super) fn unpack(&mut self, bits: Value) -> Vec<Value> {
        let word = self.b.ins().splat(types::I32X4, bits);
        (0..self.lanes() / 4)
            .map(|chunk| {
                let bits = self.words([0, 1, 2, 3].map(|lane| 1 << (4 * chunk + lane)));
                let there = self.b.ins().band(word, bits);
                self.b.ins().icmp(IntCC::Equal, there, bits)
            })
            .collect()
    }

    /// A mask of words as wide as the lanes of a type.
    pub(super) fn widen(&mut self, ty: Type, mask: &[Value]) -> Vec<Value> {
        if ty.bytes() < 8 {
            return mask.to_vec();
        }
        let mut wide = Vec::with_capacity(2 * mask.len());
        for chunk in mask {
            wide.push(self.b.ins().swiden_low(*chunk));
            wide.push(self.b.ins().swiden_high(*chunk));
        }
        wide
    }

    /// The lower words of vectors of two, in vectors of four.
    pub(super) fn narrow(&mut self, wide: &[Value]) -> Vec<Value> {
        let lower: Vec<u8> = [0, 8, 16, 24].iter().flat_map(|at| *at..*at + 4).collect();
        let lower = self.b.func.dfg.immediates.push(ConstantData::from(lower));
        wide.chunks(2)
            .map(|pair| {
                let of = |e: &mut Self, number: usize| {
                    e.cast(types::I8X16, *pair.get(number).unwrap_or(&pair[0]))
                };
                let (a, b) = (of(self, 0), of(self, 1));
                let both = self.b.ins().shuffle(a, b, lower);
                self.cast(types::I32X4, both)
            })
            .collect()
    }

    /// Vectors of a where a mask is set, of b elsewhere. The mask is as wide as the lanes.
    pub(super) fn choose(
        &mut self,
        ty: Type,
        mask: &[Value],
        a: &[Value],
        b: &[Value],
    ) -> Vec<Value> {
        let integers = if ty.bytes() == 8 { types::I64X2 } else { types::I32X4 };
        mask.iter()
            .zip(a)
            .zip(b)
            .map(|((mask, a), b)| {
                let (a, b) = (self.cast(integers, *a), self.cast(integers, *b));
                let mask = self.cast(integers, *mask);
                let chosen = match has_blend() {
                    true => self.b.ins().blendv(mask, a, b),
                    false => self.b.ins().bitselect(mask, a, b),
                };
                self.cast(vector(ty), chosen)
            })
            .collect()
    }

    pub(super) fn load(
        &mut self,
        ty: Machine,
        flags: MemFlagsData,
        at: Value,
        offset: i32,
    ) -> Value {
        self.b.ins().load(ty, flags, at, Offset32::new(offset))
    }

    pub(super) fn store(&mut self, flags: MemFlagsData, value: Value, at: Value, offset: i32) {
        self.b.ins().store(flags, value, at, Offset32::new(offset));
    }

    /// The address of one of the areas of scratch memory.
    pub(super) fn area(&mut self, number: u32) -> Value {
        let offset = (number * 8 * self.lanes()) as i32;
        self.b.ins().stack_addr(types::I64, self.scratch, offset)
    }

    /// Writes vectors one after another, and gives where.
    pub(super) fn spill(&mut self, number: u32, vectors: &[Value]) -> Value {
        let at = self.area(number);
        for (number, vector) in vectors.iter().enumerate() {
            self.store(own(), *vector, at, 16 * number as i32);
        }
        at
    }

    /// Reads what a call wrote, as vectors of a type; a bool is 0 or 1 there.
    pub(super) fn fill(&mut self, ty: Type, at: Value) -> Vec<Value> {
        (0..self.chunks(ty) as i32)
            .map(|chunk| {
                let value = self.load(vector(ty), own(), at, 16 * chunk);
                if ty == Type::Bool { self.b.ins().ineg(value) } else { value }
            })
            .collect()
    }

    /// Vectors as calls take them: a bool is 0 or 1.
    pub(super) fn plain(&mut self, ty: Type, vectors: Vec<Value>) -> Vec<Value> {
        match ty {
            Type::Bool => vectors.into_iter().map(|v| self.b.ins().ineg(v)).collect(),
            _ => vectors,
        }
    }

    /// Calls a function of this program by its address.
    pub(super) fn call(&mut self, address: usize, given: &[Value], gives: bool) -> Option<Value> {
        let key = given.len() * 2 + usize::from(gives);
        let signature = match self.signatures.get(&key) {
            Some(signature) => *signature,
            None => {
                let mut signature = Signature::new(self.convention);
                signature.params = given.iter().map(|_| AbiParam::new(types::I64)).collect();
                if gives {
                    signature.returns.push(AbiParam::new(types::I32));
                }
                let signature = self.b.import_signature(signature);
                self.signatures.insert(key, signature);
                signature
            }
        };
        let address = self.long(address as i64);
        let call = self.b.ins().call_indirect(signature, address, given);
        self.b.inst_results(call).first().copied()
    }

    /// Goes to a block if a byte is not zero, else on in a block of its own.
    pub(super) fn leave_if(&mut self, condition: Value, block: Block) {
        let next = self.b.create_block();
        self.b.ins().brif(condition, block, &[], next, &[]);
        self.b.seal_block(next);
        self.b.switch_to_block(next);
    }

    /// Ends the function early if a word is not zero: the host has said stop.
    pub(super) fn stop_if(&mut self, stop: Value) {
        let (out, next) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(stop, out, &[], next, &[]);
        self.b.seal_block(out);
        self.b.seal_block(next);
        self.b.set_cold_block(out);
        self.b.switch_to_block(out);
        let one = self.word(1);
        self.b.ins().return_(&[one]);
        self.b.switch_to_block(next);
    }

    /// New variables for vectors of a type.
    pub(super) fn variables(&mut self, ty: Machine, count: usize) -> Vec<Variable> {
        (0..count).map(|_| self.b.declare_var(ty)).collect()
    }
}

/// Whether the processor chooses lanes by their highest bits in one instruction.
fn has_blend() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("sse4.1");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Areas of scratch memory: for eight operands and four results.
pub(super) const AREAS: u32 = 12;

/// Scratch memory.
pub(super) fn scratch(lanes: u32) -> StackSlotData {
    StackSlotData::new(StackSlotKind::ExplicitSlot, AREAS * 8 * lanes, 4)
}
