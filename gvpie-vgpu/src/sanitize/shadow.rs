//! For each word of memory, who has reached it last, and what is ordered before what.

use crate::interp::{Access, Mask, Reach, Shape};
use crate::ir::{Block, Memory, Node, Op, Scope, Type, Value};
use std::ops::{Range, RangeInclusive};

/// When a lane was where: time, then 10 bits of lane, then 22 of the place in the source. 0 is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Mark(u64);

impl Mark {
    /// Of a lane, where lane 0 would leave `first`.
    pub(super) fn of_lane(first: Mark, lane: usize) -> Mark {
        Mark(first.0 | (lane as u64) << 22)
    }

    fn same_lane(self, other: Mark) -> bool {
        (self.0 ^ other.0) >> 22 & 0x3ff == 0
    }

    pub(super) fn time(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn lane(self) -> u32 {
        (self.0 >> 22) as u32 & 0x3ff
    }

    pub(super) fn site(self) -> u32 {
        self.0 as u32 & 0x3f_ffff
    }
}

/// What a barrier orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// A workgroup's memory.
    Workgroup,
    /// Buffers, which workgroups share.
    Storage,
    /// Storage textures, which workgroups share too.
    Texture,
}

/// Time goes on at each barrier, and when a workgroup begins.
#[derive(Debug)]
pub(super) struct Clock {
    now: u32,
    /// When the workgroup began.
    start: u32,
    /// What happened before is ordered: in workgroup memory, in buffers, in textures, and within each
    /// subgroup.
    workgroup: u32,
    storage: u32,
    texture: u32,
    subgroups: Vec<u32>,
    subgroup: usize,
    /// Whether the kernel has barriers for subgroups.
    orders_subgroups: bool,
}

impl Clock {
    pub(super) fn new(subgroup: usize, lanes: usize, orders_subgroups: bool) -> Clock {
        Clock {
            now: 0,
            start: 0,
            workgroup: 0,
            storage: 0,
            texture: 0,
            subgroups: vec![0; lanes.div_ceil(subgroup)],
            subgroup,
            orders_subgroups,
        }
    }

    pub(super) fn subgroup(&self) -> usize {
        self.subgroup
    }

    /// A workgroup begins; when.
    pub(super) fn begin(&mut self) -> u32 {
        self.now = self.now.saturating_add(1);
        [self.start, self.workgroup, self.storage, self.texture] = [self.now; 4];
        self.subgroups.fill(self.now);
        self.now
    }

    pub(super) fn barrier(&mut self, scope: Scope, mask: &Mask) {
        self.now = self.now.saturating_add(1);
        match scope {
            Scope::Workgroup => self.workgroup = self.now,
            Scope::Storage => self.storage = self.now,
            Scope::Texture => self.texture = self.now,
            Scope::Subgroup => {
                for lane in mask.lanes() {
                    self.subgroups[lane / self.subgroup] = self.now;
                }
            }
        }
    }

    /// The mark of lane 0 at a place.
    pub(super) fn mark(&self, site: u32) -> Mark {
        Mark(u64::from(self.now) << 32 | u64::from(site.min(0x3f_ffff)))
    }

    /// Between which marks lies what is ordered before now.
    fn past(&self, space: Space) -> Past {
        let from = |time: u32| Mark(u64::from(time) << 32);
        let [start, fence, now] = [self.start, self.fence(space), self.now].map(from);
        let group = self.orders_subgroups.then(|| 22 + self.subgroup.ilog2());
        Past { start, fence, now, groups: space != Space::Workgroup, group }
    }

    /// When all lanes of the workgroup were last ordered.
    fn fence(&self, space: Space) -> u32 {
        match space {
            Space::Workgroup => self.workgroup,
            Space::Storage => self.storage,
            Space::Texture => self.texture,
        }
    }

    /// Whether a mark is of this workgroup.
    fn is_here(&self, mark: Mark) -> bool {
        mark.time() >= self.start
    }

    /// Whether what left `before` and what leaves `mark` now may come in any order.
    fn is_unordered(&self, before: Mark, mark: Mark, space: Space) -> bool {
        if before == Mark::default() {
            return false;
        }
        if !self.is_here(before) {
            return space != Space::Workgroup;
        }
        let fence = self.fence(space);
        let group = |mark: Mark| mark.lane() as usize / self.subgroup;
        let together = group(before) == group(mark) && before.time() < self.subgroups[group(mark)];
        before.lane() != mark.lane() && before.time() >= fence && !together
    }
}

/// What most marks are held against, at a glance.
#[derive(Debug, Clone, Copy)]
struct Past {
    /// When the workgroup began, when its lanes were last ordered, and what time it is.
    start: Mark,
    fence: Mark,
    now: Mark,
    /// Whether workgroups share the memory.
    groups: bool,
    /// Where in a mark its subgroup begins, if the kernel orders subgroups by themselves.
    group: Option<u32>,
}

impl Past {
    /// Whether what has left a mark in this workgroup is ordered before a lane; subgroups are not looked at.
    #[inline(always)]
    fn is_before(self, mark: Mark, now: Mark) -> bool {
        mark >= self.start && (mark < self.fence || mark.same_lane(now))
    }

    /// Whether of two readers one or the other is in any order with whoever is in any order with some third:
    /// of other lanes, and where subgroups are ordered by themselves, of others of these.
    #[inline(always)]
    fn is_apart(self, a: u64, b: u64) -> bool {
        let from = self.group.unwrap_or(22);
        ((a ^ b) as u32) >> from != 0
    }

    /// The same of any mark.
    #[inline(always)]
    fn is_clear(self, mark: Mark, now: Mark) -> bool {
        let elsewhere = mark == Mark::default() || (!self.groups && mark < self.start);
        elsewhere || self.is_before(mark, now)
    }
}

/// What an access meets.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Another's access that nothing orders, and whether that one writes.
    pub(super) conflict: Option<(Mark, bool)>,
    /// Whether the workgroup has not written there yet.
    pub(super) unwritten: bool,
}

/// Who has reached each word of a memory, 4 bytes each; 2 bytes where a kernel reaches half a word; texels of
/// a texture. Of readers two lanes are enough, as a writer is one of them at most.
///
/// Zeros come from the system as they are needed: what is never marked takes no memory.
#[derive(Debug)]
pub(super) struct Shadow {
    shift: u32,
    writes: Vec<u64>,
    reads: Vec<u64>,
    /// A reader before the last, of another lane, and whether there is any.
    seconds: Vec<u64>,
    any_second: bool,
    /// A reader of a workgroup before, which nothing orders.
    earlier: Vec<u64>,
    any_earlier: bool,
    /// Who has changed it by an atomic.
    atomics: Vec<u64>,
    any_atomic: bool,
}

impl Shadow {
    /// Bytes that a shadow of so many bytes takes, by words of 2^`shift`.
    pub(super) fn bytes(bytes: u64, shift: u32) -> u64 {
        bytes.div_ceil(1 << shift) * 5 * size_of::<u64>() as u64
    }

    pub(super) fn new(bytes: u64, shift: u32) -> Shadow {
        let zeros = || vec![0; bytes.div_ceil(1 << shift) as usize];
        Shadow {
            shift,
            writes: zeros(),
            reads: zeros(),
            seconds: zeros(),
            any_second: false,
            earlier: zeros(),
            any_earlier: false,
            atomics: zeros(),
            any_atomic: false,
        }
    }

    /// Leaves the marks of all lanes of an access, lane 0's being `first`, and calls `meet` with those that
    /// meet something, and what they meet.
    pub(super) fn reach(
        &mut self,
        clock: &Clock,
        access: &Access<'_>,
        space: Space,
        first: Mark,
        mut meet: impl FnMut(usize, Seen),
    ) {
        let past = clock.past(space);
        let addresses = access.addresses;
        let mut slowly = |shadow: &mut Shadow, lane: usize, words| {
            let mark = Mark::of_lane(first, lane);
            let seen = shadow.meet(clock, access.reach, mark, words, space);
            if seen.conflict.is_some() || seen.unwritten {
                meet(lane, seen);
            }
        };
        let (single, shift) = (access.bytes <= 1 << self.shift, self.shift);
        match access.reach {
            // Two readers of a word that was written long ago stand for all.
            Reach::Read if single && access.shape == Shape::Same && !self.any_atomic => {
                let (begin, end) = (access.range.start, access.range.end - 1);
                let word = (addresses[begin] >> shift) as usize;
                let write = Mark(self.writes.get(word).copied().unwrap_or(0));
                let long_ago = write >= past.start && write < past.fence;
                if long_ago || (past.groups && write == Mark::default()) {
                    for lane in [begin, end] {
                        self.read(past, Mark::of_lane(first, lane), word);
                    }
                } else {
                    access.mask.each(|lane| slowly(self, lane, word..=word));
                }
            }
            Reach::Read if single => {
                let mut from = self.fresh(past, access, first);
                while let Some(lane) = self.unsettled(past, access, from) {
                    let word = (addresses[lane] >> shift) as usize;
                    if !self.read(past, Mark::of_lane(first, lane), word) {
                        slowly(self, lane, word..=word);
                    }
                    from = lane + 1;
                }
            }
            Reach::Write if single => {
                let from = self.fresh(past, access, first);
                for (address, lane) in addresses[from..access.range.end].iter().zip(from..) {
                    let (word, mark) = ((address >> shift) as usize, Mark::of_lane(first, lane));
                    if access.mask.has(lane) && !self.write(past, mark, word) {
                        slowly(self, lane, word..=word);
                    }
                }
            }
            _ => access.each(|lane, address| {
                let last = u64::from(address) + u64::from(access.bytes.max(1)) - 1;
                slowly(self, lane, (address >> shift) as usize..=(last >> shift) as usize);
            }),
        }
    }

    /// Leaves the marks of lanes side by side on words that few have reached, up to the first lane that needs
    /// another look: its number.
    fn fresh(&mut self, past: Past, access: &Access<'_>, first: Mark) -> usize {
        let Range { start, end } = access.range;
        let linear = access.shape == Shape::Linear && self.shift == 2 && access.is_dense();
        let word = (access.addresses[start] >> 2) as usize;
        let words = word..word + (end - start);
        let rare = self.any_second || self.any_earlier || self.any_atomic;
        if !linear || rare || words.end > self.writes.len() {
            return start;
        }
        let marks = self.writes[words.clone()].iter_mut().zip(&mut self.reads[words]);
        for (lane, (write, read)) in (start..end).zip(marks) {
            let mark = Mark::of_lane(first, lane);
            let (written, was_read) = (Mark(*write), Mark(*read));
            if access.reach == Reach::Read {
                let clear = past.is_before(written, mark) || (past.groups && *write == 0);
                if !clear || *read != 0 {
                    return lane;
                }
                *read = mark.0;
            } else {
                if !past.is_clear(written, mark) || !past.is_clear(was_read, mark) {
                    return lane;
                }
                *write = mark.0;
            }
        }
        end
    }

    /// The first lane from one on that takes part and whose read of a word may change anything, or meet a
    /// write: not where two lanes have read at this time what was written long ago.
    #[inline(always)]
    fn unsettled(&self, past: Past, access: &Access<'_>, from: usize) -> Option<usize> {
        // One length, so that one look is enough to know that a word is there.
        let count = self.writes.len();
        let (writes, reads, seconds) =
            (&self.writes[..count], &self.reads[..count], &self.seconds[..count]);
        let (start, fence, now) = (past.start.0, past.fence.0, past.now.0);
        let settled = |address: u32| {
            let word = (address >> self.shift) as usize;
            if word >= count {
                return false;
            }
            let write = writes[word];
            let long_ago = (write >= start && write < fence) || (past.groups && write == 0);
            let two = reads[word] >= now && seconds[word] >= now;
            long_ago && two && past.is_apart(reads[word], seconds[word]) && !self.any_atomic
        };
        let lanes = access.addresses[from..access.range.end].iter().zip(from..);
        let mut rest = lanes.filter(|(address, _)| !settled(**address)).map(|(_, lane)| lane);
        rest.find(|lane| access.mask.has(*lane))
    }

    /// Reads a word that nobody else writes now, if that can be told at a glance.
    #[inline(always)]
    fn read(&mut self, past: Past, mark: Mark, word: usize) -> bool {
        // An address past the end is told by the interpreter.
        let Some(write) = self.writes.get(word) else { return true };
        let written = Mark(*write);
        let clear = past.is_before(written, mark) || (past.groups && *write == 0);
        if !clear || self.any_atomic {
            return false;
        }
        self.note_read(past, mark, word);
        true
    }

    #[inline(always)]
    fn note_read(&mut self, past: Past, mark: Mark, word: usize) {
        let last = self.reads[word];
        // Of those who read at one time, two are enough.
        let second = self.seconds[word];
        let two = Mark(last) >= past.now && Mark(second) >= past.now;
        if (two && past.is_apart(last, second)) || last == mark.0 {
            return;
        }
        self.reads[word] = mark.0;
        if last != 0 {
            // A second reader who is apart from this one stays, as long as nothing orders it.
            let stays = Mark(second) >= past.fence && past.is_apart(second, mark.0);
            if Mark(last) < past.start {
                self.earlier[word] = last;
                self.any_earlier = true;
            } else if past.is_apart(last, mark.0) || !(stays || Mark(last).same_lane(mark)) {
                self.seconds[word] = last;
                self.any_second = true;
            }
        }
    }

    /// Writes a word that nobody else reaches now, if that can be told at a glance.
    #[inline(always)]
    fn write(&mut self, past: Past, mark: Mark, word: usize) -> bool {
        let Some(write) = self.writes.get_mut(word) else { return true };
        let clear = |other: u64| past.is_clear(Mark(other), mark);
        let clear = clear(*write)
            && clear(self.reads[word])
            && (!self.any_second || clear(self.seconds[word]))
            && (!self.any_earlier || clear(self.earlier[word]))
            && !self.any_atomic;
        if clear {
            *write = mark.0;
        }
        clear
    }

    /// Leaves a mark on words, and tells what was met.
    fn meet(
        &mut self,
        clock: &Clock,
        reach: Reach,
        mark: Mark,
        words: RangeInclusive<usize>,
        space: Space,
    ) -> Seen {
        let mut seen = Seen::default();
        let end = self.writes.len();
        for word in words.filter(|word| *word < end) {
            let (write, atomic) = (Mark(self.writes[word]), Mark(self.atomics[word]));
            let readers = [self.reads[word], self.seconds[word], self.earlier[word]];
            seen.unwritten |= !clock.is_here(write) && !clock.is_here(atomic);
            let mut met = |other: Mark, writes: bool| {
                if seen.conflict.is_none() && clock.is_unordered(other, mark, space) {
                    seen.conflict = Some((other, writes));
                }
            };
            met(write, true);
            match reach {
                Reach::Read => {
                    met(atomic, true);
                    self.note_read(clock.past(space), mark, word);
                }
                Reach::Write => {
                    met(atomic, true);
                    readers.into_iter().for_each(|other| met(Mark(other), false));
                    self.writes[word] = mark.0;
                }
                Reach::Atomic { writes: true } => {
                    readers.into_iter().for_each(|other| met(Mark(other), false));
                    self.atomics[word] = mark.0;
                    self.any_atomic = true;
                }
                Reach::Atomic { writes: false } => {}
            }
        }
        seen
    }
}

/// Whether a kernel has barriers for subgroups.
pub(super) fn orders_subgroups(block: &Block) -> bool {
    block.iter().any(|node| match node {
        Node::Barrier { scope, .. } => *scope == Scope::Subgroup,
        Node::Inst { .. } | Node::Leave { .. } => false,
        Node::If { then, otherwise, .. } => orders_subgroups(then) || orders_subgroups(otherwise),
        Node::Loop { body, continuing, .. } => {
            orders_subgroups(body) || orders_subgroups(continuing)
        }
        Node::Switch { cases, default, .. } => {
            orders_subgroups(default) || cases.iter().any(|(_, block)| orders_subgroups(block))
        }
        Node::Scope { body, .. } => orders_subgroups(body),
    })
}

/// Whether a kernel reaches half a word of a memory.
pub(super) fn has_halves(block: &Block, memory: Memory, values: &[Type]) -> bool {
    let is_half = |value: &Value| values.get(value.0 as usize) == Some(&Type::F16);
    block.iter().any(|node| match node {
        Node::Inst { first, op: Op::Load(place), .. } => place.memory == memory && is_half(first),
        Node::Inst { op: Op::Store(place, a), .. } => place.memory == memory && is_half(a),
        Node::Inst { .. } | Node::Leave { .. } | Node::Barrier { .. } => false,
        Node::If { then, otherwise, .. } => {
            has_halves(then, memory, values) || has_halves(otherwise, memory, values)
        }
        Node::Loop { body, continuing, .. } => {
            has_halves(body, memory, values) || has_halves(continuing, memory, values)
        }
        Node::Switch { cases, default, .. } => {
            has_halves(default, memory, values)
                || cases.iter().any(|(_, block)| has_halves(block, memory, values))
        }
        Node::Scope { body, .. } => has_halves(body, memory, values),
    })
}
