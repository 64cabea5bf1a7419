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

    /// How many lanes there are.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
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
            if *bits == u64::MAX {
                (word * 64..word * 64 + 64).for_each(&mut f);
                continue;
            }
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

/// How many lanes of a register are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// Whether all lanes hold the same, which lane 0 then has.
    same: bool,
    /// Whether each lane has its own, so that they can be read as a vector. One of both holds.
    full: bool,
}

const SAME: State = State { same: true, full: false };
const SEPARATE: State = State { same: false, full: true };

/// What all lanes hold: a vector for each register.
///
/// What comes of operands that are the same in all lanes is so too: it is computed once, for lane 0, and
/// only dealt out to the others where it meets what is not.
#[derive(Debug)]
pub(crate) struct Registers {
    words: Vec<Vec<u32>>,
    longs: Vec<Vec<u64>>,
    /// Of those of 32 bits, and of 64.
    states: [Vec<State>; 2],
}

impl Registers {
    pub(crate) fn zeroed(words: usize, longs: usize, lanes: usize) -> Registers {
        Registers {
            words: vec![vec![0; lanes]; words],
            longs: vec![vec![0; lanes]; longs],
            states: [words, longs].map(|count| vec![State { same: true, full: true }; count]),
        }
    }

    fn state<L: Lane>(&mut self, register: Register) -> &mut State {
        &mut self.states[usize::from(size_of::<L>() == 8)][register.0 as usize]
    }

    /// Whether all lanes hold the same.
    pub(crate) fn is_same<L: Lane>(&self, register: Register) -> bool {
        self.states[usize::from(size_of::<L>() == 8)][register.0 as usize].same
    }

    /// What lane 0 has: if all have the same, what they have.
    pub(crate) fn first<L: Lane>(&self, register: Register) -> L {
        L::of_two(&self.words, &self.longs)[register.0 as usize][0]
    }

    /// Deals out to all lanes what is the same in all, to be read as a vector.
    pub(crate) fn deal<L: Lane>(&mut self, register: Register) {
        let state = self.state::<L>(register);
        if !std::mem::replace(&mut state.full, true) {
            let lanes = &mut L::of_two_mut(&mut self.words, &mut self.longs)[register.0 as usize];
            let first = lanes[0];
            lanes.fill(first);
        }
    }

    /// The lanes of one of the registers of 32 bits or of 64, which are dealt out or separate.
    pub(crate) fn of<L: Lane>(&self, register: Register) -> &[L] {
        debug_assert!(self.states[usize::from(size_of::<L>() == 8)][register.0 as usize].full);
        &L::of_two(&self.words, &self.longs)[register.0 as usize]
    }

    /// The same, to be changed lane by lane. Those that are not keep what is there, be it what it may.
    pub(crate) fn of_mut<L: Lane>(&mut self, register: Register) -> &mut [L] {
        *self.state::<L>(register) = SEPARATE;
        &mut L::of_two_mut(&mut self.words, &mut self.longs)[register.0 as usize]
    }

    /// Takes a register out for a while, to be written as others are read: a value is no operand of its own.
    #[inline(always)]
    pub(crate) fn writing<L: Lane, R>(
        &mut self,
        register: Register,
        write: impl FnOnce(&mut [L], &Registers) -> R,
    ) -> R {
        *self.state::<L>(register) = SEPARATE;
        let mut out =
            take(&mut L::of_two_mut(&mut self.words, &mut self.longs)[register.0 as usize]);
        let result = write(&mut out, self);
        L::of_two_mut(&mut self.words, &mut self.longs)[register.0 as usize] = out;
        result
    }

    /// Takes a register out for a while: of the two vectors, the one of its width.
    pub(crate) fn lend(&mut self, wide: bool, register: Register) -> (Vec<u32>, Vec<u64>) {
        let at = register.0 as usize;
        match wide {
            true => (Vec::new(), take(&mut self.longs[at])),
            false => (take(&mut self.words[at]), Vec::new()),
        }
    }

    /// Puts back what was lent.
    pub(crate) fn give(&mut self, wide: bool, register: Register, lent: (Vec<u32>, Vec<u64>)) {
        let at = register.0 as usize;
        match wide {
            true => self.longs[at] = lent.1,
            false => self.words[at] = lent.0,
        }
    }

    /// Each lane has its own from now on.
    pub(crate) fn separate(&mut self, wide: bool, register: Register) {
        self.states[usize::from(wide)][register.0 as usize] = SEPARATE;
    }

    /// What a lane of a register holds, zeros above.
    pub(crate) fn lane(&self, wide: bool, register: Register, lane: usize) -> u64 {
        let at = register.0 as usize;
        let lane = if self.states[usize::from(wide)][at].full { lane } else { 0 };
        if wide { self.longs[at][lane] } else { self.words[at][lane].into() }
    }

    /// Has all lanes hold the same.
    pub(crate) fn fill<L: Lane>(&mut self, register: Register, value: L) {
        *self.state::<L>(register) = SAME;
        L::of_two_mut(&mut self.words, &mut self.longs)[register.0 as usize][0] = value;
    }

    /// The same, of bits that are cut.
    pub(crate) fn fill_bits(&mut self, wide: bool, register: Register, bits: u64) {
        match wide {
            true => self.fill(register, bits),
            false => self.fill(register, bits as u32),
        }
    }

    /// The lanes within `range` that take part and whose word is not zero.
    pub(crate) fn nonzero(&self, register: Register, range: Range<usize>, mask: &Mask) -> Mask {
        if self.is_same::<u32>(register) {
            return if self.first::<u32>(register) != 0 { *mask } else { Mask::NONE };
        }
        let words = &self.words[register.0 as usize][range.clone()];
        Mask::of(range, words, |word| *word != 0).and(mask)
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
        if registers.is_same::<A::Bits>(a) {
            let value = f(A::of(registers.first(a))).bits();
            return registers.fill(out, value);
        }
        registers.writing::<B::Bits, _>(out, |out, registers| {
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
        if registers.is_same::<A::Bits>(a) && registers.is_same::<B::Bits>(b) {
            let value = f(A::of(registers.first(a)), B::of(registers.first(b))).bits();
            return registers.fill(out, value);
        }
        registers.deal::<A::Bits>(a);
        registers.deal::<B::Bits>(b);
        registers.writing::<C::Bits, _>(out, |out, registers| {
            let a = &registers.of::<A::Bits>(a)[range.clone()];
            let b = &registers.of::<B::Bits>(b)[range.clone()];
            for ((out, a), b) in out[range].iter_mut().zip(a).zip(b) {
                *out = f(A::of(*a), B::of(*b)).bits();
            }
        });
    }
}
