//! Loads, stores and atomics.
//!
//! Workgroups on several threads share buffers, and a kernel may race. So that its races are its own, and no
//! undefined behaviour of this program, buffers are atomic words, read and written with relaxed order, which
//! costs what plain words cost. Two bytes are written by exchange of their word; 64-bit atomics take a lock,
//! which orders them among themselves and with nothing else, as WGSL has it.

use super::lanes::{Mask, Register};
use super::step::At;
use super::watch::{Access, Reach};
use super::{Group, RunError, Stop, Watch};
use crate::device::Words;
use crate::ir::{Atomic, Binary, Memory, Span, Type};
use crate::numerics::binary;
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
    mask: &'a Mask,
}

impl Use for Load<'_> {
    fn with<W: Word>(self, view: View<'_, W>, addresses: &[u32]) -> Option<usize> {
        let Load { ty, words, longs, range, mask } = self;
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
    /// All lanes, if all take part.
    whole: Option<Range<usize>>,
}

impl Use for Store<'_> {
    fn with<W: Word>(self, view: View<'_, W>, addresses: &[u32]) -> Option<usize> {
        let Store { ty, words, longs, mask, whole } = self;
        match (ty, whole) {
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
            (_, Some(all)) => view.each(addresses, all, mask, false, |lane, _, word, _| {
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
            let of = |op| binary(op, ty, old, value).unwrap_or(old);
            match op {
                Atomic::Load => old,
                Atomic::Store | Atomic::Exchange => value,
                Atomic::Add => of(Binary::Add),
                Atomic::Sub => of(Binary::Sub),
                Atomic::And => of(Binary::And),
                Atomic::Or => of(Binary::Or),
                Atomic::Xor => of(Binary::Xor),
                Atomic::Min => of(Binary::Min),
                Atomic::Max => of(Binary::Max),
                Atomic::CompareExchange => {
                    if compare == Some(old) {
                        value
                    } else {
                        old
                    }
                }
            }
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
    /// Finds the addresses of all lanes from the first to the last, and shows them to who watches.
    fn find(&mut self, at: &At, reach: Reach, ty: Type, span: Span) {
        let addresses = &mut self.addresses[self.range.clone()];
        match at.terms.split_first() {
            None => addresses.fill(at.base),
            Some(((first, stride), rest)) => {
                let values = &self.registers.of::<u32>(*first)[self.range.clone()];
                for (address, value) in addresses.iter_mut().zip(values) {
                    *address = value.wrapping_mul(*stride).wrapping_add(at.base);
                }
                for (register, stride) in rest {
                    let values = &self.registers.of::<u32>(*register)[self.range.clone()];
                    for (address, value) in addresses.iter_mut().zip(values) {
                        *address = value.wrapping_mul(*stride).wrapping_add(*address);
                    }
                }
            }
        }
        if W::ACTIVE {
            self.watch.access(Access {
                memory: at.memory,
                reach,
                bytes: ty.bytes(),
                addresses: &self.addresses,
                mask: &self.mask,
                span,
            });
        }
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
        self.find(at, Reach::Read, ty, span);
        let (mask, range) = (self.mask, self.range.clone());
        // All lanes have one address: one reads, and the others have what it has.
        let first = range.start;
        let same = at.terms.is_empty() && at.memory != Memory::Private;
        let reads = if same { first..first + 1 } else { range.clone() };
        let number = out.0 as usize;
        let (mut words, mut longs) = (Vec::new(), Vec::new());
        match ty.bytes() {
            8 => longs = std::mem::take(&mut self.registers.longs[number]),
            _ => words = std::mem::take(&mut self.registers.words[number]),
        }
        let load = Load { ty, words: &mut words, longs: &mut longs, range: reads, mask: &mask };
        let done = self.reach(at.memory, load, span);
        match ty.bytes() {
            _ if !same => {}
            8 => {
                let long = longs[first];
                longs[range].fill(long);
            }
            _ => {
                let word = words[first];
                words[range].fill(word);
            }
        }
        match ty.bytes() {
            8 => self.registers.longs[number] = longs,
            _ => self.registers.words[number] = words,
        }
        done
    }

    pub(super) fn store(&mut self, ty: Type, at: &At, a: Register, span: Span) -> Result<(), Stop> {
        self.find(at, Reach::Write, ty, span);
        let mask = self.mask;
        let whole = self.whole.then(|| self.range.clone());
        let number = a.0 as usize;
        let (mut words, mut longs) = (Vec::new(), Vec::new());
        match ty.bytes() {
            8 => longs = std::mem::take(&mut self.registers.longs[number]),
            _ => words = std::mem::take(&mut self.registers.words[number]),
        }
        let store = Store { ty, words: &words, longs: &longs, mask: &mask, whole };
        let done = self.reach(at.memory, store, span);
        match ty.bytes() {
            8 => self.registers.longs[number] = longs,
            _ => self.registers.words[number] = words,
        }
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
        let registers = std::mem::replace(
            &mut self.registers,
            super::lanes::Registers { words: Vec::new(), longs: Vec::new() },
        );
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
