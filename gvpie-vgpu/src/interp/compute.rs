//! Instructions over lanes.

use super::lanes::{Mask, Over1, Over2, Register};
use super::step::Do;
use super::{Group, RunError, Stop, Watch};
use crate::ir::{Binary, Span, Type};
use crate::numerics::{Lane, Real, Scalar, Visit1, Visit2, pack_half, table, unpack_half};
use half::f16;

impl<W: Watch> Group<'_, W> {
    /// Runs an instruction for the lanes that take part.
    pub(super) fn instruction(&mut self, what: &Do, span: Span) -> Result<(), Stop> {
        match what {
            Do::Unary(op, ty, out, a) => {
                let done = table::unary(*op, *ty, self.over1(*out, *a));
                self.known(done)?;
                self.look_for_nan(*ty, *out, &[*a], *ty, span);
            }
            Do::Binary(op, ty, out, a, b) => {
                if W::ACTIVE && matches!(op, Binary::Div | Binary::Rem) && ty.is_integer() {
                    self.look_for_zero(*ty, *b, span);
                }
                let done = table::binary(*op, *ty, self.over2(*out, *a, *b));
                self.known(done)?;
                self.look_for_nan(*ty, *out, &[*a, *b], *ty, span);
            }
            Do::Compare(op, ty, out, a, b) => {
                table::compare(*op, *ty, self.over2(*out, *a, *b));
            }
            Do::Fma(ty, out, operands) => {
                match ty {
                    Type::F16 => self.fma::<f16>(*out, *operands),
                    Type::F32 => self.fma::<f32>(*out, *operands),
                    _ => self.fma::<f64>(*out, *operands),
                }
                self.look_for_nan(*ty, *out, operands, *ty, span);
            }
            Do::Select { wide, out, condition, a, b } => match wide {
                true => self.select::<u64>(*out, *condition, *a, *b),
                false => self.select::<u32>(*out, *condition, *a, *b),
            },
            Do::Convert(from, to, out, a) => {
                table::convert(*from, *to, self.over1(*out, *a));
                self.look_for_nan(*to, *out, &[*a], *from, span);
            }
            Do::Copy { wide, out, a } => match wide {
                true => self.copy::<u64>(*out, *a),
                false => self.copy::<u32>(*out, *a),
            },
            Do::UnpackHalf(out, a) => {
                for (half, out) in out.iter().enumerate() {
                    self.over1(*out, *a).visit(|word: u32| unpack_half(word)[half]);
                }
            }
            Do::PackHalf(out, a, b) => {
                self.over2(*out, *a, *b).visit(pack_half);
            }
            Do::Ldexp(ty, out, a, b) => {
                let over = self.over2(*out, *a, *b);
                match ty {
                    Type::F16 => over.visit(<f16 as Real>::ldexp),
                    Type::F32 => over.visit(<f32 as Real>::ldexp),
                    _ => over.visit(<f64 as Real>::ldexp),
                }
            }
            Do::Frexp(ty, out, a) => match ty {
                Type::F16 => self.frexp::<f16>(*out, *a),
                Type::F32 => self.frexp::<f32>(*out, *a),
                _ => self.frexp::<f64>(*out, *a),
            },
            Do::Set { wide, slot, a } => match wide {
                true => self.set::<u64>(*slot, *a),
                false => self.set::<u32>(*slot, *a),
            },
            Do::Bound { out, a, length } => {
                let length: u32 = self.registers.first(*length);
                if W::ACTIVE
                    && (!self.registers.is_same::<u32>(*a)
                        || self.registers.first::<u32>(*a) >= length)
                {
                    self.registers.deal::<u32>(*a);
                    let indices = self.registers.of::<u32>(*a);
                    self.watch.bound(indices, length, &self.mask, span);
                }
                let last = length.saturating_sub(1);
                self.over1(*out, *a).visit(|index: u32| Ord::min(index, last));
            }
            Do::Load { ty, out, at } => self.load(*ty, *out, at, span)?,
            Do::Store { ty, at, a } => self.store(*ty, at, *a, span)?,
            Do::Atomic { op, ty, out, at, value, compare } => {
                self.atomic(*op, *ty, *out, at, *value, *compare, span)?;
            }
            Do::Together { op, ty, out, a, b } => {
                self.together(*op, *ty, *out, *a, *b);
                // A lane may have the NaN of any other.
                if W::ACTIVE && ty.is_float() && self.nan(*ty, *a).is_empty() {
                    self.look_for_nan(*ty, *out, &[], *ty, span);
                }
            }
            Do::Ballot(out, a) => self.ballot(*out, *a),
            Do::TextureLoad(out, what) => self.texture_load(what, *out, span)?,
            Do::TextureStore(what, value) => self.texture_store(what, *value, span)?,
            Do::TextureSize { texture, out, level } => self.texture_size(*texture, *out, *level)?,
        }
        Ok(())
    }

    /// The verifier lets no operation through that its type has not.
    fn known(&self, done: Option<()>) -> Result<(), Stop> {
        done.ok_or_else(|| RunError::Broken("an operation that its type has not".into()).into())
    }

    fn over1(&mut self, out: Register, a: Register) -> Over1<'_> {
        Over1 { registers: &mut self.registers, range: self.range.clone(), out, a }
    }

    fn over2(&mut self, out: Register, a: Register, b: Register) -> Over2<'_> {
        Over2 { registers: &mut self.registers, range: self.range.clone(), out, a, b }
    }

    fn fma<T: Real>(&mut self, out: Register, operands: [Register; 3]) {
        let range = self.range.clone();
        let fma = |[a, b, c]: [T::Bits; 3]| T::of(a).fma(T::of(b), T::of(c)).bits();
        if operands.iter().all(|a| self.registers.is_same::<T::Bits>(*a)) {
            let value = fma(operands.map(|a| self.registers.first(a)));
            return self.registers.fill(out, value);
        }
        operands.iter().for_each(|a| self.registers.deal::<T::Bits>(*a));
        self.registers.writing::<T::Bits, _>(out, |out, registers| {
            let [a, b, c] = operands.map(|a| &registers.of::<T::Bits>(a)[range.clone()]);
            let operands = a.iter().zip(b).zip(c);
            for (out, ((a, b), c)) in out[range.clone()].iter_mut().zip(operands) {
                *out = fma([*a, *b, *c]);
            }
        });
    }

    fn select<L: Lane>(&mut self, out: Register, condition: Register, a: Register, b: Register) {
        if self.registers.is_same::<u32>(condition) {
            let chosen = if self.registers.first::<u32>(condition) != 0 { a } else { b };
            return self.copy::<L>(out, chosen);
        }
        let range = self.range.clone();
        [a, b].iter().for_each(|a| self.registers.deal::<L>(*a));
        self.registers.writing::<L, _>(out, |out, registers| {
            let of = |register| &registers.of::<L>(register)[range.clone()];
            let operands = registers.of::<u32>(condition)[range.clone()].iter().zip(of(a));
            for (out, ((c, a), b)) in out[range.clone()].iter_mut().zip(operands.zip(of(b))) {
                *out = if *c != 0 { *a } else { *b };
            }
        });
    }

    fn copy<L: Lane>(&mut self, out: Register, a: Register) {
        if self.registers.is_same::<L>(a) {
            let value: L = self.registers.first(a);
            return self.registers.fill(out, value);
        }
        let range = self.range.clone();
        self.registers.writing::<L, _>(out, |out, registers| {
            out[range.clone()].copy_from_slice(&registers.of::<L>(a)[range]);
        });
    }

    /// A slot keeps what lanes that take no part have there.
    fn set<L: Lane>(&mut self, slot: Register, a: Register) {
        let (mask, range) = (self.mask, self.range.clone());
        if self.whole && self.registers.is_same::<L>(a) {
            let value: L = self.registers.first(a);
            return self.registers.fill(slot, value);
        }
        self.registers.deal::<L>(a);
        if !self.whole {
            self.registers.deal::<L>(slot);
        }
        let dense = self.dense;
        self.registers.writing::<L, _>(slot, |slot, registers| {
            let a = &registers.of::<L>(a)[range.clone()];
            match dense {
                true => slot[range].copy_from_slice(a),
                false => {
                    for ((slot, a), lane) in slot[range.clone()].iter_mut().zip(a).zip(range) {
                        *slot = if mask.has(lane) { *a } else { *slot };
                    }
                }
            }
        });
    }

    fn frexp<T: Real>(&mut self, [significand, exponent]: [Register; 2], a: Register) {
        self.over1(significand, a).visit(|a: T| a.frexp().0);
        self.over1(exponent, a).visit(|a: T| a.frexp().1);
    }

    /// Tells who watches of lanes that have a NaN of no NaN; operands are of type `from`.
    fn look_for_nan(&mut self, ty: Type, out: Register, a: &[Register], from: Type, span: Span) {
        if W::ACTIVE && ty.is_float() {
            let mut born = self.nan(ty, out);
            if born.is_empty() {
                return;
            }
            for a in a.iter().filter(|_| from.is_float()) {
                born = born.without(&self.nan(from, *a));
            }
            if !born.is_empty() {
                self.watch.not_a_number(&born, span);
            }
        }
    }

    /// The lanes that take part and have a NaN.
    fn nan(&self, ty: Type, register: Register) -> Mask {
        fn of<T: Scalar, W: Watch>(group: &Group<'_, W>, register: Register) -> Mask {
            let nan = |bits: &T::Bits| T::of(*bits).is_nan();
            if group.registers.is_same::<T::Bits>(register) {
                let first = group.registers.first(register);
                return if nan(&first) { group.mask } else { Mask::NONE };
            }
            let lanes = &group.registers.of::<T::Bits>(register)[group.range.clone()];
            // Mostly there is none, which takes one look.
            match lanes.iter().fold(false, |any, bits| any | nan(bits)) {
                true => Mask::of(group.range.clone(), lanes, nan).and(&group.mask),
                false => Mask::NONE,
            }
        }
        match ty {
            Type::F16 => of::<f16, W>(self, register),
            Type::F32 => of::<f32, W>(self, register),
            _ => of::<f64, W>(self, register),
        }
    }

    fn look_for_zero(&mut self, ty: Type, b: Register, span: Span) {
        fn of<L: Lane, W: Watch>(group: &Group<'_, W>, b: Register) -> Mask {
            let zero = |b: &L| *b == L::default();
            if group.registers.is_same::<L>(b) {
                let first = group.registers.first(b);
                return if zero(&first) { group.mask } else { Mask::NONE };
            }
            let lanes = &group.registers.of::<L>(b)[group.range.clone()];
            match lanes.iter().fold(false, |any, b| any | zero(b)) {
                true => Mask::of(group.range.clone(), lanes, zero).and(&group.mask),
                false => Mask::NONE,
            }
        }
        let zero = match ty.bytes() {
            8 => of::<u64, W>(self, b),
            _ => of::<u32, W>(self, b),
        };
        if !zero.is_empty() {
            self.watch.divided_by_zero(&zero, span);
        }
    }
}
