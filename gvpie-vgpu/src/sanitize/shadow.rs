//! For each word of memory, who has reached it last, and what is ordered before what.

use crate::interp::{Mask, Reach};
use crate::ir::{Block, Memory, Node, Op, Scope, Type, Value};

/// When a lane was where: time, then 10 bits of lane, then 22 of the place in the source. 0 is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark(u64);

impl Mark {
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
}

impl Clock {
    pub(super) fn new(subgroup: usize, lanes: usize) -> Clock {
        let subgroups = vec![0; lanes.div_ceil(subgroup)];
        Clock { now: 0, start: 0, workgroup: 0, storage: 0, texture: 0, subgroups, subgroup }
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

    pub(super) fn mark(&self, lane: usize, site: u32) -> Mark {
        Mark(u64::from(self.now) << 32 | (lane as u64) << 22 | u64::from(site.min(0x3f_ffff)))
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
        let fence = match space {
            Space::Workgroup => self.workgroup,
            Space::Storage => self.storage,
            Space::Texture => self.texture,
        };
        let group = |mark: Mark| mark.lane() as usize / self.subgroup;
        let together = group(before) == group(mark) && before.time() < self.subgroups[group(mark)];
        before.lane() != mark.lane() && before.time() >= fence && !together
    }
}

/// Who has reached a word. Of readers two lanes are enough, as a writer is one of them at most.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    write: Mark,
    reads: [Mark; 2],
    /// A reader of a workgroup before, which nothing orders.
    earlier: Mark,
    /// Who has changed it by an atomic.
    atomic: Mark,
}

/// What an access meets.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Another's access that nothing orders, and whether that one writes.
    pub(super) conflict: Option<(Mark, bool)>,
    /// Whether the workgroup has not written there yet.
    pub(super) unwritten: bool,
}

/// The words of a memory, 4 bytes each; 2 bytes where a kernel reaches half a word; texels of a texture.
#[derive(Debug)]
pub(super) struct Shadow {
    words: Vec<Word>,
    shift: u32,
}

impl Shadow {
    /// Bytes that a shadow of so many bytes takes, by words of 2^`shift`.
    pub(super) fn bytes(bytes: u64, shift: u32) -> u64 {
        bytes.div_ceil(1 << shift) * size_of::<Word>() as u64
    }

    pub(super) fn new(bytes: u64, shift: u32) -> Shadow {
        let count = bytes.div_ceil(1 << shift) as usize;
        Shadow { words: vec![Word::default(); count], shift }
    }

    /// Leaves a mark, and tells what was met.
    #[inline]
    pub(super) fn reach(
        &mut self,
        clock: &Clock,
        reach: Reach,
        mark: Mark,
        address: u32,
        bytes: u32,
        space: Space,
    ) -> Seen {
        let mut seen = Seen::default();
        let last = u64::from(address) + u64::from(bytes.max(1)) - 1;
        let range = (address >> self.shift) as usize..=(last >> self.shift) as usize;
        // An address past the end is told by the interpreter.
        for word in self.words.get_mut(range).unwrap_or_default() {
            let Word { write, reads, earlier, atomic } = *word;
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
                    word.read(clock, mark);
                }
                Reach::Write => {
                    met(atomic, true);
                    [reads[0], reads[1], earlier].into_iter().for_each(|other| met(other, false));
                    word.write = mark;
                }
                Reach::Atomic { writes: true } => {
                    [reads[0], reads[1], earlier].into_iter().for_each(|other| met(other, false));
                    word.atomic = mark;
                }
                Reach::Atomic { writes: false } => {}
            }
        }
        seen
    }
}

impl Word {
    fn read(&mut self, clock: &Clock, mark: Mark) {
        let last = self.reads[0];
        if last != Mark::default() {
            if !clock.is_here(last) {
                self.earlier = last;
            } else if last.lane() != mark.lane() {
                self.reads[1] = last;
            }
        }
        self.reads[0] = mark;
    }
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
