//! What proves an implementation of sorting: one table of hard cases, and the standard library's
//! stable sort of whole keys as the oracle. Tests, benchmarks and fuzzers all read this one.

use super::{Algorithm, Sort};
use crate::context::Context;
use crate::error::{Error, Result};

/// What the keys of a [`Case`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Every bit random, those above the compared ones too.
    Random,
    /// One of so many random keys.
    Few(usize),
    /// All the same.
    Equal,
    /// Ascending in the compared bits, as evenly as they go.
    Sorted,
    /// Descending.
    Reversed,
    /// Only the highest two of the compared bits are ever set.
    TopBits,
    /// Ascending but for a few in a hundred.
    NearlySorted,
    /// All bits set: the key that what is past the end must not be mistaken for.
    Ones,
}

/// One problem and what to sort.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What makes it hard.
    pub why: &'static str,
    /// The problem.
    pub problem: Sort,
    /// The keys.
    pub keys: Keys,
}

/// What a case showed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plan's choice.
    pub algorithm: Algorithm,
    /// The sorted keys, word by word.
    pub keys: Vec<u32>,
    /// Where each lay.
    pub order: Vec<u32>,
}

/// What the order holds before, to show elements that were not written: no index of a case.
const SENTINEL: u32 = 0xC0FF_EE00;

impl Case {
    /// The keys, word by word.
    pub fn words(&self, seed: u64) -> Vec<u32> {
        let Sort { n, words, .. } = self.problem;
        let bits = self.problem.compared_bits();
        let all = u64::MAX >> (64 - bits);
        let mut random = fastrand::Rng::with_seed(seed);
        let ascending = |i: usize| (u128::from(all) * i as u128 / n.max(1) as u128) as u64;
        let few: Vec<u64> = match self.keys {
            Keys::Few(count) => (0..count).map(|_| random.u64(..)).collect(),
            _ => Vec::new(),
        };
        let key = |i: usize| match self.keys {
            Keys::Random => random.u64(..),
            Keys::Few(count) => few[random.usize(..count)],
            Keys::Equal => 0x5555_AAAA_1234_5678,
            Keys::Sorted => ascending(i),
            Keys::Reversed => ascending(n - i),
            Keys::TopBits => random.u64(..) & all & !(all >> 2),
            Keys::NearlySorted if random.u8(..) < 5 => random.u64(..),
            Keys::NearlySorted => ascending(i),
            Keys::Ones => u64::MAX,
        };
        let split = |key: u64| [key as u32, (key >> 32) as u32].into_iter().take(words);
        (0..n).map(key).flat_map(split).collect()
    }

    /// Runs the case, twice through one plan, and holds every key and index against the oracle.
    ///
    /// # Errors
    /// [`Error::Internal`] naming the first key that differs; whatever the plan and the run return.
    pub fn check(&self, ctx: &Context, seed: u64) -> Result<Outcome> {
        let given = self.words(seed);
        let (expected_keys, expected_order) = oracle(&self.problem, &given);
        let plan = self.problem.plan(ctx)?;
        let mut keys = ctx.upload(self.problem.keys_shape(), &given)?;
        let sentinel = vec![SENTINEL; self.problem.n];
        let mut order = ctx.upload(self.problem.order_shape(), &sentinel)?;
        let mut last = None;
        for run in ["first", "second"] {
            keys.write(&given)?;
            order.write(&sentinel)?;
            plan.run(&mut keys, &mut order)?;
            let found = Outcome {
                algorithm: plan.algorithm(),
                keys: keys.download()?,
                order: order.download()?,
            };
            let differs = |message: String| Error::Internal {
                what: format!("sort: {}, {run} run by {}", self.why, found.algorithm),
                message,
            };
            let first = |found: &[u32], expected: &[u32]| {
                (0..expected.len()).find(|&i| found.get(i) != expected.get(i))
            };
            if let Some(i) = first(&found.order, &expected_order) {
                let (found, expected) = (found.order[i], expected_order[i]);
                let unwritten = if found == SENTINEL { ", which was not written" } else { "" };
                return Err(differs(format!(
                    "index {i}{unwritten}: expected {expected}, found {found}"
                )));
            }
            if let Some(i) = first(&found.keys, &expected_keys) {
                let (found, expected) = (found.keys[i], expected_keys[i]);
                return Err(differs(format!(
                    "word {i} of the keys: expected {expected:08x}, found {found:08x}"
                )));
            }
            last = Some(found);
        }
        last.ok_or_else(|| Error::Internal { what: "sort".into(), message: "no run".into() })
    }
}

/// Sorted keys and order, by the standard library's stable sort.
pub fn oracle(problem: &Sort, keys: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let compared = u64::MAX >> (64 - problem.compared_bits());
    let key = |i: u32| {
        let words = &keys[i as usize * problem.words..][..problem.words];
        words.iter().rev().fold(0, |key, &word| key << 32 | u64::from(word))
    };
    let mut order: Vec<u32> = (0..problem.n as u32).collect();
    order.sort_by_key(|&i| key(i) & compared);
    let sorted = order.iter().flat_map(|&i| &keys[i as usize * problem.words..][..problem.words]);
    (sorted.copied().collect(), order)
}

/// The table: none and few keys, the edges of a block and of the vectors that counts are read in,
/// widths from one bit to all, digits on both sides of a word's end, orders that are extreme.
pub fn hard_cases() -> Vec<Case> {
    const BLOCK: usize = super::gpu::BLOCK;
    let mut cases = Vec::new();
    let mut add = |why, problem, keys| cases.push(Case { why, problem, keys });
    for words in [1, 2] {
        let sort = |n| Sort::new(n).words(words);
        for n in 0..=3 {
            add("few keys", sort(n), Keys::Random);
        }
        for n in [15, 16, 255, 256, 257, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1] {
            add("the edge of a block", sort(n), Keys::Random);
        }
        for keys in [
            Keys::Few(2),
            Keys::Few(300),
            Keys::Equal,
            Keys::Sorted,
            Keys::Reversed,
            Keys::TopBits,
            Keys::NearlySorted,
            Keys::Ones,
        ] {
            add("an extreme order", sort(3 * BLOCK + 77), keys);
            add("an extreme order of few blocks", sort(BLOCK - 100), keys);
        }
        for n in [4 * BLOCK, 5 * BLOCK - 1, 13_007, 65_537] {
            add("counts of no whole vectors", sort(n), Keys::Random);
        }
    }
    for bits in [1, 2, 4, 7, 8, 9, 15, 16, 17, 24, 30, 31, 32] {
        add("bits of a word", Sort::new(5000).bits(bits), Keys::Random);
    }
    for bits in [1, 16, 32, 33, 40, 48, 49, 63, 64] {
        add("bits of two words", Sort::new(5000).words(2).bits(bits), Keys::Random);
    }
    add("Morton keys", Sort::new(100_000).bits(30), Keys::Random);
    add("deep Morton keys", Sort::new(30_000).words(2).bits(63), Keys::NearlySorted);
    let blocks = 1025; // of which the counts are read 1024 at a time
    add("rows of counts past one reading", Sort::new(blocks * BLOCK).bits(3), Keys::Random);
    cases
}
