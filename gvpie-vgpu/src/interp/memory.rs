//! Loads, stores and atomics.
//!
//! Workgroups on several threads share buffers, and a kernel may race. So that its races are its own, and no
//! undefined behaviour of this program, buffers are atomic words, read and written with relaxed order, which
//! costs what plain words cost. Two bytes are written by exchange of their word; 64-bit atomics take a lock,
//! which orders them among themselves and with nothing else, as WGSL has it.

use super::lanes::{Mask, Register, Registers};
use super::step::At;
use super::watch::{Access, Reach, Shape};
use super::{Group, RunError, Stop, Watch};
use crate::device::Words;
use crate::ir::{Atomic, Memory, Span, Type};
use crate::numerics;
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Held by who does an atomic of 64 bits to a buffer.
pub(crate) static WIDE: Mutex<()> = Mutex::new(());

/// A part of a buffer, as a kernel sees it.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    words: Arc<Words>,
    range: Range<usize>,
    bytes: u64,
}

impl Bound {
    /// `bytes` from a multiple of 4 on, within the words.
    pub(crate) fn new(words: Arc<Words>, offset: u64, bytes: u64) -> Bound {
        let first = (offset / 4) as usize;
        let range = first..first + bytes.div_ceil(4) as usize;
        Bound { words, range, bytes }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn words(&self) -> &[AtomicU32] {
        &self.words[self.range.clone()]
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> *mut u8 {
        self.words().as_ptr().cast_mut().cast()
    }
}

/// A word that is read and written in place.
trait Word {
    fn get(&self) -> u32;
    fn set(&self, word: u32);
    /// Changes it in one piece, and gives what was there.
    fn update(&self, f: impl FnMut(u32) -> u32) -> u32;
}

impl Word for AtomicU32 {
    #[inline(always)]
    fn get(&self) -> u32 {
        self.load(Relaxed)
    }
    #[inline(always)]
    fn set(&self, word: u32) {
        self.store(word, Relaxed);
    }
    #[inline(always)]
    fn update(&self, mut f: impl FnMut(u32) -> u32) -> u32 {
        let mut old = self.load(Relaxed);
        loop {
            match self.compare_exchange_weak(old, f(old), Relaxed, Relaxed) {
                Ok(old) => return old,
                Err(other) => old = other,
            }
        }
    }
}

impl Word for Cell<u32> {
    #[inline(always)]
    fn get(&self) -> u32 {
        Cell::get(self)
    }
    #[inline(always)]
    fn set(&self, word: u32) {
        Cell::set(self, word);
    }
    #[inline(always)]
    fn update(&self, mut f: impl FnMut(u32) -> u32) -> u32 {
        let old = Cell::get(self);
        Cell::set(self, f(old));
        old
    }
}

/// Words, and where a lane's word is among them.
struct View<'a, W> {
    words: &'a [W],
    /// Lanes among which each word is dealt out; 0 where all have one memory.
    lanes: usize,
}

impl<W: Word> View<'_, W> {
    /// The words of a range of lanes that lie side by side from a lane's address on; nothing if they do not
    /// all lie within.
    #[inline(always)]
    fn run(&self, address: u32, range: &Range<usize>) -> Option<&[W]> {
        let word = (address / 4) as usize;
        let first = match self.lanes {
            0 => word,
            lanes => word * lanes + range.start,
        };
        self.words.get(first..first.checked_add(range.len())?)
    }

    /// Runs over the lanes of a range, whoever takes part; the first lane that does and finds no memory.
    #[inline(always)]
    fn each(
        &self,
        addresses: &[u32],
        range: Range<usize>,
        mask: &Mask,
        long: bool,
        mut f: impl FnMut(usize, u32, &W, &W),
    ) -> Option<usize> {
        let words = self.words;
        let mut lost = false;
        let mut one = |lane: usize, address: u32, first: usize, second: usize| match (
            words.get(first),
            words.get(if long { second } else { first }),
        ) {
            (Some(first), Some(second)) => f(lane, address, first, second),
            _ => lost = true,
        };
        let there = addresses[range.clone()].iter().zip(range.clone());
        // Two loops, so that neither asks in each round which one it is.
        match self.lanes {
            0 => there.for_each(|(address, lane)| {
                let word = (address / 4) as usize;
                one(lane, *address, word, word + 1);
            }),
            lanes => there.for_each(|(address, lane)| {
                let word = (address / 4) as usize * lanes + lane;
                one(lane, *address, word, word + lanes);
            }),
        }
        // Who does not take part may have any address.
        let end = |lane: usize| match self.lanes {
            0 => (addresses[lane] / 4) as usize + usize::from(long),
            lanes => ((addresses[lane] / 4) as usize + usize::from(long)) * lanes + lane,
        };
        let mut lanes = range.filter(|_| lost);
        lanes.find(|lane| mask.has(*lane) && end(*lane) >= words.len())
    }

    /// The same, of those only that take part, lowest first.
    #[inline(always)]
    fn each_there(
        &self,
        addresses: &[u32],
        mask: &Mask,
        long: bool,
        mut f: impl FnMut(usize, u32, &W, &W),
    ) -> Option<usize> {
        let mut lost = None;
        mask.each(|lane| {
            lost = lost.or(self.each(addresses, lane..lane + 1, mask, long, &mut f));
        });
        lost
    }
}

/// What is done with a view of any memory.
trait Use {
    fn with<W: Word>(self, view: View<'_, W>, addresses: &[u32]) -> Option<usize>;
}

/// A load into a register taken out.
struct Load<'a> {
    ty: Type,
    words: &'a mut [u32],
    longs: &'a mut [u64],
    range: Range<usize>,
    /// Whether the words lie side by side.
    linear: bool,
    mask: &'a Mask,
}

impl Use for Load<'_> {
    fn with<W: Word>(self, view: View<'_, W>, addresses: &[u32]) -> Option<usize> {
        let Load { ty, words, longs, range, linear, mask } = self;
        if linear && let Some(run) = view.run(addresses[range.start], &range) {
            words[range].iter_mut().zip(run).for_each(|(out, word)| *out = word.get());
            return None;
        }
        match ty {
            Type::I64 | Type::U64 | Type::F64 => {
                view.each(addresses, range, mask, true, |lane, _, low, high| {
                    longs[lane] = u64::from(low.get()) | u64::from(high.get()) << 32;
                })
            }
            Type::F16 => view.each(addresses, range, mask, false, |lane, address, word, _| {
                words[lane] = word.get() >> half_shift(address) & 0xffff;
            }),
            Type::Bool | Type::I32 | Type::U32 | Type::F32 => {
                view.each(addresses, range, mask, false, |lane, _, word, _| {
                    words[lane] = word.get();
                })
            }
        }
    }
}

/// How far up in its word an f16 is.
fn half_shift(address: u32) -> u32 {
    (address & 2) * 8
}

/// A store of a register.
struct Store<'a> {
    ty: Type,
    words: &'a [u32],
    longs: &'a [u64],
    mask: &'a Mask,
    /// The lanes, if all from the first to the last take part.
    dense: Option<Range<usize>>,
    /// Whether the words lie side by side.
    linear: bool,
}

impl Use for Store<'_> {
    fn with<W: Word>(self, view: View<'_, W>, addresses: &[u32]) -> Option<usize> {
        let Store { ty, words, longs, mask, dense, linear } = self;
        if linear
            && let Some(range) = &dense
            && let Some(run) = view.run(addresses[range.start], range)
        {
            words[range.clone()].iter().zip(run).for_each(|(a, word)| word.set(*a));
            return None;
        }
        match (ty, dense) {
            (Type::I64 | Type::U64 | Type::F64, _) => {
                view.each_there(addresses, mask, true, |lane, _, low, high| {
                    low.set(longs[lane] as u32);
                    high.set((longs[lane] >> 32) as u32);
                })
            }
            (Type::F16, _) => view.each_there(addresses, mask, false, |lane, address, word, _| {
                let shift = half_shift(address);
                word.update(|old| old & !(0xffff << shift) | words[lane] << shift);
            }),
            (_, Some(range)) => view.each(addresses, range, mask, false, |lane, _, word, _| {
                word.set(words[lane]);
            }),
            (_, None) => view.each_there(addresses, mask, false, |lane, _, word, _| {
                word.set(words[lane]);
            }),
        }
    }
}

/// An atomic: what comes of it goes to `out`, a lane at a time.
struct Change<'a> {
    op: Atomic,
    ty: Type,
    mask: &'a Mask,
    /// The operand of a lane, and what must be there.
    operands: &'a dyn Fn(usize) -> (u64, Option<u64>),
    out: &'a mut dyn FnMut(usize, u64),
}

impl Use for Change<'_> {
    fn with<W: Word>(self, view: View<'_, W>, addresses: &[u32]) -> Option<usize> {
        let Change { op, ty, mask, operands, out } = self;
        let changed = |old: u64, (value, compare): (u64, Option<u64>)| {
            numerics::changed(op, ty, old, value, compare)
        };
        if ty.bytes() == 8 {
            let _held = WIDE.lock().unwrap_or_else(PoisonError::into_inner);
            view.each_there(addresses, mask, true, |lane, _, low, high| {
                let old = u64::from(low.get()) | u64::from(high.get()) << 32;
                let new = changed(old, operands(lane));
                low.set(new as u32);
                high.set((new >> 32) as u32);
                out(lane, old);
            })
        } else {
            view.each_there(addresses, mask, false, |lane, _, word, _| {
                let operands = operands(lane);
                let old = match op {
                    Atomic::Load => word.get(),
                    _ => word.update(|old| changed(old.into(), operands) as u32),
                };
                out(lane, old.into());
            })
        }
    }
}

impl<W: Watch> Group<'_, W> {
    /// Finds the addresses of all lanes from the first to the last, and shows them to who watches. Of addresses
    /// that are all the same, only the first is sure to be there, unless lanes write or have memory of their
    /// own.
    fn find(&mut self, at: &At, reach: Reach, ty: Type, span: Span) -> Shape {
        let range = self.range.clone();
        let addresses = &mut self.addresses[range.clone()];
        let registers = &self.registers;
        let mut base = at.base;
        let mut separate = at.terms.iter().filter(|(register, stride)| {
            let same = registers.is_same::<u32>(*register);
            if same {
                base = registers.first::<u32>(*register).wrapping_mul(*stride).wrapping_add(base);
            }
            !same
        });
        let first = separate.next();
        let rest: Vec<&(Register, u32)> = separate.collect();
        let word = ty.bytes() == 4;
        let shape = if let Some((register, stride)) = first {
            let values = &registers.of::<u32>(*register)[range.clone()];
            for (address, value) in addresses.iter_mut().zip(values) {
                *address = value.wrapping_mul(*stride).wrapping_add(base);
            }
            for (register, stride) in rest {
                let values = &registers.of::<u32>(*register)[range.clone()];
                for (address, value) in addresses.iter_mut().zip(values) {
                    *address = value.wrapping_mul(*stride).wrapping_add(*address);
                }
            }
            let begin = addresses[0];
            let side_by_side = |all, (address, lane): (&u32, u32)| {
                all & (*address == begin.wrapping_add(lane.wrapping_mul(4)))
            };
            // Words of the lanes' own memory lie side by side where addresses are the same.
            let linear = word && at.memory != Memory::Private;
            match linear && addresses.iter().zip(0..).fold(true, side_by_side) {
                true => Shape::Linear,
                false => Shape::Separate,
            }
        } else {
            let own = at.memory == Memory::Private;
            match W::ACTIVE || own || reach != Reach::Read {
                true => addresses.fill(base),
                false => addresses[0] = base,
            }
            match own {
                true if word => Shape::Linear,
                true => Shape::Separate,
                false => Shape::Same,
            }
        };
        if W::ACTIVE {
            self.watch.access(Access {
                number: at.number,
                memory: at.memory,
                reach,
                bytes: ty.bytes(),
                addresses: &self.addresses,
                shape,
                mask: &self.mask,
                range,
                span,
            });
        }
        shape
    }

    /// Uses a memory at the addresses found.
    fn reach(&mut self, memory: Memory, what: impl Use, span: Span) -> Result<(), Stop> {
        let addresses = &self.addresses;
        let cells = |words| Cell::from_mut(words).as_slice_of_cells();
        let (lost, bytes) = match memory {
            Memory::Binding(number) => {
                let bound = &self.dispatch.bindings[number as usize];
                let view = View { words: bound.words(), lanes: 0 };
                (what.with(view, addresses), bound.bytes())
            }
            Memory::Workgroup => {
                let words: &[Cell<u32>] = cells(&mut self.workgroup[..]);
                (what.with(View { words, lanes: 0 }, addresses), words.len() as u64 * 4)
            }
            Memory::Private => {
                let lanes = self.program.lanes;
                let words: &[Cell<u32>] = cells(&mut self.private[..]);
                let bytes = words.len() / lanes * 4;
                (what.with(View { words, lanes }, addresses), bytes as u64)
            }
            Memory::Immediate => {
                let bound = &self.dispatch.immediate;
                let view = View { words: bound.words(), lanes: 0 };
                (what.with(view, addresses), bound.bytes())
            }
        };
        match lost {
            None => Ok(()),
            Some(lane) => Err(RunError::Address {
                span,
                workgroup: self.id,
                lane: lane as u32,
                address: self.addresses[lane].into(),
                bytes,
            }
            .into()),
        }
    }

    pub(super) fn load(
        &mut self,
        ty: Type,
        out: Register,
        at: &At,
        span: Span,
    ) -> Result<(), Stop> {
        let shape = self.find(at, Reach::Read, ty, span);
        let (mask, wide, first) = (self.mask, ty.bytes() == 8, self.range.start);
        // All lanes have one address: one reads, and the others have what it has.
        let same = shape == Shape::Same;
        let range = if same { first..first + 1 } else { self.range.clone() };
        let linear = shape == Shape::Linear;
        let (mut words, mut longs) = self.registers.lend(wide, out);
        let load = Load { ty, words: &mut words, longs: &mut longs, range, linear, mask: &mask };
        let done = self.reach(at.memory, load, span);
        let value = if wide { longs[first] } else { words[first].into() };
        self.registers.give(wide, out, (words, longs));
        match same {
            true => self.registers.fill_bits(wide, out, value),
            false => self.registers.separate(wide, out),
        }
        done
    }

    pub(super) fn store(&mut self, ty: Type, at: &At, a: Register, span: Span) -> Result<(), Stop> {
        let shape = self.find(at, Reach::Write, ty, span);
        let (mask, wide) = (self.mask, ty.bytes() == 8);
        let dense = self.dense.then(|| self.range.clone());
        let linear = shape == Shape::Linear;
        match wide {
            true => self.registers.deal::<u64>(a),
            false => self.registers.deal::<u32>(a),
        }
        let (words, longs) = self.registers.lend(wide, a);
        let store = Store { ty, words: &words, longs: &longs, mask: &mask, dense, linear };
        let done = self.reach(at.memory, store, span);
        self.registers.give(wide, a, (words, longs));
        done
    }

    /// In the order of the lanes.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn atomic(
        &mut self,
        op: Atomic,
        ty: Type,
        out: Register,
        at: &At,
        value: Register,
        compare: Option<Register>,
        span: Span,
    ) -> Result<(), Stop> {
        self.find(at, Reach::Atomic { writes: op != Atomic::Load }, ty, span);
        let (mask, wide) = (self.mask, ty.bytes() == 8);
        let registers = std::mem::replace(&mut self.registers, Registers::zeroed(0, 0, 0));
        let mut before = vec![0; self.program.lanes];
        let operands = |lane: usize| {
            let compare = compare.map(|compare| registers.lane(wide, compare, lane));
            (registers.lane(wide, value, lane), compare)
        };
        let mut keep = |lane: usize, old: u64| before[lane] = old;
        let change = Change { op, ty, mask: &mask, operands: &operands, out: &mut keep };
        let done = self.reach(at.memory, change, span);
        self.registers = registers;
        for lane in mask.lanes() {
            match wide {
                true => self.registers.of_mut::<u64>(out)[lane] = before[lane],
                false => self.registers.of_mut::<u32>(out)[lane] = before[lane] as u32,
            }
        }
        done
    }
}
