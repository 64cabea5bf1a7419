//! The order of contractions: which two operands are multiplied first.
//!
//! The best order of a few operands is found over all of their subsets; that of many is chosen pair by
//! pair (Smith & Gray, *opt_einsum*, J. Open Source Software 3(26), 753, 2018, whose counts of
//! operations these are). Own code, since a limit must hold for every intermediate and no other
//! tensor, and where none obeys it the error says what the least would be; published crates contract
//! all that remains at once there.

use super::indices::{Indices, Set};
use std::collections::HashMap;

/// How the order of contractions is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// The best for up to 10 operands, greedy beyond.
    #[default]
    Auto,
    /// The one of the fewest operations. The time for it triples with each operand, so that more than
    /// 14 are [`Greedy`](Self::Greedy) all the same.
    Optimal,
    /// Each time the pair whose result is smallest compared with the two.
    Greedy,
}

impl Order {
    fn is_optimal(self, operands: usize) -> bool {
        match self {
            Order::Auto => operands <= 10,
            Order::Optimal => operands <= 14,
            Order::Greedy => false,
        }
    }
}

/// The two operands of each step: numbers of operands, then of results in the order of the steps.
pub(super) type Path = Vec<[usize; 2]>;

/// Operations of one contraction: one for each element of all its indices and each operand but the
/// first, and one more where something is summed.
pub(super) fn operations(indices: &Indices, operands: &[Set], result: Set) -> f64 {
    let all = operands.iter().fold(Set::default(), |all, &set| all.or(set));
    let each = operands.len().saturating_sub(1).max(1);
    let summed = usize::from(!all.without(result).is_empty());
    indices.size(all) * (each + summed) as f64
}

/// An order for these operands in which no intermediate has more than `limit` elements; or the
/// fewest elements that the largest intermediate of any order found can have.
pub(super) fn search(
    indices: &Indices,
    inputs: &[Set],
    output: Set,
    limit: f64,
    order: Order,
) -> Result<Path, f64> {
    if inputs.len() < 2 {
        return Ok(Path::new());
    }
    if order.is_optimal(inputs.len()) {
        let subsets = Subsets::new(indices, inputs, output);
        return match subsets.best(|x, y, each| x + y + each, limit) {
            Some((_, path)) => Ok(path),
            None => Err(subsets.least()),
        };
    }
    let shrinking = |result: f64, x: f64, y: f64| result - x - y;
    let smallest = |result: f64, _: f64, _: f64| result;
    let mut least = f64::INFINITY;
    for cost in [&shrinking as &dyn Fn(f64, f64, f64) -> f64, &smallest] {
        let (path, largest) = greedy(indices, inputs, output, cost);
        if largest <= limit {
            return Ok(path);
        }
        least = least.min(largest);
    }
    Err(least)
}

/// Operations of all steps.
#[cfg(test)]
pub(super) fn cost(indices: &Indices, inputs: &[Set], output: Set, path: &Path) -> f64 {
    let mut sets: Vec<Option<Set>> = inputs.iter().copied().map(Some).collect();
    let mut total = 0.0;
    for &[a, b] in path {
        let pair = [sets[a].take().unwrap(), sets[b].take().unwrap()];
        let result = kept(pair, sets.iter().flatten(), output);
        total += operations(indices, &pair, result);
        sets.push(Some(result));
    }
    total
}

/// The indices of a pair that the result or another operand has too.
pub(super) fn kept<'a>(pair: [Set; 2], others: impl Iterator<Item = &'a Set>, output: Set) -> Set {
    let wanted = others.fold(output, |all, &set| all.or(set));
    pair[0].or(pair[1]).and(wanted)
}

/// All subsets of the operands, by the bits of a number.
struct Subsets<'a> {
    indices: &'a Indices,
    operands: usize,
    /// What the contraction of a subset has; of a single operand all of its own.
    sets: Vec<Set>,
}

impl<'a> Subsets<'a> {
    fn new(indices: &'a Indices, inputs: &[Set], output: Set) -> Self {
        let all = 1_usize << inputs.len();
        let mut union = vec![Set::default(); all];
        for subset in 1..all {
            let lowest = subset.trailing_zeros() as usize;
            union[subset] = union[subset & (subset - 1)].or(inputs[lowest]);
        }
        let set = |subset: usize| match subset.count_ones() {
            1 => union[subset],
            _ => union[subset].and(output.or(union[all - 1 - subset])),
        };
        Subsets { indices, operands: inputs.len(), sets: (0..all).map(set).collect() }
    }

    /// The least total of what `join` makes of the costs of two parts and of joining them.
    fn best(&self, join: impl Fn(f64, f64, f64) -> f64, limit: f64) -> Option<(f64, Path)> {
        let whole = self.sets.len() - 1;
        let mut best: Vec<Option<(f64, usize)>> = vec![None; self.sets.len()];
        let mut sizes: HashMap<Set, f64> = HashMap::new();
        let mut size = |set: Set| *sizes.entry(set).or_insert_with(|| self.indices.size(set));
        for subset in 1..=whole {
            if subset.count_ones() == 1 {
                best[subset] = Some((0.0, 0));
                continue;
            }
            if subset != whole && size(self.sets[subset]) > limit {
                continue;
            }
            // Parts that hold the highest operand, so that each division is seen once.
            let highest = 1 << subset.ilog2();
            let mut rest = (subset - 1) & subset;
            while rest > 0 {
                let (part, other) = (rest, subset - rest);
                rest = (rest - 1) & subset;
                if part & highest == 0 {
                    break; // what follows is smaller still
                }
                let (Some((x, _)), Some((y, _))) = (best[part], best[other]) else { continue };
                let all = self.sets[part].or(self.sets[other]);
                let summed = !all.without(self.sets[subset]).is_empty();
                let total = join(x, y, size(all) * if summed { 2.0 } else { 1.0 });
                if best[subset].is_none_or(|(least, _)| total < least) {
                    best[subset] = Some((total, part));
                }
            }
        }
        let (total, _) = best[whole]?;
        let mut path = Path::new();
        self.number(whole, &best, &mut path);
        Some((total, path))
    }

    /// Appends the steps of a subset, and returns the number of its result.
    fn number(&self, subset: usize, best: &[Option<(f64, usize)>], path: &mut Path) -> usize {
        match best[subset] {
            Some((_, part)) if part > 0 => {
                let (a, b) = (part, subset - part);
                // The lower operand first, as it was written.
                let (a, b) = if a.trailing_zeros() < b.trailing_zeros() { (a, b) } else { (b, a) };
                let pair = [self.number(a, best, path), self.number(b, best, path)];
                path.push(pair);
                self.operands + path.len() - 1
            }
            _ => subset.trailing_zeros() as usize,
        }
    }

    /// The least that the largest intermediate can be.
    fn least(&self) -> f64 {
        let whole = self.sets.len() - 1;
        let sizes: Vec<f64> = self.sets.iter().map(|&set| self.indices.size(set)).collect();
        let mut least = vec![0.0_f64; self.sets.len()];
        for subset in (1..=whole).filter(|subset| subset.count_ones() > 1) {
            let mut found = f64::INFINITY;
            let mut part = (subset - 1) & subset;
            while part > 0 {
                found = found.min(least[part].max(least[subset - part]));
                part = (part - 1) & subset;
            }
            least[subset] = if subset == whole { found } else { found.max(sizes[subset]) };
        }
        least[whole]
    }
}

/// The order in which each step is the cheapest by `cost` of the elements of result and pair, and
/// the elements of its largest intermediate. Pairs that share an index go before those that do not.
fn greedy(
    indices: &Indices,
    inputs: &[Set],
    output: Set,
    cost: &dyn Fn(f64, f64, f64) -> f64,
) -> (Path, f64) {
    let mut left: Vec<(usize, Set)> = inputs.iter().copied().enumerate().collect();
    let mut path = Path::new();
    let mut largest = 0.0_f64;
    while left.len() > 1 {
        // How many of those left have an index: one beyond a pair's own keeps it.
        let mut holders = [0_u32; Set::MOST];
        left.iter().for_each(|(_, set)| set.iter().for_each(|index| holders[index] += 1));
        let result = |a: Set, b: Set| {
            let mine = |index: usize| u32::from(a.has(index)) + u32::from(b.has(index));
            Set::of(a.or(b).iter().filter(|&i| output.has(i) || holders[i] > mine(i)))
        };
        let mut best: Option<((u8, f64), [usize; 2])> = None;
        for i in 0..left.len() {
            for j in i + 1..left.len() {
                let (a, b) = (left[i].1, left[j].1);
                let sizes = [result(a, b), a, b].map(|set| indices.size(set));
                let rank = (u8::from(a.and(b).is_empty()), cost(sizes[0], sizes[1], sizes[2]));
                let better = |&(least, _): &((u8, f64), _)| {
                    rank.0 < least.0 || rank.0 == least.0 && rank.1 < least.1
                };
                if best.as_ref().is_none_or(better) {
                    best = Some((rank, [i, j]));
                }
            }
        }
        let Some((_, [i, j])) = best else { break };
        let set = result(left[i].1, left[j].1);
        let (b, a) = (left.remove(j), left.remove(i));
        if !left.is_empty() {
            largest = largest.max(indices.size(set));
        }
        path.push([a.0, b.0]);
        left.push((inputs.len() + path.len() - 1, set));
    }
    (path, largest)
}
