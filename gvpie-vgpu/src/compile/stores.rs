//! Stores and atomics.

use super::emit::{Emitter, Held, There, kernel_memory, own, vector};
use super::memory::Address;
use crate::ir::{self, Memory, Place, Span, Type};
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Emitter<'_, '_> {
    /// Writes memory.
    pub(super) fn write(&mut self, place: &Place, value: ir::Value, within: bool, span: Span) {
        let ty = self.ty(value);
        let memory = place.memory;
        let address = self.address(place, within);
        let one = self.number(value);
        match (address, one) {
            (Address::Uniform(address, offset), Some(value)) if memory != Memory::Private => {
                let address = self.hold_one(place, ty, address, within, span);
                let start = self.start(memory);
                let at = self.at(memory, start, address, 0, 0);
                self.write_one(ty, value, at, offset);
            }
            (Address::Uniform(address, _), _) if memory == Memory::Private && ty.bytes() == 4 => {
                let address = self.hold_one(place, ty, address, within, span);
                let at = self.at(memory, self.private, address, 0, 0);
                let new = self.vectors(value);
                let new = self.plain(ty, new);
                let mask = self.mask();
                for (chunk, (new, mask)) in new.into_iter().zip(mask).enumerate() {
                    let before = self.load(vector(ty), kernel_memory(), at, 16 * chunk as i32);
                    let kept = self.choose(ty, &[mask], &[new], &[before])[0];
                    self.store(kernel_memory(), kept, at, 16 * chunk as i32);
                }
            }
            (Address::Linear { first, offset, step, within: held }, _)
                if step == ty.bytes() && memory != Memory::Private =>
            {
                let inside = self.inside(memory, ty, first, step, held, within);
                let quickly = match (self.there, inside) {
                    (There::All, None) => {
                        self.write_along(ty, memory, first, value, offset);
                        return;
                    }
                    (There::All, Some(inside)) => inside,
                    (_, inside) => {
                        let every = self.everybody();
                        match inside {
                            Some(inside) => self.b.ins().band(every, inside),
                            None => every,
                        }
                    }
                };
                let (quick, slow, after) =
                    (self.b.create_block(), self.b.create_block(), self.b.create_block());
                self.b.ins().brif(quickly, quick, &[], slow, &[]);
                self.b.seal_block(quick);
                self.b.seal_block(slow);
                self.b.switch_to_block(quick);
                self.write_along(ty, memory, first, value, offset);
                self.b.ins().jump(after, &[]);
                self.b.switch_to_block(slow);
                let mut addresses = self.addresses(place);
                if !within {
                    addresses = self.check(place, ty, &addresses, span);
                }
                self.write_each(ty, memory, &addresses, value);
                self.b.ins().jump(after, &[]);
                self.b.seal_block(after);
                self.b.switch_to_block(after);
            }
            _ => {
                let mut addresses = self.addresses(place);
                if !within {
                    addresses = self.check(place, ty, &addresses, span);
                }
                self.write_each(ty, memory, &addresses, value);
            }
        }
    }

    fn write_one(&mut self, ty: Type, value: Value, at: Value, offset: i32) {
        match ty {
            Type::F16 => {
                self.b.ins().istore16(kernel_memory(), value, at, offset);
            }
            Type::Bool => {
                let word = self.b.ins().uextend(types::I32, value);
                self.store(kernel_memory(), word, at, offset);
            }
            _ => self.store(kernel_memory(), value, at, offset),
        }
    }

    /// Side by side, all lanes.
    fn write_along(
        &mut self,
        ty: Type,
        memory: Memory,
        first: Value,
        value: ir::Value,
        offset: i32,
    ) {
        let start = self.start(memory);
        let at = self.reach(start, first);
        let vectors = self.vectors(value);
        let vectors = self.plain(ty, vectors);
        if ty != Type::F16 {
            for (chunk, vector) in vectors.into_iter().enumerate() {
                self.store(kernel_memory(), vector, at, offset + 16 * chunk as i32);
            }
            return;
        }
        for lane in 0..self.lanes() {
            let vector = vectors[lane as usize / 4];
            let half = self.b.ins().extractlane(vector, (lane % 4) as u8);
            self.b.ins().istore16(kernel_memory(), half, at, offset + 2 * lane as i32);
        }
    }

    /// Each lane that takes part at its own address, the lowest first.
    fn write_each(&mut self, ty: Type, memory: Memory, addresses: &[Value], value: ir::Value) {
        let start = self.start(memory);
        let addresses = self.spill(0, addresses);
        let vectors = self.vectors(value);
        let vectors = self.plain(ty, vectors);
        let values = self.spill(1, &vectors);
        let mask = self.mask();
        let bits = self.bits(&mask);
        let (head, done) = (self.b.create_block(), self.b.create_block());
        let left = self.b.append_block_param(head, types::I32);
        // A block that is entered has somebody; after a barrier of a subgroup nobody is left out.
        self.b.ins().brif(bits, head, &[bits.into()], done, &[]);
        self.b.switch_to_block(head);
        let lane = self.b.ins().ctz(left);
        let lane = self.b.ins().uextend(types::I64, lane);
        let skip = self.b.ins().ishl_imm_u(lane, 2);
        let at = self.b.ins().iadd(addresses, skip);
        let address = self.load(types::I32, own(), at, 0);
        let from = match ty.bytes() {
            8 => self.b.ins().ishl_imm_u(lane, 3),
            _ => skip,
        };
        let from = self.b.ins().iadd(values, from);
        let to = self.at(memory, start, address, 0, 0);
        let to = if memory == Memory::Private { self.b.ins().iadd(to, skip) } else { to };
        match ty {
            Type::F16 => {
                let half = self.load(types::I32, own(), from, 0);
                self.b.ins().istore16(kernel_memory(), half, to, 0);
            }
            _ if ty.bytes() == 8 && memory == Memory::Private => {
                for half in 0..2 {
                    let word = self.load(types::I32, own(), from, 4 * half);
                    let next = 4 * self.lanes() as i32;
                    self.store(kernel_memory(), word, to, half * next);
                }
            }
            _ => {
                let machine = if ty.bytes() == 8 { types::I64 } else { types::I32 };
                let value = self.load(machine, own(), from, 0);
                self.store(kernel_memory(), value, to, 0);
            }
        }
        let less = self.b.ins().iadd_imm_s(left, -1);
        let rest = self.b.ins().band(left, less);
        self.b.ins().brif(rest, head, &[rest.into()], done, &[]);
        self.b.seal_block(head);
        self.b.seal_block(done);
        self.b.switch_to_block(done);
    }

    /// Atomics of each lane that takes part, the lowest first.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn atomic(
        &mut self,
        first: ir::Value,
        op: ir::Atomic,
        place: &Place,
        value: ir::Value,
        compare: Option<ir::Value>,
        within: bool,
        span: Span,
    ) {
        let ty = self.ty(value);
        let mut addresses = self.addresses(place);
        if !within {
            addresses = self.check(place, ty, &addresses, span);
        }
        let start = self.start(place.memory);
        let addresses = self.spill(0, &addresses);
        let values = self.put(1, value, false);
        let compares = match compare {
            Some(compare) => self.put(2, compare, false),
            None => values,
        };
        let out = self.area(3);
        let mask = self.mask();
        let bits = self.bits(&mask);
        let bits = self.b.ins().uextend(types::I64, bits);
        let shim = super::atomics::shim(op, ty);
        let given = [start, addresses, values, compares, out, bits];
        self.call(shim as usize, &given, false);
        let held = Held::Varying(self.fill(ty, out));
        self.hold(first, held);
    }
}
