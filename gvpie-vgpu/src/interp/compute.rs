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
                let length = self.registers.of::<u32>(*length)[0];
                if W::ACTIVE {
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
            Do::Together { op, ty, out, a, b } => self.together(*op, *ty, *out, *a, *b),
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

    fn fma<T: Real>(&mut self, out: Register, [a, b, c]: [Register; 3]) {
        let range = self.range.clone();
        self.registers.writing::<T::Bits>(out, |out, registers| {
            let of = |register| &registers.of::<T::Bits>(register)[range.clone()];
            let operands = of(a).iter().zip(of(b)).zip(of(c));
            for (out, ((a, b), c)) in out[range.clone()].iter_mut().zip(operands) {
                *out = T::of(*a).fma(T::of(*b), T::of(*c)).bits();
            }
        });
    }

    fn select<L: Lane>(&mut self, out: Register, condition: Register, a: Register, b: Register) {
        let range = self.range.clone();
        self.registers.writing::<L>(out, |out, registers| {
            let of = |register| &registers.of::<L>(register)[range.clone()];
            let operands = registers.of::<u32>(condition)[range.clone()].iter().zip(of(a));
            for (out, ((c, a), b)) in out[range.clone()].iter_mut().zip(operands.zip(of(b))) {
                *out = if *c != 0 { *a } else { *b };
            }
        });
    }

    fn copy<L: Lane>(&mut self, out: Register, a: Register) {
        let range = self.range.clone();
        self.registers.writing::<L>(out, |out, registers| {
            out[range.clone()].copy_from_slice(&registers.of::<L>(a)[range]);
        });
    }

    /// A slot keeps what lanes that take no part have there.
    fn set<L: Lane>(&mut self, slot: Register, a: Register) {
        let (mask, range, whole) = (self.mask, self.range.clone(), self.whole);
        self.registers.writing::<L>(slot, |slot, registers| {
            let a = registers.of::<L>(a);
            match whole {
                true => slot.copy_from_slice(a),
                false => {
                    for lane in range {
                        slot[lane] = if mask.has(lane) { a[lane] } else { slot[lane] };
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
            let lanes = &group.registers.of::<T::Bits>(register)[group.range.clone()];
            let nan = |bits: &T::Bits| T::of(*bits).is_nan();
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
        let zero = match ty.bytes() {
            8 => {
                let b = &self.registers.of::<u64>(b)[self.range.clone()];
                Mask::of(self.range.clone(), b, |b| *b == 0)
            }
            _ => self.mask.without(&self.registers.nonzero(b, self.range.clone())),
        };
        let zero = zero.and(&self.mask);
        if !zero.is_empty() {
            self.watch.divided_by_zero(&zero, span);
        }
    }
}
