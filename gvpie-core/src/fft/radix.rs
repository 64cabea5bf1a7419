//! How a length is divided into stages, and how a stage's few points are transformed.

use super::twiddles::root;
use serde::Serialize;

/// Points of a butterfly: what registers hold, made of the primes up to 13.
const RADICES: [usize; 15] = [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2];

/// The largest prime that there is a butterfly for.
pub(super) const LARGEST_PRIME: usize = 13;

/// Whether n is a product of primes that there are butterflies for.
pub(super) fn smooth(mut n: usize) -> bool {
    for p in [2, 3, 5, 7, 11, LARGEST_PRIME] {
        while n > 1 && n.is_multiple_of(p) {
            n /= p;
        }
    }
    n == 1
}

/// Whether n is a prime number.
pub(super) fn prime(n: usize) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

/// A length in stages, with as many threads as divide the work best.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Stages {
    pub radices: Vec<usize>,
    pub threads: usize,
}

impl Stages {
    /// Butterflies of a radix for each thread.
    pub fn each(&self, n: usize, radix: usize) -> usize {
        (n / radix).div_ceil(self.threads)
    }
}

/// Elements that a thread holds at most: 32 complex numbers are 64 of the 255 registers of a
/// thread, and every one beyond 16 costs others their place.
const HELD: usize = 32;

/// The cheapest division of n, 13-smooth, into stages of at most so many threads; `None` where there
/// is none.
pub(super) fn divide(n: usize, most_threads: usize) -> Option<Stages> {
    if n == 1 {
        return Some(Stages { radices: vec![1], threads: 1 });
    }
    let mut best: Option<(f64, Stages)> = None;
    let mut radices = Vec::new();
    each_division(n, RADICES[0], &mut radices, &mut |radices| {
        // Threads that some stage divides its butterflies among without a rest.
        let mut threads: Vec<usize> = radices
            .iter()
            .flat_map(|radix| (1..=16).map(move |each| (n / radix).div_ceil(each)))
            .collect();
        threads.sort_unstable();
        threads.dedup();
        for threads in threads {
            let stages = Stages { radices: radices.to_vec(), threads };
            let held = radices.iter().map(|&r| stages.each(n, r) * r).max().unwrap_or(0);
            if threads > most_threads || held > HELD {
                continue;
            }
            let cost = cost(n, &stages, held);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, stages));
            }
        }
    });
    best.map(|(_, stages)| stages)
}

/// What transforms of n points cost, to compare lengths by: that of the stages, or where a line is
/// too long for one workgroup what its elements and the largest prime factor tell.
pub(super) fn work(n: usize) -> f64 {
    if n <= 4096 {
        return match divide(n, 256) {
            Some(stages) => {
                let held = stages.radices.iter().map(|&r| stages.each(n, r) * r).max();
                cost(n, &stages, held.unwrap_or(0))
            }
            None => f64::INFINITY,
        };
    }
    let largest = [13, 11, 7, 5, 3].into_iter().find(|&p| n.is_multiple_of(p)).unwrap_or(2);
    n as f64 * (1.0 + largest as f64 / 26.0)
}

/// What a transform of n points costs in one workgroup, without end where it does not fit one: to
/// compare lengths by that are far apart.
pub(super) fn effort(n: usize) -> f64 {
    let stages = divide(n, 1024);
    stages.map_or(f64::INFINITY, |stages| {
        let held = stages.radices.iter().map(|&radix| stages.each(n, radix) * radix).max();
        cost(n, &stages, held.unwrap_or(0))
    })
}

/// Calls `found` with each product of radices, none larger than the one before, that is n.
fn each_division(
    n: usize,
    largest: usize,
    radices: &mut Vec<usize>,
    found: &mut impl FnMut(&[usize]),
) {
    if n == 1 {
        found(radices);
        return;
    }
    if radices.len() == 6 {
        return;
    }
    for &radix in RADICES.iter().filter(|&&radix| radix <= largest && n.is_multiple_of(radix)) {
        radices.push(radix);
        each_division(n / radix, radix, radices, found);
        radices.pop();
    }
}

/// Operations of a workgroup's threads, idle ones included: arithmetic, and four for each element
/// that goes through memory.
fn cost(n: usize, stages: &Stages, held: usize) -> f64 {
    let Stages { radices, threads } = stages;
    let work: f64 = radices
        .iter()
        .map(|&radix| {
            let elements = (stages.each(n, radix) * threads * radix) as f64;
            elements * (8.0 + flops(radix) / radix as f64 / 4.0)
        })
        .sum();
    // Beyond 16 elements a thread fewer threads fit; below 4 neighbours memory is read in parts.
    let crowded = if held > 16 { 1.0 + (held - 16) as f64 / 32.0 } else { 1.0 };
    let narrow = if *threads < 4 && n > 4 { 4.0 } else { 1.0 };
    work * crowded * narrow
}

/// Floating-point operations of a butterfly, about.
fn flops(radix: usize) -> f64 {
    match radix {
        1 => 0.0,
        2 => 4.0,
        4 => 16.0,
        3 | 5 | 7 | 11 | 13 => {
            let half = (radix / 2) as f64;
            4.0 * half + 8.0 * half * half + 4.0 * half
        }
        _ => {
            let [first, second] = factors(radix);
            let twiddles = (first - 1) * (second - 1);
            flops(first) * second as f64 + flops(second) * first as f64 + 6.0 * twiddles as f64
        }
    }
}

/// A composite radix as a product of two simple ones.
fn factors(radix: usize) -> [usize; 2] {
    match radix {
        6 => [3, 2],
        8 => [4, 2],
        9 => [3, 3],
        10 => [5, 2],
        12 => [4, 3],
        14 => [7, 2],
        15 => [5, 3],
        16 => [4, 4],
        _ => [radix, 1],
    }
}

/// cos and sin of a root, as WGSL writes them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Turn {
    kind: &'static str,
    cos: String,
    sin: String,
}

/// A step of a butterfly in registers: a simple transform of those at these places, or a turn of one.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Step {
    Simple { at: Vec<usize> },
    Turn { at: usize, turn: Turn },
}

/// A butterfly: its steps, and where each result lies after them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Codelet {
    steps: Vec<Step>,
    order: Vec<usize>,
}

/// The butterfly of a radix: by Cooley & Tukey where it is composite.
pub(super) fn codelet(radix: usize, suffix: &str) -> Codelet {
    if radix == 1 {
        return Codelet { steps: Vec::new(), order: vec![0] };
    }
    let [first, second] = factors(radix);
    if second == 1 {
        let steps = vec![Step::Simple { at: (0..radix).collect() }];
        return Codelet { steps, order: (0..radix).collect() };
    }
    let mut steps = Vec::new();
    for b in 0..second {
        steps.push(Step::Simple { at: (0..first).map(|a| second * a + b).collect() });
    }
    for k in 1..first {
        for b in 1..second {
            steps.push(Step::Turn { at: second * k + b, turn: turn(b * k, radix, suffix) });
        }
    }
    for k in 0..first {
        steps.push(Step::Simple { at: (0..second).map(|b| second * k + b).collect() });
    }
    let order = (0..radix).map(|k| second * (k % first) + k / first).collect();
    Codelet { steps, order }
}

/// exp(−2πi·k/n) in WGSL, with `suffix` after numbers.
pub(super) fn turn(k: usize, n: usize, suffix: &str) -> Turn {
    let w = root(k, n);
    let kind = match 8 * (k % n) {
        turned if turned == 2 * n => "quarter",
        turned if turned == n => "eighth",
        turned if turned == 3 * n => "three eighths",
        _ => "any",
    };
    let cos = if kind == "three eighths" { -w.re } else { w.re };
    Turn { kind, cos: format!("{cos:?}{suffix}"), sin: format!("{:?}{suffix}", -w.im) }
}
