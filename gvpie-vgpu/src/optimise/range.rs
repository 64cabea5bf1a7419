//! What numbers a value can be, from how it is computed alone.

use crate::ir::{Binary, BindingKind, Builtin, Kernel, Length, Op, Type, Unary, Value};

/// Workgroups along an axis at most.
const MAX_WORKGROUPS: u32 = 65_535;

/// The lowest and the highest of what the bits of a bool, i32 or u32 can be, as a number without sign. Of
/// other types nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub low: u32,
    pub high: u32,
}

impl Range {
    pub(super) const ANY: Range = Range { low: 0, high: u32::MAX };
    const BOOL: Range = Range::to(1);

    pub(super) const fn only(n: u32) -> Range {
        Range { low: n, high: n }
    }

    const fn to(high: u32) -> Range {
        Range { low: 0, high }
    }

    /// The one number that it is.
    pub(super) fn one(self) -> Option<u32> {
        (self.low == self.high).then_some(self.low)
    }

    /// Whether an i32 has no sign, so that it is as a u32 is.
    pub(super) fn is_positive(self) -> bool {
        self.high <= i32::MAX as u32
    }

    /// `low` and `high` where neither is past a u32.
    fn within(low: u64, high: u64) -> Range {
        match (u32::try_from(low), u32::try_from(high)) {
            (Ok(low), Ok(high)) => Range { low, high },
            _ => Range::ANY,
        }
    }
}

/// Whether ranges say anything of a type.
pub(super) fn has(ty: Type) -> bool {
    matches!(ty, Type::Bool | Type::I32 | Type::U32)
}

/// Elements that an array has at least.
pub(super) fn least(kernel: &Kernel, length: Length) -> u32 {
    match length {
        Length::Fixed(count) => count,
        Length::Runtime { binding, offset, stride } => {
            let bytes = match kernel.bindings[binding as usize].kind {
                BindingKind::Buffer { least, .. } => least.saturating_sub(offset.into()),
                BindingKind::Texture { .. } => 0,
            };
            let count = bytes / u64::from(stride.max(1));
            count.clamp(1, u32::MAX.into()) as u32
        }
    }
}

/// The range of an instruction's one result, of type `ty`; `look` gives those of values, and their types.
pub(super) fn of(
    kernel: &Kernel,
    ty: Type,
    op: &Op,
    look: impl Fn(Value) -> (Type, Range),
) -> Range {
    if !has(ty) {
        return Range::ANY;
    }
    let any = if ty == Type::Bool { Range::BOOL } else { Range::ANY };
    match op {
        Op::Const(bits) => Range::only(*bits as u32),
        Op::Builtin(builtin) => given(kernel, *builtin),
        Op::Length(Length::Fixed(count)) => Range::only(*count),
        Op::Length(length) => Range { low: least(kernel, *length), high: u32::MAX },
        Op::Bound(a, length) => {
            let ((_, a), last) = (look(*a), least(kernel, *length) - 1);
            let high = if matches!(length, Length::Fixed(_)) { a.high.min(last) } else { a.high };
            Range { low: a.low.min(last), high }
        }
        Op::Unary(unary, a) => match unary {
            Unary::CountOnes | Unary::LeadingZeros | Unary::TrailingZeros => Range::to(32),
            Unary::Abs if ty == Type::U32 || look(*a).1.is_positive() => look(*a).1,
            _ => any,
        },
        Op::Binary(binary, a, b) if ty != Type::Bool => {
            let (a, b) = (look(*a).1, look(*b).1);
            two(*binary, a, b, ty == Type::U32 || (a.is_positive() && b.is_positive()))
        }
        Op::Select(_, a, b) => {
            let (a, b) = (look(*a).1, look(*b).1);
            Range { low: a.low.min(b.low), high: a.high.max(b.high) }
        }
        Op::Convert(a) | Op::Bitcast(a) => match look(*a) {
            (Type::I32 | Type::U32, range) if ty != Type::Bool => range,
            (Type::Bool, range) => range,
            _ => any,
        },
        _ => any,
    }
}

fn given(kernel: &Kernel, builtin: Builtin) -> Range {
    let lanes = kernel.workgroup.iter().fold(1, |n: u32, axis| n.saturating_mul(*axis));
    match builtin {
        Builtin::LocalId(axis) => Range::to(kernel.workgroup[usize::from(axis)] - 1),
        Builtin::LocalIndex => Range::to(lanes - 1),
        Builtin::WorkgroupId(_) => Range::to(MAX_WORKGROUPS - 1),
        Builtin::Workgroups(_) => Range { low: 1, high: MAX_WORKGROUPS },
        Builtin::SubgroupSize => Range { low: 1, high: lanes.max(128) },
        Builtin::SubgroupLane => Range::to(127),
        Builtin::SubgroupId => Range::to(lanes - 1),
        Builtin::Subgroups => Range { low: 1, high: lanes },
    }
}

/// Of integers of 32 bits; `plain` says that they are as numbers without sign.
fn two(binary: Binary, a: Range, b: Range, plain: bool) -> Range {
    let wide = |n: u32| u64::from(n);
    // The highest number of as many bits.
    let bits = |n: u32| u32::MAX.checked_shr(n.leading_zeros()).unwrap_or(0);
    match binary {
        Binary::Add => Range::within(wide(a.low) + wide(b.low), wide(a.high) + wide(b.high)),
        Binary::Sub if a.low >= b.high => Range { low: a.low - b.high, high: a.high - b.low },
        Binary::Mul => Range::within(wide(a.low) * wide(b.low), wide(a.high) * wide(b.high)),
        Binary::And => Range::to(a.high.min(b.high)),
        Binary::Or => Range { low: a.low.max(b.low), high: bits(a.high.max(b.high)) },
        Binary::Xor => Range::to(bits(a.high.max(b.high))),
        Binary::Shl => match b.one() {
            Some(count) => Range::within(wide(a.low) << (count % 32), wide(a.high) << (count % 32)),
            None => Range::ANY,
        },
        Binary::Shr if a.is_positive() || plain => match b.one() {
            Some(count) => Range { low: a.low >> (count % 32), high: a.high >> (count % 32) },
            None => Range::to(a.high),
        },
        Binary::Div if plain => match b.one() {
            Some(by) if by > 0 => Range { low: a.low / by, high: a.high / by },
            _ => Range::to(a.high),
        },
        Binary::Rem if plain && a.high < b.low => a,
        Binary::Rem if plain => Range::to(a.high.min(b.high.saturating_sub(1))),
        Binary::Min if plain => Range { low: a.low.min(b.low), high: a.high.min(b.high) },
        Binary::Max if plain => Range { low: a.low.max(b.low), high: a.high.max(b.high) },
        _ => Range::ANY,
    }
}
