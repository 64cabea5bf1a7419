//! How a length is divided into stages, and how a stage's few points are transformed.

use super::twiddles::root;
use serde::Serialize;

/// Points of a butterfly: what registers hold, made of the primes up to 13.
const RADICES: [usize; 16] = [32, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2];

/// The longest of three stages of 16: beyond it butterflies of 32 spare a stage, and workgroups are so
/// large that a processor has few of them whatever a thread holds.
const THREE_STAGES: usize = 4096;

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

    /// Whether lines can go from stage to stage in so many parts: each stage that reads what another
    /// has left reads as many elements of each part; the first does where a transform came before.
    pub fn parts(&self, rounds: usize, twice: bool) -> bool {
        let first = if twice { 0 } else { 1 };
        self.radices.iter().skip(first).all(|radix| radix.is_multiple_of(rounds))
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
    let largest = if n > THREE_STAGES { 32 } else { 16 };
    each_division(n, largest, &mut radices, &mut |radices| {
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
    if n <= THREE_STAGES {
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
    let fewer = held > 16 && n <= THREE_STAGES;
    let crowded = if fewer { 1.0 + (held - 16) as f64 / 32.0 } else { 1.0 };
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

/// A composite radix as a product of two smaller ones.
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
        32 => [8, 4],
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

/// The butterfly of a radix.
pub(super) fn codelet(radix: usize, suffix: &str) -> Codelet {
    let mut steps = Vec::new();
    let order = butterfly((0..radix).collect(), suffix, &mut steps);
    Codelet { steps, order }
}

/// Adds the steps that transform those at these places, by Cooley & Tukey where they are a composite
/// number, and tells where each result lies.
fn butterfly(at: Vec<usize>, suffix: &str, steps: &mut Vec<Step>) -> Vec<usize> {
    let radix = at.len();
    let [first, second] = factors(radix);
    if second == 1 {
        if radix > 1 {
            steps.push(Step::Simple { at: at.clone() });
        }
        return at;
    }
    let inner: Vec<Vec<usize>> = (0..second)
        .map(|b| butterfly((0..first).map(|a| at[second * a + b]).collect(), suffix, steps))
        .collect();
    for k in 1..first {
        for (b, results) in inner.iter().enumerate().skip(1) {
            steps.push(Step::Turn { at: results[k], turn: turn(b * k, radix, suffix) });
        }
    }
    let outer: Vec<Vec<usize>> = (0..first)
        .map(|k| butterfly(inner.iter().map(|results| results[k]).collect(), suffix, steps))
        .collect();
    (0..radix).map(|k| outer[k % first][k / first]).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex;

    /// The sum of the definition.
    fn dft(x: &[Complex<f64>]) -> Vec<Complex<f64>> {
        let n = x.len();
        let sum = |k: usize| x.iter().enumerate().map(|(j, x)| x * root(j * k, n)).sum();
        (0..n).map(sum).collect()
    }

    #[test]
    fn butterflies_are_transforms() {
        for radix in [RADICES.as_slice(), &[1]].concat() {
            let x: Vec<_> =
                (0..radix).map(|j| Complex::new((j * j % 7) as f64, (j % 5) as f64)).collect();
            let Codelet { steps, order } = codelet(radix, "");
            let mut held = x.clone();
            for step in &steps {
                match step {
                    Step::Simple { at } => {
                        let results = dft(&at.iter().map(|&i| held[i]).collect::<Vec<_>>());
                        at.iter().zip(results).for_each(|(&i, result)| held[i] = result);
                    }
                    Step::Turn { at, turn } => {
                        let [cos, sin]: [f64; 2] =
                            [&turn.cos, &turn.sin].map(|number| number.parse().unwrap());
                        let cos = if turn.kind == "three eighths" { -cos } else { cos };
                        held[*at] *= Complex::new(cos, -sin);
                    }
                }
            }
            for (k, expected) in dft(&x).into_iter().enumerate() {
                assert!((held[order[k]] - expected).norm() < 1e-12, "{k} of {radix}");
            }
        }
    }
}
