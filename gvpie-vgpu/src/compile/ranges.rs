//! How large indices can be, whatever a kernel is given: so that addresses which are within their memory for
//! certain are not looked at again when it runs.

use crate::ir::{Binary, Block, Builtin, Kernel, Length, Node, Op, Type, Value};

/// The largest number that each u32 can be; of others, and where nothing is known, the largest u32.
pub(super) fn ranges(kernel: &Kernel) -> Vec<u64> {
    let mut ranges = vec![u64::from(u32::MAX); kernel.values.len()];
    block(kernel, &kernel.body, &mut ranges);
    ranges
}

fn block(kernel: &Kernel, nodes: &Block, ranges: &mut [u64]) {
    for node in nodes {
        match node {
            Node::Inst { first, op, .. } if op.results() == 1 => {
                if kernel.values[first.0 as usize] == Type::U32 {
                    ranges[first.0 as usize] = range(kernel, op, ranges).min(u32::MAX.into());
                }
            }
            Node::If { then, otherwise, .. } => {
                block(kernel, then, ranges);
                block(kernel, otherwise, ranges);
            }
            Node::Loop { body, continuing, .. } => {
                block(kernel, body, ranges);
                block(kernel, continuing, ranges);
            }
            Node::Switch { cases, default, .. } => {
                cases.iter().for_each(|(_, nodes)| block(kernel, nodes, ranges));
                block(kernel, default, ranges);
            }
            Node::Scope { body, .. } => block(kernel, body, ranges),
            Node::Inst { .. } | Node::Leave { .. } | Node::Barrier { .. } => {}
        }
    }
}

fn range(kernel: &Kernel, op: &Op, ranges: &[u64]) -> u64 {
    const ANY: u64 = u32::MAX as u64;
    let of = |value: &Value| ranges[value.0 as usize];
    // What may not wrap.
    let whole = |range: u64| if range > ANY { ANY } else { range };
    let [x, y, z] = kernel.workgroup.map(u64::from);
    match op {
        Op::Const(bits) => *bits & ANY,
        Op::Builtin(Builtin::LocalId(axis)) => [x, y, z][usize::from(*axis).min(2)] - 1,
        Op::Builtin(Builtin::LocalIndex) => x * y * z - 1,
        Op::Builtin(Builtin::WorkgroupId(_)) => 65_534,
        Op::Bound(value, Length::Fixed(count)) => of(value).min(u64::from(*count).max(1) - 1),
        Op::Bound(value, Length::Runtime { .. }) => of(value),
        Op::Binary(Binary::Add, a, b) => whole(of(a) + of(b)),
        Op::Binary(Binary::Mul, a, b) => whole(of(a).saturating_mul(of(b))),
        Op::Binary(Binary::And, a, b) => match kernel.values[a.0 as usize] {
            Type::U32 => of(a).min(of(b)),
            _ => ANY,
        },
        Op::Binary(Binary::Div, a, _) => of(a),
        // x % 0 is 0.
        Op::Binary(Binary::Rem, a, b) => of(a).min(of(b).max(1) - 1),
        Op::Binary(Binary::Min, a, b) => of(a).min(of(b)),
        Op::Binary(Binary::Max, a, b) => of(a).max(of(b)),
        Op::Binary(Binary::Or | Binary::Xor, a, b) => {
            (of(a).max(of(b)) + 1).next_power_of_two() - 1
        }
        Op::Binary(Binary::Shr, a, _) => of(a),
        Op::Select(_, a, b) => of(a).max(of(b)),
        _ => ANY,
    }
}
