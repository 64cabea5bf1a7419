//! Which lanes take part, and what each of them holds.

use crate::numerics::{Lane, Scalar, Visit1, Visit2};
use std::mem::take;
use std::ops::Range;

/// Lanes of a workgroup at most: those of a [`Mask`].
pub(crate) const MAX_LANES: usize = 1024;

/// A set of lanes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask([u64; MAX_LANES / 64]);

impl PartialEq for Mask {
    /// Word by word, in line: a call to compare memory costs more than a short instruction.
    #[inline(always)]
    fn eq(&self, other: &Mask) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl Mask {
    pub(crate) const NONE: Mask = Mask([0; MAX_LANES / 64]);

    /// The lanes below `count`.
    pub(crate) fn first(count: usize) -> Mask {
        let mut mask = Mask::NONE;
        for (word, bits) in mask.0.iter_mut().enumerate() {
            *bits = match count.saturating_sub(word * 64) {
                0 => 0,
                n if n < 64 => (1 << n) - 1,
                _ => u64::MAX,
            };
        }
        mask
    }

    /// One lane.
    pub(crate) fn one(lane: usize) -> Mask {
        let mut mask = Mask::NONE;
        mask.0[lane / 64] = 1 << (lane % 64);
        mask
    }

    /// The lanes of a range for whose items `holds`.
    #[inline(always)]
    pub(crate) fn of<T>(range: Range<usize>, items: &[T], holds: impl Fn(&T) -> bool) -> Mask {
        let mut mask = Mask::NONE;
        let mut put = |lane: usize, bits: u64, count: usize| {
            let (word, shift) = (lane / 64, lane % 64);
            mask.0[word] |= bits << shift;
            if shift + count > 64 {
                mask.0[word + 1] |= bits >> (64 - shift);
            }
        };
        let (eights, rest) = items.as_chunks::<8>();
        let mut lane = range.start;
        for eight in eights {
            let bits = (0..8).fold(0, |bits, bit| bits | u64::from(holds(&eight[bit])) << bit);
            put(lane, bits, 8);
            lane += 8;
        }
        for item in rest {
            put(lane, holds(item).into(), 1);
            lane += 1;
        }
        mask
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().fold(0, |any, word| any | word) == 0
    }

    pub(crate) fn has(&self, lane: usize) -> bool {
        self.0[lane / 64] >> (lane % 64) & 1 != 0
    }

    pub(crate) fn and(mut self, other: &Mask) -> Mask {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
        self
    }

    pub(crate) fn or(mut self, other: &Mask) -> Mask {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
        self
    }

    /// Those that `other` does not have.
    pub(crate) fn without(mut self, other: &Mask) -> Mask {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= !b);
        self
    }

    /// Calls `f` with its lanes, lowest first.
    #[inline(always)]
    pub(crate) fn each(&self, mut f: impl FnMut(usize)) {
        for (word, bits) in self.0.iter().enumerate() {
            let mut left = *bits;
            while left != 0 {
                f(word * 64 + left.trailing_zeros() as usize);
                left &= left - 1;
            }
        }
    }

    /// From the lowest lane to the one after the highest.
    pub(crate) fn range(&self) -> Range<usize> {
        let Some(first) = self.0.iter().position(|word| *word != 0) else { return 0..0 };
        let last = self.0.iter().rposition(|word| *word != 0).unwrap_or(first);
        let start = first * 64 + self.0[first].trailing_zeros() as usize;
        start..last * 64 + 64 - self.0[last].leading_zeros() as usize
    }

    /// Its lanes, lowest first.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            let mut left = *bits;
            std::iter::from_fn(move || {
                let lane = left.trailing_zeros() as usize;
                left &= left.wrapping_sub(1);
                (lane < 64).then_some(word * 64 + lane)
            })
        })
    }
}

/// A register, by its number among those of 32 bits or those of 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Register(pub(crate) u32);

/// What all lanes hold: a vector for each register.
#[derive(Debug)]
pub(crate) struct Registers {
    pub(crate) words: Vec<Vec<u32>>,
    pub(crate) longs: Vec<Vec<u64>>,
}

impl Registers {
    pub(crate) fn zeroed(words: usize, longs: usize, lanes: usize) -> Registers {
        Registers { words: vec![vec![0; lanes]; words], longs: vec![vec![0; lanes]; longs] }
    }

    /// The lanes of one of the registers of 32 bits or of 64.
    pub(crate) fn of<L: Lane>(&self, register: Register) -> &[L] {
        &L::of_two(&self.words, &self.longs)[register.0 as usize]
    }

    /// The same, to be changed.
    pub(crate) fn of_mut<L: Lane>(&mut self, register: Register) -> &mut [L] {
        &mut L::of_two_mut(&mut self.words, &mut self.longs)[register.0 as usize]
    }

    /// Takes a register out for a while, to be written as others are read: a value is no operand of its own.
    pub(crate) fn writing<L: Lane>(
        &mut self,
        register: Register,
        write: impl FnOnce(&mut [L], &Registers),
    ) {
        let mut out =
            take(&mut L::of_two_mut(&mut self.words, &mut self.longs)[register.0 as usize]);
        write(&mut out, self);
        L::of_two_mut(&mut self.words, &mut self.longs)[register.0 as usize] = out;
    }

    /// What a lane of a register holds, zeros above.
    pub(crate) fn lane(&self, wide: bool, register: Register, lane: usize) -> u64 {
        let at = register.0 as usize;
        if wide { self.longs[at][lane] } else { self.words[at][lane].into() }
    }

    /// Has all lanes hold the same.
    pub(crate) fn fill(&mut self, wide: bool, register: Register, bits: u64) {
        let at = register.0 as usize;
        match wide {
            true => self.longs[at].fill(bits),
            false => self.words[at].fill(bits as u32),
        }
    }

    /// The lanes within `range` whose word is not zero.
    pub(crate) fn nonzero(&self, register: Register, range: Range<usize>) -> Mask {
        let words = &self.words[register.0 as usize][range.clone()];
        Mask::of(range, words, |word| *word != 0)
    }
}

/// A function of one operand, over a range of lanes. Lanes within it that do not take part compute what
/// nobody looks at: that is quicker than to ask.
pub(crate) struct Over1<'a> {
    pub(crate) registers: &'a mut Registers,
    pub(crate) range: Range<usize>,
    pub(crate) out: Register,
    pub(crate) a: Register,
}

impl Visit1 for Over1<'_> {
    type Out = ();
    fn visit<A: Scalar, B: Scalar>(self, f: impl Fn(A) -> B + Copy) {
        let Over1 { registers, range, out, a } = self;
        registers.writing::<B::Bits>(out, |out, registers| {
            let a = &registers.of::<A::Bits>(a)[range.clone()];
            for (out, a) in out[range].iter_mut().zip(a) {
                *out = f(A::of(*a)).bits();
            }
        });
    }
}

/// A function of two operands, over a range of lanes.
pub(crate) struct Over2<'a> {
    pub(crate) registers: &'a mut Registers,
    pub(crate) range: Range<usize>,
    pub(crate) out: Register,
    pub(crate) a: Register,
    pub(crate) b: Register,
}

impl Visit2 for Over2<'_> {
    type Out = ();
    fn visit<A: Scalar, B: Scalar, C: Scalar>(self, f: impl Fn(A, B) -> C + Copy) {
        let Over2 { registers, range, out, a, b } = self;
        registers.writing::<C::Bits>(out, |out, registers| {
            let a = &registers.of::<A::Bits>(a)[range.clone()];
            let b = &registers.of::<B::Bits>(b)[range.clone()];
            for ((out, a), b) in out[range].iter_mut().zip(a).zip(b) {
                *out = f(A::of(*a), B::of(*b)).bits();
            }
        });
    }
}
