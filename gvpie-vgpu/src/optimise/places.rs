//! Addresses: what is constant goes into the base, and factors go into strides, where no sum or product
//! wraps that a lane computes.

use super::walk::Walker;
use crate::ir::{Binary, BindingKind, Kernel, Memory, Op, Place, Value};

/// Bytes that a memory has at least.
pub(super) fn least(kernel: &Kernel, memory: Memory) -> u64 {
    match memory {
        Memory::Binding(number) => match kernel.bindings[number as usize].kind {
            BindingKind::Buffer { least, .. } => least,
            BindingKind::Texture { .. } => 0,
        },
        Memory::Workgroup => kernel.workgroup_bytes.into(),
        Memory::Private => kernel.private_bytes.into(),
        Memory::Immediate => kernel.immediate_bytes.into(),
    }
}

impl Walker<'_> {
    /// Makes a place plainer, of `bytes` bytes.
    pub(super) fn simplify(&self, place: &mut Place, bytes: u32) {
        // A base that is past what the memory has at least stays in a term.
        let room = least(self.old, place.memory).saturating_sub(bytes.into());
        let add = |base: &mut u32, count: u64, stride: u32| {
            let sum = count.checked_mul(stride.into()).and_then(|n| n.checked_add((*base).into()));
            let fits = sum.filter(|sum| *sum <= room).and_then(|sum| u32::try_from(sum).ok());
            fits.is_some_and(|sum| {
                *base = sum;
                true
            })
        };
        let mut terms: Vec<(Value, u32)> = Vec::with_capacity(place.terms.len());
        let mut open = std::mem::take(&mut place.terms);
        open.reverse();
        while let Some((value, stride)) = open.pop() {
            if let Some(count) = self.known(value)
                && add(&mut place.base, count, stride)
            {
                continue;
            }
            match self.parts(value) {
                Some(Parts::Sum(rest, count)) if add(&mut place.base, count.into(), stride) => {
                    open.push((rest, stride));
                    continue;
                }
                Some(Parts::Product(rest, by)) => {
                    if let Some(stride) = stride.checked_mul(by) {
                        open.push((rest, stride));
                        continue;
                    }
                }
                _ => {}
            }
            match terms.iter_mut().find(|(other, _)| *other == value) {
                Some((_, sum)) if sum.checked_add(stride).is_some() => *sum += stride,
                _ => terms.push((value, stride)),
            }
        }
        terms.sort_unstable();
        place.terms = terms;
    }

    /// How an index is computed from another and a constant, if that never wraps.
    fn parts(&self, value: Value) -> Option<Parts> {
        let Op::Binary(binary, a, b) = *self.def(value) else { return None };
        let count = u32::try_from(self.known(b)?).ok()?;
        let high = self.range(a).high;
        match binary {
            Binary::Add => high.checked_add(count).map(|_| Parts::Sum(a, count)),
            Binary::Mul if count > 0 => high.checked_mul(count).map(|_| Parts::Product(a, count)),
            Binary::Shl => {
                let by = 1_u32 << (count % 32);
                high.checked_mul(by).map(|_| Parts::Product(a, by))
            }
            _ => None,
        }
    }
}

enum Parts {
    /// A value and a constant.
    Sum(Value, u32),
    /// A value times a constant.
    Product(Value, u32),
}
