//! What the lanes of a subgroup do together: those that take part, in their order.

use super::lanes::Register;
use super::{Group, Watch};
use crate::ir::{Together, Type};
use crate::numerics::Subgroup;

impl<W: Watch> Group<'_, W> {
    pub(super) fn together(
        &mut self,
        op: Together,
        ty: Type,
        out: Register,
        a: Register,
        b: Option<Register>,
    ) {
        let wide = ty.bytes() == 8;
        let size = self.dispatch.subgroup;
        let (mask, range) = (self.mask, self.range.clone());
        let mut results = Vec::with_capacity(size);
        let mut first = range.start / size * size;
        while first < range.end {
            results.clear();
            let index = |lane: usize| b.map_or(0, |b| self.registers.lane(false, b, lane) as usize);
            let subgroup = Subgroup {
                lanes: first..(first + size).min(self.program.lanes),
                there: |lane| mask.has(lane),
                value: |lane| self.registers.lane(wide, a, lane),
                index,
            };
            subgroup.run(op, ty, &mut results);
            for (lane, bits) in &results {
                match wide {
                    true => self.registers.of_mut::<u64>(out)[*lane] = *bits,
                    false => self.registers.of_mut::<u32>(out)[*lane] = *bits as u32,
                }
            }
            first += size;
        }
    }

    /// The lanes of each subgroup for which a bool holds, 32 to a word.
    pub(super) fn ballot(&mut self, out: [Register; 4], a: Register) {
        let size = self.dispatch.subgroup;
        let holds = self.registers.nonzero(a, self.range.clone(), &self.mask);
        for lane in self.mask.lanes() {
            let first = lane / size * size;
            for (word, out) in out.iter().enumerate() {
                let start = first + word * 32;
                let end = (start + 32).min(first + size).min(self.program.lanes);
                let bits = (start..end)
                    .filter(|lane| holds.has(*lane))
                    .fold(0, |bits, lane| bits | 1 << (lane - start));
                self.registers.of_mut::<u32>(*out)[lane] = bits;
            }
        }
    }
}
