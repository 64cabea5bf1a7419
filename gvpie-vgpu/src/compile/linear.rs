//! Words that count up along the lanes of a warp, and what is known of the first.
//!
//! Of one number, and of the first lane's where lanes count up, the largest power of two that divides it is
//! kept: lanes that begin at a multiple of their count do not cross into the next row of a tile, so that in
//! `lane / 16` all have one number, and `lane % 16` counts up.

use super::emit::{Emitter, Held};
use crate::ir::{self, Binary, Builtin, Op, Type};
use cranelift_codegen::ir::{InstBuilder, Value};

/// Every power of two that a word can be divides 0.
const ZERO: u32 = 1 << 31;

impl Emitter<'_, '_> {
    /// The largest power of two that is known to divide a number, or the first of those that count up.
    fn factor(&self, value: ir::Value) -> u32 {
        self.factors.get(&value).copied().unwrap_or(1)
    }

    /// Has a result be what lanes hold, and keeps what divides it.
    pub(super) fn hold_word(&mut self, value: ir::Value, op: &Op, held: Held) {
        let one = matches!(held, Held::Uniform(_) | Held::Linear(..));
        if one && matches!(self.ty(value), Type::U32 | Type::I32) {
            let factor = self.factor_of(op, &held);
            if factor > 1 {
                self.factors.insert(value, factor);
            }
        }
        self.hold(value, held);
    }

    fn factor_of(&self, op: &Op, held: &Held) -> u32 {
        let of = |value: &ir::Value| self.factor(*value);
        let bit = |bits: u64| 1_u32.checked_shl((bits as u32).trailing_zeros()).unwrap_or(ZERO);
        match op {
            Op::Const(bits) => bit(*bits),
            Op::Builtin(Builtin::SubgroupLane) => ZERO,
            // A warp begins at a multiple of its lanes, and so does x where it counts up along it.
            Op::Builtin(_) if matches!(held, Held::Linear(..)) => self.lanes(),
            Op::Binary(Binary::Add | Binary::Sub | Binary::Or | Binary::Xor, a, b) => {
                of(a).min(of(b))
            }
            Op::Binary(Binary::Mul, a, b) => of(a).saturating_mul(of(b)).min(ZERO),
            Op::Binary(Binary::And, a, b) => of(a).max(of(b)),
            Op::Binary(Binary::Shl, a, b) => match self.tree.constant(*b) {
                Some(Op::Const(by)) => 1 << (of(a).trailing_zeros() + (*by as u32 & 31)).min(31),
                _ => of(a),
            },
            Op::Convert(a) | Op::Bitcast(a) => of(a),
            _ => 1,
        }
    }

    /// Words that count up stay so when one number is added, when a constant multiplies them, and when a
    /// mask or a shift takes them apart between the lanes of one warp and those of the next.
    pub(super) fn linear(&mut self, op: Binary, a: ir::Value, b: ir::Value) -> Option<Held> {
        if !matches!(self.ty(a), Type::U32 | Type::I32) {
            return None;
        }
        let constant = |e: &Self, value: ir::Value| match e.tree.constant(value) {
            Some(Op::Const(bits)) => Some(*bits as u32),
            _ => None,
        };
        match (op, self.held(a), self.held(b)) {
            (Binary::Add, Held::Linear(a, s), Held::Uniform(b)) => {
                Some(Held::Linear(self.b.ins().iadd(a, b), s))
            }
            (Binary::Add, Held::Uniform(a), Held::Linear(b, s)) => {
                Some(Held::Linear(self.b.ins().iadd(a, b), s))
            }
            (Binary::Add, Held::Linear(a, s), Held::Linear(b, t)) => {
                Some(Held::Linear(self.b.ins().iadd(a, b), s.wrapping_add(t)))
            }
            (Binary::Sub, Held::Linear(a, s), Held::Uniform(b)) => {
                Some(Held::Linear(self.b.ins().isub(a, b), s))
            }
            (Binary::Mul, Held::Linear(a, s), Held::Uniform(m)) => {
                let by = constant(self, b)?;
                Some(Held::Linear(self.b.ins().imul(a, m), s.wrapping_mul(by)))
            }
            (Binary::Mul, Held::Uniform(m), Held::Linear(b, s)) => {
                let by = constant(self, a)?;
                Some(Held::Linear(self.b.ins().imul(m, b), s.wrapping_mul(by)))
            }
            (Binary::Shl, Held::Linear(a, s), Held::Uniform(_)) => {
                let by = constant(self, b)? & 31;
                Some(Held::Linear(self.b.ins().ishl_imm_u(a, i64::from(by)), s << by))
            }
            (Binary::Shr, Held::Linear(first, 1), Held::Uniform(count)) => {
                let by = constant(self, b)? & 31;
                self.aligned(a).filter(|lanes| 1 << by >= *lanes)?;
                let signed = self.ty(a).is_signed();
                Some(Held::Uniform(match signed {
                    true => self.b.ins().sshr(first, count),
                    false => self.b.ins().ushr(first, count),
                }))
            }
            (Binary::And, Held::Linear(first, 1), Held::Uniform(mask)) => {
                self.masked(a, first, mask, constant(self, b)?)
            }
            (Binary::And, Held::Uniform(mask), Held::Linear(first, 1)) => {
                self.masked(b, first, mask, constant(self, a)?)
            }
            _ => None,
        }
    }

    /// How many lanes a warp has, if those of a value that counts up by one begin at a multiple of them.
    fn aligned(&self, value: ir::Value) -> Option<u32> {
        let lanes = self.lanes();
        (self.factor(value) >= lanes).then_some(lanes)
    }

    fn masked(&mut self, value: ir::Value, first: Value, mask: Value, bits: u32) -> Option<Held> {
        let lanes = self.aligned(value)?;
        let within = bits & (lanes - 1);
        let first = |e: &mut Self| e.b.ins().band(first, mask);
        match within {
            0 => Some(Held::Uniform(first(self))),
            _ if within == lanes - 1 => Some(Held::Linear(first(self), 1)),
            _ => None,
        }
    }
}
