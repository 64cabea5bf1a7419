//! Bytes as instructions.

use super::kernels::Reader;
use crate::ir::*;

const UNARY: [Unary; 34] = {
    use Unary::*;
    [
        Neg,
        Not,
        Abs,
        Sign,
        CountOnes,
        LeadingZeros,
        TrailingZeros,
        ReverseBits,
        FirstLeading,
        FirstTrailing,
        Floor,
        Ceil,
        Trunc,
        Round,
        Fract,
        Sqrt,
        InverseSqrt,
        Sin,
        Cos,
        Tan,
        Asin,
        Acos,
        Atan,
        Sinh,
        Cosh,
        Tanh,
        Asinh,
        Acosh,
        Atanh,
        Exp,
        Exp2,
        Log,
        Log2,
        QuantizeF16,
    ]
};

const BINARY: [Binary; 15] = {
    use Binary::*;
    [Add, Sub, Mul, Div, Rem, And, Or, Xor, Shl, Shr, Min, Max, Pow, Atan2, Step]
};

const COMPARE: [Compare; 6] = {
    use Compare::*;
    [Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual]
};

const ATOMIC: [Atomic; 11] = {
    use Atomic::*;
    [Load, Store, Add, Sub, And, Or, Xor, Min, Max, Exchange, CompareExchange]
};

const TOGETHER: [Together; 23] = {
    use Together::*;
    [
        All,
        Any,
        Add,
        Mul,
        Min,
        Max,
        And,
        Or,
        Xor,
        InclusiveAdd,
        ExclusiveAdd,
        InclusiveMul,
        ExclusiveMul,
        First,
        Broadcast,
        Shuffle,
        ShuffleUp,
        ShuffleDown,
        ShuffleXor,
        QuadBroadcast,
        QuadSwapX,
        QuadSwapY,
        QuadSwapDiagonal,
    ]
};

const BUILTINS: [Builtin; 10] = {
    use Builtin::*;
    [
        LocalId(0),
        LocalId(1),
        LocalIndex,
        WorkgroupId(0),
        WorkgroupId(2),
        Workgroups(0),
        SubgroupSize,
        SubgroupLane,
        SubgroupId,
        Subgroups,
    ]
};

impl Reader<'_> {
    /// Appends the instruction of a number below 30, and what it takes.
    pub(super) fn instruction(&mut self, block: &mut Block, number: u8) {
        use Type::*;
        let number_type = |r: &mut Self| r.of(&[U32, I32, F32, F16, F64, I64, U64]);
        let float = |r: &mut Self| r.of(&[F32, F16, F64]);
        match number {
            0 => drop(self.value(block, F32)),
            1 => {
                let builtin = self.of(&BUILTINS);
                self.inst(block, &[U32], Op::Builtin(builtin));
            }
            2..5 => {
                let unary = self.of(&UNARY);
                let ty = match UNARY.iter().position(|known| *known == unary).unwrap_or(0) {
                    0 | 3 => self.of(&[I32, F32, F16, F64, I64]),
                    1 => self.of(&[Bool, U32, I32, I64, U64]),
                    2 => number_type(self),
                    4..10 => self.of(&[U32, I32, I64, U64]),
                    33 => F32,
                    _ => float(self),
                };
                let a = self.value(block, ty);
                self.inst(block, &[ty], Op::Unary(unary, a));
            }
            5..10 => {
                use Binary::*;
                let binary = self.of(&BINARY);
                let ty = match binary {
                    And | Or | Xor => self.of(&[Bool, U32, I32, I64, U64]),
                    Shl | Shr => self.of(&[U32, I32, I64, U64]),
                    Pow | Atan2 | Step => float(self),
                    _ => number_type(self),
                };
                let a = self.value(block, ty);
                let b = self.value(block, if matches!(binary, Shl | Shr) { U32 } else { ty });
                self.inst(block, &[ty], Op::Binary(binary, a, b));
            }
            10 | 11 => {
                let (compare, ty) = (self.of(&COMPARE), number_type(self));
                let (a, b) = (self.value(block, ty), self.value(block, ty));
                self.inst(block, &[Bool], Op::Compare(compare, a, b));
            }
            12 => {
                let ty = float(self);
                let [a, b, c] = [(); 3].map(|()| self.value(block, ty));
                self.inst(block, &[ty], Op::Fma(a, b, c));
            }
            13 => {
                let (condition, ty) = (self.value(block, Bool), self.ty());
                let (a, b) = (self.value(block, ty), self.value(block, ty));
                self.inst(block, &[ty], Op::Select(condition, a, b));
            }
            14 | 15 => {
                let (from, to) = (self.ty(), self.ty());
                let a = self.value(block, from);
                self.inst(block, &[to], Op::Convert(a));
            }
            16 => {
                let pairs =
                    [(U32, F32), (F32, U32), (I32, U32), (F32, I32), (F64, U64), (I64, F64)];
                let (from, to) = self.of(&pairs);
                let a = self.value(block, from);
                self.inst(block, &[to], Op::Bitcast(a));
            }
            17 => {
                let a = self.value(block, U32);
                let first = self.inst(block, &[F32, F32], Op::UnpackHalf(a));
                self.inst(block, &[U32], Op::PackHalf(first, Value(first.0 + 1)));
            }
            18 => {
                let ty = float(self);
                let (a, b) = (self.value(block, ty), self.value(block, I32));
                self.inst(block, &[ty], Op::Ldexp(a, b));
            }
            19 => {
                let ty = float(self);
                let a = self.value(block, ty);
                self.inst(block, &[ty, I32], Op::Frexp(a));
            }
            20 | 21 if !self.kernel.slots.is_empty() => {
                let slot = self.byte() % self.kernel.slots.len() as u8;
                let (ty, slot) = (self.kernel.slots[usize::from(slot)], Slot(slot.into()));
                if number == 20 {
                    self.inst(block, &[ty], Op::Get(slot));
                } else {
                    let a = self.value(block, ty);
                    self.inst(block, &[], Op::Set(slot, a));
                }
            }
            22 => {
                let length = self.length(U32);
                self.inst(block, &[U32], Op::Length(length));
            }
            23 | 24 => {
                let ty = self.ty();
                let place = self.place(block, ty);
                self.inst(block, &[ty], Op::Load(place));
            }
            25 | 26 => {
                let ty = self.ty();
                let place = self.place(block, ty);
                let a = self.value(block, ty);
                self.inst(block, &[], Op::Store(place, a));
            }
            27 => {
                let (op, ty) = (self.of(&ATOMIC), self.of(&[U32, I32, U64, I64, F32]));
                let (place, value) = (self.place(block, ty), self.value(block, ty));
                let compare = (op == Atomic::CompareExchange).then(|| self.value(block, ty));
                self.inst(block, &[ty], Op::Atomic { op, place, value, compare });
            }
            28 => {
                use Together::*;
                let together = self.of(&TOGETHER);
                let ty = match together {
                    All | Any => Bool,
                    And | Or | Xor => self.of(&[U32, I32, U64]),
                    _ => number_type(self),
                };
                let a = self.value(block, ty);
                let paired = matches!(
                    together,
                    Broadcast | Shuffle | ShuffleUp | ShuffleDown | ShuffleXor | QuadBroadcast
                );
                let b = paired.then(|| self.value(block, U32));
                self.inst(block, &[ty], Op::Together(together, a, b));
            }
            _ => {
                let a = self.value(block, Bool);
                self.inst(block, &[U32; 4], Op::Ballot(a));
            }
        }
    }
}
