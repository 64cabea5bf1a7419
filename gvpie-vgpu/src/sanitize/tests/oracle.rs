//! Shadows against the whole history of a memory.

use crate::interp::{Access, Mask, Reach, Shape};
use crate::ir::{Memory, Scope, Span};
use crate::sanitize::shadow::{Clock, Shadow, Space};
use std::collections::{HashMap, HashSet};

const LANES: usize = 70;
const WORDS: u32 = 100;

/// Who was at a word: workgroup, barriers before, and those of its subgroup, lane, how.
#[derive(Debug, Clone, Copy)]
struct Visit {
    workgroup: u32,
    epoch: u32,
    turn: u32,
    lane: usize,
    reach: Reach,
}

impl Visit {
    /// Whether both are there in any order, and one changes what the other sees.
    fn races(self, other: Visit, space: Space) -> bool {
        let unordered = match self.workgroup == other.workgroup {
            true => {
                let together = self.lane / 32 == other.lane / 32 && self.turn != other.turn;
                self.epoch == other.epoch && self.lane != other.lane && !together
            }
            false => space != Space::Workgroup,
        };
        let writes = |reach| matches!(reach, Reach::Write | Reach::Atomic { writes: true });
        let atomic = |reach| matches!(reach, Reach::Atomic { .. });
        let (a, b) = (self.reach, other.reach);
        unordered && (writes(a) || writes(b)) && !(atomic(a) && atomic(b))
    }
}

/// A few kinds of addresses: all the same, side by side, rows of one word, and anywhere.
fn addresses(random: &mut fastrand::Rng, mask: &Mask) -> (Vec<u32>, Shape) {
    let first = mask.range().start as u32;
    let from = random.u32(..WORDS - LANES as u32);
    let kind = random.u8(..4);
    let word = |lane: u32, random: &mut fastrand::Rng| match kind {
        0 => from,
        1 => from + lane.saturating_sub(first),
        2 => from + lane / 16,
        _ => random.u32(..WORDS),
    };
    let shape = [Shape::Same, Shape::Linear, Shape::Separate, Shape::Separate][usize::from(kind)];
    ((0..LANES as u32).map(|lane| word(lane, random) * 4).collect(), shape)
}

/// Until the first race on a word, none is told there; and that one is.
#[test]
fn first_races_are_told_and_no_others() {
    let (mut races, mut clean) = (0, 0);
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let space = [Space::Workgroup, Space::Storage, Space::Texture][random.usize(..3)];
        let scope = match space {
            Space::Workgroup => Scope::Workgroup,
            Space::Storage => Scope::Storage,
            Space::Texture => Scope::Texture,
        };
        let by_subgroups = seed % 2 == 1;
        let mut clock = Clock::new(32, LANES, by_subgroups);
        let mut shadow = Shadow::new(u64::from(WORDS) * 4, 2);
        let mut history: HashMap<u32, Vec<Visit>> = HashMap::new();
        let mut raced = HashSet::new();
        let (mut workgroup, mut epoch) = (0, 0);
        let mut turns = [0; LANES.div_ceil(32)];
        clock.begin();
        for site in 0..40 {
            match random.u8(..8) {
                0 => {
                    (workgroup, epoch) = (workgroup + 1, 0);
                    clock.begin();
                }
                1..4 => {
                    epoch += 1;
                    clock.barrier(scope, &Mask::first(LANES));
                }
                // One that orders other memory.
                4 => {
                    let other = [Scope::Workgroup, Scope::Storage, Scope::Texture];
                    let other = other.into_iter().find(|other| *other != scope).unwrap();
                    clock.barrier(other, &Mask::first(LANES));
                }
                5 if by_subgroups => {
                    let group = random.usize(..turns.len());
                    turns[group] += 1;
                    let before = Mask::first(group * 32);
                    let mask = Mask::first((group * 32 + 32).min(LANES)).without(&before);
                    clock.barrier(Scope::Subgroup, &mask);
                }
                _ => {}
            }
            let all = Mask::first(LANES);
            let low = Mask::first(random.usize(..LANES));
            let mask = match random.u8(..4) {
                0 => all.without(&low),
                1 => low.or(&Mask::one(LANES - 1)),
                2 => Mask::one(random.usize(..LANES)),
                _ => all,
            };
            // A variable of WGSL is atomic or not, for all that reach it.
            let reach = match (seed % 10, random.bool()) {
                (0, writes) => Reach::Atomic { writes },
                (_, true) => Reach::Write,
                (_, false) => Reach::Read,
            };
            let (addresses, shape) = addresses(&mut random, &mask);
            let access = Access {
                number: site,
                memory: Memory::Workgroup,
                reach,
                bytes: 4,
                addresses: &addresses,
                shape,
                mask: &mask,
                range: mask.range(),
                span: Span::default(),
            };
            let mut told = HashSet::new();
            shadow.reach(&clock, &access, space, clock.mark(site), |lane, seen| {
                if seen.conflict.is_some() {
                    told.insert(lane);
                }
            });
            for lane in mask.lanes() {
                let word = addresses[lane] / 4;
                let visit = Visit { workgroup, epoch, turn: turns[lane / 32], lane, reach };
                let before = history.entry(word).or_default();
                let expected = before.iter().any(|other| visit.races(*other, space));
                if !raced.contains(&word) {
                    let found = told.contains(&lane);
                    assert_eq!(found, expected, "seed {seed}: {visit:?} at {word} of {before:?}");
                    races += usize::from(found);
                    clean += usize::from(!found);
                }
                if expected {
                    raced.insert(word);
                }
                before.push(visit);
            }
        }
    }
    assert!(races > 1000 && clean > 10_000, "{races}, {clean}");
}
