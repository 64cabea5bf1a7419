//! Addresses, and loads.
//!
//! Where an address is within its memory for certain ([`proofs`](super::proofs)), nothing is looked at when
//! the code runs; else it is compared with what the memory has, and the first lane that is past it ends the
//! dispatch, as in the interpreter.

use super::emit::{Emitter, Held, field, fixed, kernel_memory, scalar, vector};
use super::quiet::Question;
use super::tree::Part;
use crate::ir::{Memory, Op, Place, Span, Type};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};

/// Bytes from the beginning of a memory, as words or as 64 bits, and how many more are constant.
pub(super) enum Address {
    /// One for all lanes.
    Uniform(Value, i32),
    /// The first lane's, and what each lane has more than the one before it. With an index and its last one,
    /// it is so only if the index of all lanes is below: else each lane's is held.
    Linear { first: Value, offset: i32, step: u32, within: Option<(Value, Value)> },
    /// Each lane's.
    Varying,
}

impl Emitter<'_, '_> {
    /// Where a memory begins.
    pub(super) fn start(&mut self, memory: Memory) -> Value {
        let binding = |e: &mut Self, number: u32| {
            let bindings = e.load(types::I64, fixed(), e.given, field!(bindings));
            e.load(types::I64, fixed(), bindings, 16 * number as i32)
        };
        match memory {
            Memory::Binding(number) => binding(self, number),
            Memory::Immediate => binding(self, self.kernel.bindings.len() as u32),
            Memory::Workgroup => self.load(types::I64, fixed(), self.given, field!(workgroup)),
            Memory::Private => self.private,
        }
    }

    /// Bytes that a memory has, as 64 bits.
    fn bytes(&mut self, memory: Memory) -> Value {
        let kernel = self.kernel;
        match memory {
            Memory::Binding(number) => {
                let bindings = self.load(types::I64, fixed(), self.given, field!(bindings));
                self.load(types::I64, fixed(), bindings, 16 * number as i32 + 8)
            }
            Memory::Immediate => self.long(kernel.immediate_bytes.into()),
            Memory::Workgroup => self.long(kernel.workgroup_bytes.into()),
            Memory::Private => self.long(kernel.private_bytes.into()),
        }
    }

    /// How lanes' addresses run. Of one that is within its memory for certain, constants are added by the
    /// machine; another may wrap around, and so is whole.
    pub(super) fn address(&mut self, place: &Place, certain: bool) -> Address {
        let apart = certain && place.memory != Memory::Private;
        let offset = i32::try_from(place.base).ok().filter(|_| apart).unwrap_or(0);
        let whole = offset == 0 && place.base != 0;
        // The sum of a certain one has no more than 32 bits: it is made as the machine adds addresses.
        let wide = |e: &mut Self, value: Value| match apart {
            true => e.b.ins().uextend(types::I64, value),
            false => value,
        };
        let mut first = whole.then(|| {
            let base = self.word(place.base);
            wide(self, base)
        });
        let (mut step, mut within) = (0_u32, None);
        for (value, stride) in &place.terms {
            let index = match self.held(*value) {
                Held::Uniform(index) => index,
                Held::Linear(index, by) => {
                    step = step.wrapping_add(by.wrapping_mul(*stride));
                    index
                }
                Held::Capped { first, last } if within.is_none() && step == 0 => {
                    within = Some((first, last));
                    step = *stride;
                    first
                }
                Held::Capped { .. } | Held::Varying(_) => return Address::Varying,
            };
            let index = wide(self, index);
            let part = self.b.ins().imul_imm_u(index, i64::from(*stride));
            first = Some(match first {
                Some(first) => self.b.ins().iadd(first, part),
                None => part,
            });
        }
        let first = match first {
            Some(first) => first,
            None => {
                let zero = self.word(0);
                wide(self, zero)
            }
        };
        match (step, within) {
            (0, None) => Address::Uniform(first, offset),
            _ => Address::Linear { first, offset, step, within },
        }
    }

    /// The address of each lane.
    pub(super) fn addresses(&mut self, place: &Place) -> Vec<Value> {
        let base = self.words([place.base; 4]);
        let mut sums = vec![base; self.mask.len()];
        for (value, stride) in &place.terms {
            let stride = self.words([*stride; 4]);
            let indices = self.vectors(*value);
            for (sum, index) in sums.iter_mut().zip(indices) {
                let part = self.b.ins().imul(index, stride);
                *sum = self.b.ins().iadd(*sum, part);
            }
        }
        sums
    }

    /// Has lanes past a memory end the dispatch, and gives addresses of which all are within it.
    pub(super) fn check(
        &mut self,
        place: &Place,
        ty: Type,
        addresses: &[Value],
        span: Span,
    ) -> Vec<Value> {
        let bytes = self.bytes(place.memory);
        // A memory that is smaller than the type has no place for it: all are past it.
        let last = self.b.ins().iadd_imm_s(bytes, -i64::from(ty.bytes()));
        let last = self.b.ins().ireduce(types::I32, last);
        let none = self.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, bytes, i64::from(ty.bytes()));
        let none = self.b.ins().bmask(types::I32, none);
        let none = self.b.ins().splat(types::I32X4, none);
        let last = self.b.ins().splat(types::I32X4, last);
        let mask = self.mask();
        let mut past = Vec::with_capacity(mask.len());
        for (address, mask) in addresses.iter().zip(&mask) {
            let over = self.b.ins().icmp(IntCC::UnsignedGreaterThan, *address, last);
            let over = self.b.ins().bor(over, none);
            past.push(self.b.ins().band(over, *mask));
        }
        let bits = self.bits(&past);
        let (ask, next) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(bits, ask, &[], next, &[]);
        self.b.seal_block(ask);
        self.b.set_cold_block(ask);
        self.b.switch_to_block(ask);
        let at = self.spill(0, addresses);
        let warp = self.b.use_var(self.warp);
        let bits = self.b.ins().uextend(types::I64, bits);
        let place_of = self.long(i64::from(span.start) | i64::from(span.end) << 32);
        self.stop_by_host(Question::Past, &[warp, bits, at, bytes, place_of], next);
        // Who takes no part may have any address: the first is there, or nobody takes part.
        self.and(addresses, &mask)
    }

    fn flags(memory: Memory) -> MemFlagsData {
        match memory {
            Memory::Immediate => fixed(),
            _ => kernel_memory(),
        }
    }

    /// An address so many bytes, as 32 or 64 bits, from the beginning of a memory.
    pub(super) fn reach(&mut self, start: Value, bytes: Value) -> Value {
        let bytes = match self.b.func.dfg.value_type(bytes) {
            types::I64 => bytes,
            _ => self.b.ins().uextend(types::I64, bytes),
        };
        self.b.ins().iadd(start, bytes)
    }

    /// The bytes of a lane's address, in the machine's memory: `skip` words further.
    pub(super) fn at(
        &mut self,
        memory: Memory,
        start: Value,
        address: Value,
        lane: u32,
        skip: u32,
    ) -> Value {
        if memory != Memory::Private {
            return self.reach(start, address);
        }
        // Word w of a lane is at w × lanes + lane; half a word further on is half a word further on.
        let word = self.b.ins().band_imm_u(address, 0xffff_fffc);
        let half = self.b.ins().band_imm_u(address, 2);
        let lanes = self.lanes();
        let word = self.b.ins().imul_imm_u(word, i64::from(lanes));
        let sum = self.b.ins().iadd(word, half);
        let sum = self.b.ins().uextend(types::I64, sum);
        let lane = i64::from(4 * lane + 4 * lanes * skip);
        let sum = self.b.ins().iadd_imm_u(sum, lane);
        self.b.ins().iadd(start, sum)
    }

    /// One lane's number.
    fn read_one(
        &mut self,
        ty: Type,
        memory: Memory,
        start: Value,
        address: Value,
        lane: u32,
        offset: i32,
    ) -> Value {
        let at = self.at(memory, start, address, lane, 0);
        let flags = Self::flags(memory);
        match ty {
            Type::F16 => self.b.ins().uload16(types::I32, flags, at, offset),
            Type::Bool => {
                let word = self.load(types::I32, flags, at, offset);
                self.b.ins().icmp_imm_u(IntCC::NotEqual, word, 0)
            }
            _ if ty.bytes() == 8 && memory == Memory::Private => {
                let low = self.b.ins().uload32(flags, at, 0);
                let at = self.at(memory, start, address, lane, 1);
                let high = self.b.ins().uload32(flags, at, 0);
                let high = self.b.ins().ishl_imm_u(high, 32);
                let both = self.b.ins().bor(low, high);
                self.cast(scalar(ty), both)
            }
            _ => self.load(scalar(ty), flags, at, offset),
        }
    }

    /// Numbers of lanes, as vectors.
    fn gather(&mut self, ty: Type, of: impl Fn(&mut Self, u32) -> Value) -> Vec<Value> {
        let each = self.lanes() / self.chunks(ty) as u32;
        (0..self.chunks(ty) as u32)
            .map(|chunk| {
                let mut out = None;
                for lane in 0..each {
                    let mut value = of(self, chunk * each + lane);
                    if ty == Type::Bool {
                        value = self.b.ins().bmask(types::I32, value);
                    }
                    out = Some(match out {
                        None => self.b.ins().scalar_to_vector(vector(ty), value),
                        Some(out) => self.b.ins().insertlane(out, value, lane as u8),
                    });
                }
                match out {
                    Some(out) => out,
                    None => self.words([0; 4]),
                }
            })
            .collect()
    }

    /// What lanes read at their own addresses.
    fn read_each(&mut self, ty: Type, memory: Memory, addresses: &[Value]) -> Vec<Value> {
        let start = self.start(memory);
        self.gather(ty, |e, lane| {
            let address = addresses[lane as usize / 4];
            let address = e.b.ins().extractlane(address, (lane % 4) as u8);
            e.read_one(ty, memory, start, address, lane, 0)
        })
    }

    /// What lanes read side by side, or a step from one another.
    fn read_along(
        &mut self,
        ty: Type,
        memory: Memory,
        first: Value,
        step: u32,
        offset: i32,
    ) -> Vec<Value> {
        let start = self.start(memory);
        let at = self.reach(start, first);
        let flags = Self::flags(memory);
        if step == ty.bytes() {
            return (0..self.chunks(ty) as i32)
                .map(|chunk| match ty {
                    Type::F16 => self.b.ins().uload16x4(flags, at, offset + 8 * chunk),
                    Type::Bool => {
                        let words = self.load(types::I32X4, flags, at, offset + 16 * chunk);
                        let zero = self.words([0; 4]);
                        self.b.ins().icmp(IntCC::NotEqual, words, zero)
                    }
                    _ => self.load(vector(ty), flags, at, offset + 16 * chunk),
                })
                .collect();
        }
        self.gather(ty, |e, lane| {
            let skip = offset + (step as i32).wrapping_mul(lane as i32);
            match ty {
                Type::F16 => e.b.ins().uload16(types::I32, flags, at, skip),
                Type::Bool => {
                    let word = e.load(types::I32, flags, at, skip);
                    e.b.ins().icmp_imm_u(IntCC::NotEqual, word, 0)
                }
                _ => e.load(scalar(ty), flags, at, skip),
            }
        })
    }

    /// Reads memory.
    pub(super) fn read(&mut self, ty: Type, place: &Place, within: bool, span: Span) -> Held {
        let memory = place.memory;
        match self.address(place, within) {
            Address::Uniform(address, _) if memory == Memory::Private => {
                let address = self.hold_one(place, ty, address, within, span);
                Held::Varying(self.read_private(ty, address))
            }
            Address::Uniform(address, offset) => {
                let address = self.hold_one(place, ty, address, within, span);
                let start = self.start(memory);
                Held::Uniform(self.read_one(ty, memory, start, address, 0, offset))
            }
            Address::Linear { first, offset, step, within: held }
                if memory != Memory::Private && near(step) =>
            {
                let Some(inside) = self.inside(memory, ty, first, step, held, within) else {
                    return Held::Varying(self.read_along(ty, memory, first, step, offset));
                };
                let (quick, slow, after) =
                    (self.b.create_block(), self.b.create_block(), self.b.create_block());
                let results: Vec<Value> = (0..self.chunks(ty))
                    .map(|_| self.b.append_block_param(after, vector(ty)))
                    .collect();
                self.b.ins().brif(inside, quick, &[], slow, &[]);
                self.b.seal_block(quick);
                self.b.seal_block(slow);
                self.b.set_cold_block(slow);
                self.b.switch_to_block(quick);
                let read = self.read_along(ty, memory, first, step, offset);
                let read: Vec<_> = read.into_iter().map(Into::into).collect();
                self.b.ins().jump(after, &read);
                self.b.switch_to_block(slow);
                let mut addresses = self.addresses(place);
                if !within {
                    addresses = self.check(place, ty, &addresses, span);
                }
                let read = self.read_each(ty, memory, &addresses);
                let read: Vec<_> = read.into_iter().map(Into::into).collect();
                self.b.ins().jump(after, &read);
                self.b.seal_block(after);
                self.b.switch_to_block(after);
                Held::Varying(results)
            }
            _ => {
                let mut addresses = self.addresses(place);
                if !within {
                    addresses = self.check(place, ty, &addresses, span);
                }
                Held::Varying(self.read_each(ty, memory, &addresses))
            }
        }
    }

    /// Reads four numbers side by side that all lanes have, the members of a vector, as one: whether parts
    /// begin with such loads.
    pub(super) fn read_four(&mut self, parts: &[Part<'_>]) -> bool {
        let load = |part: &Part<'_>| match part {
            Part::Inst { first, op: op @ Op::Load(place), .. } => {
                let one = self.shapes.uniform[first.0 as usize] && self.ty(*first) == Type::F32;
                let apart = place.memory != Memory::Private;
                (one && apart && self.proofs.holds(op)).then(|| (*first, place.clone()))
            }
            _ => None,
        };
        let Some(four) = parts.get(..4) else { return false };
        let Some(four) = four.iter().map(load).collect::<Option<Vec<_>>>() else { return false };
        let place = &four[0].1;
        let side_by_side = (0..).step_by(4).zip(&four).all(|(skip, (_, other))| {
            other.memory == place.memory
                && other.terms == place.terms
                && place.base.checked_add(skip) == Some(other.base)
        });
        if !side_by_side {
            return false;
        }
        let Address::Uniform(address, offset) = self.address(place, true) else { return false };
        let start = self.start(place.memory);
        let at = self.reach(start, address);
        let all = self.load(types::F32X4, Self::flags(place.memory), at, offset);
        for (lane, (value, _)) in (0..).zip(&four) {
            let one = self.b.ins().extractlane(all, lane);
            self.lanes_of.insert(one, (all, lane));
            self.hold(*value, Held::Uniform(one));
            self.publish(*value);
        }
        true
    }

    /// Whether lanes side by side are all within their memory, in a byte, where that is not known.
    pub(super) fn inside(
        &mut self,
        memory: Memory,
        ty: Type,
        first: Value,
        step: u32,
        held: Option<(Value, Value)>,
        within: bool,
    ) -> Option<Value> {
        let further = i64::from(self.lanes() - 1);
        let bytes = i64::from(ty.bytes());
        match (held, within) {
            (None, true) => None,
            (Some((index, last)), true) => {
                let index = self.b.ins().uextend(types::I64, index);
                let last = self.b.ins().uextend(types::I64, last);
                let end = self.b.ins().iadd_imm_u(index, further);
                Some(self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, end, last))
            }
            (_, false) if (step as i32) < 0 => Some(self.b.ins().iconst(types::I8, 0)),
            (_, false) => {
                let there = self.bytes(memory);
                let first = self.b.ins().uextend(types::I64, first);
                let end = self.b.ins().iadd_imm_u(first, further * i64::from(step) + bytes);
                let inside = self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, end, there);
                match held {
                    // Where the index is not held, and so is the lanes' own.
                    Some((index, last)) => {
                        let index = self.b.ins().uextend(types::I64, index);
                        let last = self.b.ins().uextend(types::I64, last);
                        let end = self.b.ins().iadd_imm_u(index, further);
                        let below = self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, end, last);
                        Some(self.b.ins().band(inside, below))
                    }
                    None => Some(inside),
                }
            }
        }
    }

    /// An address of all lanes that is within its memory.
    pub(super) fn hold_one(
        &mut self,
        place: &Place,
        ty: Type,
        address: Value,
        within: bool,
        span: Span,
    ) -> Value {
        if within {
            return address;
        }
        let all = self.addresses(place);
        self.check(place, ty, &all, span);
        address
    }

    /// What lanes have at one address of their own memory.
    fn read_private(&mut self, ty: Type, address: Value) -> Vec<Value> {
        let start = self.private;
        let flags = kernel_memory();
        match ty.bytes() {
            4 => {
                let at = self.at(Memory::Private, start, address, 0, 0);
                (0..self.chunks(ty) as i32)
                    .map(|chunk| {
                        let machine = vector(ty);
                        let words = self.load(machine, flags, at, 16 * chunk);
                        match ty {
                            Type::Bool => {
                                let zero = self.words([0; 4]);
                                self.b.ins().icmp(IntCC::NotEqual, words, zero)
                            }
                            _ => words,
                        }
                    })
                    .collect()
            }
            _ => {
                self.gather(ty, |e, lane| e.read_one(ty, Memory::Private, start, address, lane, 0))
            }
        }
    }
}

/// Whether lanes so far apart are read from one address with an offset each.
fn near(step: u32) -> bool {
    (step as i32).unsigned_abs() <= 1 << 16
}
