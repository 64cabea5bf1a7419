//! The octree: cells by level, and each cell's neighbours of its own size.
//!
//! Points are sorted by Morton key, so that a cell holds a range of them. A cell is divided while it
//! holds more than `leaf` sources or more than `leaf` targets; only children that hold a point exist.
//! What acts on a cell follows from its colleagues, the 27 cells of its level that touch it, itself
//! included:
//!
//! * [`Tree::far`]: by M2L, the children of its parent's colleagues that do not touch it;
//! * [`Tree::near`]: on the points of a leaf directly, all points of its own colleagues, divided or
//!   not, and those of the leaves among its ancestors' colleagues.
//!
//! Every pair of points is thus met once: where their ancestors first do not touch, or directly. In
//! a periodic cube all 27 colleagues of the root are the root, and every pair is met once for each
//! of the 27 nearest images.

use super::harmonics::Real;
use rayon::prelude::*;

/// Bits of a coordinate, and levels below the root at most.
pub(super) const DEPTH: u32 = 21;

/// Where the cell itself stands among its colleagues.
const SELF: usize = 13;

/// What decides a tree, besides the points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shaping {
    /// Points of a leaf at most, where it can still be divided.
    pub leaf: usize,
    /// Pairs of a cell's points and those of full colleagues beyond which it is divided although it
    /// holds fewer points.
    pub pairs: f64,
    /// No cell's side is less.
    pub least_side: f64,
    /// The cube's edge, where it repeats itself.
    pub periodic: Option<f64>,
}

/// Cell 0 is none, cell 1 the root; levels follow one another, children of a cell too, by octant
/// (bit 0: the high half in x, bit 1: in y, bit 2: in z).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    /// The root's low corner and side.
    pub low: [f64; 3],
    pub side: f64,
    /// Which row the source at each place of the sorted order is.
    pub sources: Vec<u32>,
    /// The same of targets; `None` where these are the sources.
    pub targets: Option<Vec<u32>>,
    /// The first cell of each level, and after the last level the number of cells.
    pub levels: Vec<usize>,
    /// x, y, z in sides of its level; level.
    pub places: Vec<[u32; 4]>,
    /// Sources begin, end; targets begin, end: in sorted order.
    pub ranges: Vec<[u32; 4]>,
    /// Parent, first child, and by bits which octants have a child.
    pub links: Vec<[u32; 3]>,
    /// The cell at offset (dx, dy, dz) is at ((dz+1)·3 + dy+1)·3 + dx+1; 0 where there is none.
    pub colleagues: Vec<[u32; 27]>,
}

impl Tree {
    /// Of points in rows of four.
    pub fn new<T: Real>(sources: &[T], targets: Option<&[T]>, shaping: Shaping) -> Self {
        let (low, side) = match shaping.periodic {
            Some(side) => ([0.0; 3], side),
            None => cube(sources, targets.unwrap_or(&[])),
        };
        let sort = |points: &[T]| {
            let mut keyed: Vec<(u64, u32)> = points
                .par_chunks_exact(4)
                .enumerate()
                .map(|(row, x)| (key(position(x, shaping.periodic), low, side), row as u32))
                .collect();
            keyed.par_sort_unstable();
            keyed.into_par_iter().unzip::<u64, u32, Vec<_>, Vec<_>>()
        };
        let (keys, order) = sort(sources);
        let other = targets.map(sort);
        let (target_keys, target_order) = match other {
            Some((keys, order)) => (Some(keys), Some(order)),
            None => (None, None),
        };
        let mut tree = Tree {
            low,
            side,
            sources: order,
            targets: target_order,
            levels: vec![1, 2],
            places: vec![[0; 4]; 2],
            ranges: vec![[0; 4]; 2],
            links: vec![[0; 3]; 2],
            colleagues: vec![[0; 27]; 2],
        };
        if shaping.periodic.is_some() {
            tree.colleagues[1] = [1; 27];
        } else {
            tree.colleagues[1][SELF] = 1;
        }
        tree.divide(&keys, target_keys.as_deref(), shaping);
        tree
    }

    /// Cells, the root's level first.
    fn divide(&mut self, keys: &[u64], other: Option<&[u64]>, shaping: Shaping) {
        let target_keys = other.unwrap_or(keys);
        let (sources, targets) = (keys.len() as u32, target_keys.len() as u32);
        self.ranges[1] = [0, sources, 0, targets];
        for level in 0..DEPTH {
            let (first, end) = (self.levels[level as usize], self.levels[level as usize + 1]);
            let half = self.side / f64::from(2_u32 << level);
            if half < shaping.least_side || half == 0.0 {
                break;
            }
            let shift = 3 * (DEPTH - 1 - level);
            // In a periodic cube far images act on the root's children.
            let whole = level == 0 && shaping.periodic.is_some();
            let leaf = if whole { 0 } else { shaping.leaf };
            for cell in first..end {
                let range = self.ranges[cell];
                let [from, to, begin, stop] = range.map(|at| at as usize);
                let full = (to - from).max(stop - begin) > leaf;
                if !full && self.crowd(cell, leaf) <= shaping.pairs {
                    continue;
                }
                // Where octants up to `octant` end in a range of sorted keys.
                let edge = |keys: &[u64], octant: u64| {
                    keys.partition_point(|key| key >> shift & 7 <= octant) as u32
                };
                self.links[cell][1] = self.places.len() as u32;
                let mut last = [range[0], range[2]];
                for octant in 0..8 {
                    let source = range[0] + edge(&keys[from..to], octant.into());
                    let target = match other {
                        Some(keys) => range[2] + edge(&keys[begin..stop], octant.into()),
                        None => source,
                    };
                    if [source, target] == last {
                        continue;
                    }
                    let [x, y, z, _] = self.places[cell];
                    let bit = |axis: u32| octant >> axis & 1;
                    let place = [2 * x + bit(0), 2 * y + bit(1), 2 * z + bit(2), level + 1];
                    self.places.push(place);
                    self.ranges.push([last[0], source, last[1], target]);
                    self.links.push([cell as u32, 0, 0]);
                    self.links[cell][2] |= 1 << octant;
                    last = [source, target];
                }
            }
            if self.places.len() == end {
                break;
            }
            self.levels.push(self.places.len());
            self.meet(level as usize + 1);
        }
    }

    /// Pairs of the points of a cell and those of its colleagues that hold more than a leaf may.
    fn crowd(&self, cell: usize, leaf: usize) -> f64 {
        let points = |cell: usize| {
            let [from, to, begin, stop] = self.ranges[cell];
            (to - from).max(stop - begin)
        };
        let others = self.colleagues[cell].iter().map(|&other| other as usize);
        let full = others.filter(|&other| other != cell && points(other) as usize > leaf);
        f64::from(points(cell)) * full.map(|other| f64::from(points(other))).sum::<f64>()
    }

    /// Colleagues of the cells of a level, from those of the level above.
    fn meet(&mut self, level: usize) {
        let level = [self.levels[level], self.levels[level + 1]];
        self.colleagues.resize(level[1], [0; 27]);
        let (above, own) = self.colleagues.split_at_mut(level[0]);
        let (places, links) = (&self.places, &self.links);
        let find = |(at, met): (usize, &mut [u32; 27])| {
            let cell = level[0] + at;
            let octant = [0, 1, 2].map(|axis| (places[cell][axis] & 1) as i32);
            for (slot, met) in met.iter_mut().enumerate() {
                let at: [i32; 3] = std::array::from_fn(|axis| octant[axis] + offset(slot)[axis]);
                let parent = above[links[cell][0] as usize][slot_of(at.map(|x| x >> 1))];
                let bits = at.map(|x| x & 1);
                *met = child(&links[parent as usize], bits[0] + 2 * bits[1] + 4 * bits[2]);
            }
        };
        own.par_iter_mut().enumerate().with_min_len(256).for_each(find);
    }

    /// Cells that exist.
    pub fn cells(&self) -> usize {
        self.places.len() - 1
    }

    /// Whether a cell is not divided.
    pub fn is_leaf(&self, cell: usize) -> bool {
        self.links[cell][2] == 0
    }

    /// Centre of a cell.
    pub fn centre(&self, cell: usize) -> [f64; 3] {
        let [x, y, z, level] = self.places[cell];
        let side = self.side_of(level);
        let place = [x, y, z].map(|x| (f64::from(x) + 0.5) * side);
        std::array::from_fn(|axis| self.low[axis] + place[axis])
    }

    /// Side of the cells of a level.
    pub fn side_of(&self, level: u32) -> f64 {
        self.side / f64::from(1_u32 << level)
    }

    /// Calls with every cell whose multipole acts on `cell`, and the offset from it to `cell` in
    /// sides.
    pub fn far(&self, cell: usize, mut act: impl FnMut(usize, [i32; 3])) {
        let own = [0, 1, 2].map(|axis| (self.places[cell][axis] & 1) as i32);
        for (slot, &uncle) in self.colleagues[self.links[cell][0] as usize].iter().enumerate() {
            let [_, first, mask] = self.links[uncle as usize];
            let octants = (0..8).filter(|octant| mask >> octant & 1 == 1);
            for (source, octant) in (first as usize..).zip(octants) {
                let d: [i32; 3] = std::array::from_fn(|axis| {
                    own[axis] - 2 * offset(slot)[axis] - (octant >> axis & 1)
                });
                if d.iter().any(|d| d.abs() >= 2) {
                    act(source, d);
                }
            }
        }
    }

    /// Calls with every cell whose sources act directly on the targets of the leaf `cell`, and the
    /// image of the cube in which they stand.
    pub fn near(&self, cell: usize, mut act: impl FnMut(usize, [i32; 3])) {
        let mut here = cell;
        while here != 0 {
            let level = self.places[here][3];
            for (slot, &met) in self.colleagues[here].iter().enumerate() {
                if met != 0 && (here == cell || self.is_leaf(met as usize)) {
                    let d = offset(slot);
                    let image = std::array::from_fn(|axis| {
                        (self.places[here][axis] as i32 + d[axis]) >> level
                    });
                    act(met as usize, image);
                }
            }
            here = self.links[here][0] as usize;
        }
    }
}

/// The offset of a colleague.
fn offset(slot: usize) -> [i32; 3] {
    let slot = slot as i32;
    [slot % 3 - 1, slot / 3 % 3 - 1, slot / 9 - 1]
}

fn slot_of([x, y, z]: [i32; 3]) -> usize {
    (((z + 1) * 3 + y + 1) * 3 + x + 1) as usize
}

/// The child in an octant, or 0.
fn child(&[_, first, mask]: &[u32; 3], octant: i32) -> u32 {
    let bit = 1 << octant;
    if mask & bit == 0 { 0 } else { first + (mask & (bit - 1)).count_ones() }
}

/// Where a point is, or its image in the cube.
#[inline(always)]
pub(super) fn position<T: Real>(row: &[T], periodic: Option<f64>) -> [f64; 3] {
    let x = [row[0].wide(), row[1].wide(), row[2].wide()];
    match periodic {
        Some(side) => x.map(|x| if (0.0..side).contains(&x) { x } else { x.rem_euclid(side) }),
        None => x,
    }
}

/// The cube around all points: low corner and side.
fn cube<T: Real>(sources: &[T], targets: &[T]) -> ([f64; 3], f64) {
    let around = |points: &[T]| {
        let merge = |[low, high]: [[f64; 3]; 2], [from, to]: [[f64; 3]; 2]| {
            let least = |axis: usize| low[axis].min(from[axis]);
            let most = |axis: usize| high[axis].max(to[axis]);
            [std::array::from_fn(least), std::array::from_fn(most)]
        };
        points
            .par_chunks_exact(4)
            .map(|row| [position(row, None); 2])
            .reduce(|| [[f64::INFINITY; 3], [f64::NEG_INFINITY; 3]], merge)
    };
    let ([low, high], [from, to]) = (around(sources), around(targets));
    let low: [f64; 3] = std::array::from_fn(|axis| low[axis].min(from[axis]));
    let sides = (0..3).map(|axis| high[axis].max(to[axis]) - low[axis]);
    let side = sides.fold(0.0, f64::max);
    if side > 0.0 || low[0].is_finite() { (low, side) } else { ([0.0; 3], 0.0) }
}

/// The Morton key: 21 bits a coordinate, x lowest.
fn key(x: [f64; 3], low: [f64; 3], side: f64) -> u64 {
    let most = (1_u64 << DEPTH) - 1;
    let scale = if side > 0.0 { f64::from(1_u32 << DEPTH) / side } else { 0.0 };
    let bits = |axis: usize| spread((((x[axis] - low[axis]) * scale) as u64).min(most));
    bits(0) | bits(1) << 1 | bits(2) << 2
}

/// Two zeros between the bits.
fn spread(x: u64) -> u64 {
    let x = (x | x << 32) & 0x1f_0000_0000_ffff;
    let x = (x | x << 16) & 0x1f_0000_ff00_00ff;
    let x = (x | x << 8) & 0x100f_00f0_0f00_f00f;
    let x = (x | x << 4) & 0x10c3_0c30_c30c_30c3;
    (x | x << 2) & 0x1249_2492_4924_9249
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clustered cloud in the unit cube, all of it, and an outlier's worth of empty space.
    fn cloud(seed: u64, count: usize) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut row = |at: usize| {
            let scale = [1.0, 0.3, 0.01][at % 3];
            let [x, y, z] = [0; 3].map(|_| random.f64() * scale);
            [x, y, 1.0 - z * 0.999, 1.0]
        };
        (0..count).flat_map(&mut row).collect()
    }

    /// How often each source, in each image, is met by each target's leaf and its ancestors.
    fn meetings(tree: &Tree, leaf: usize) -> Vec<[u8; 27]> {
        let mut met = vec![[0; 27]; tree.sources.len()];
        let mut mark = |cell: usize, image: [i32; 3]| {
            for source in tree.ranges[cell][0]..tree.ranges[cell][1] {
                met[source as usize][slot_of(image)] += 1;
            }
        };
        tree.near(leaf, &mut mark);
        let mut cell = leaf;
        while cell > 1 {
            let [x, y, z, level] = tree.places[cell].map(|x| x as i32);
            tree.far(cell, |source, d| {
                let image = [0, 1, 2].map(|axis| {
                    let place = [x, y, z][axis] - d[axis];
                    assert_eq!(place & ((1 << level) - 1), tree.places[source][axis] as i32);
                    place >> level
                });
                mark(source, image);
            });
            cell = tree.links[cell][0] as usize;
        }
        met
    }

    #[test]
    fn every_pair_is_met_once() {
        let (sources, targets) = (cloud(1, 3000), cloud(2, 500));
        for (targets, periodic, pairs) in [
            (None, None, f64::INFINITY),
            (Some(&targets), None, 100.0),
            (None, Some(1.0), 100.0),
            (Some(&targets), Some(1.0), f64::INFINITY),
        ] {
            let shaping = Shaping { leaf: 20, pairs, least_side: 0.0, periodic };
            let tree = Tree::new(&sources, targets.map(|x| &x[..]), shaping);
            assert!(tree.levels.len() > 6, "{:?}", tree.levels);
            let leaves = (1..=tree.cells()).filter(|&cell| tree.is_leaf(cell));
            let mut held = 0;
            for leaf in leaves.filter(|&cell| tree.ranges[cell][2] < tree.ranges[cell][3]) {
                held += tree.ranges[leaf][3] - tree.ranges[leaf][2];
                for met in meetings(&tree, leaf) {
                    let once = |slot: usize| periodic.is_some() || slot == SELF;
                    assert!((0..27).all(|slot| met[slot] == u8::from(once(slot))), "{met:?}");
                }
            }
            assert_eq!(held as usize, targets.map_or(3000, |x| x.len() / 4));
        }
    }

    #[test]
    fn cells_hold_what_lies_in_them() {
        let sources = cloud(3, 2000);
        let shaping =
            Shaping { leaf: 10, pairs: f64::INFINITY, least_side: 1.0 / 40.0, periodic: None };
        let tree = Tree::new(&sources, None, shaping);
        for cell in 1..=tree.cells() {
            let [from, to, begin, end] = tree.ranges[cell];
            assert_eq!([from, to], [begin, end]);
            let (side, centre) = (tree.side_of(tree.places[cell][3]), tree.centre(cell));
            assert!(side >= 1.0 / 40.0);
            assert!(to - from <= 10 || !tree.is_leaf(cell) || side < 1.0 / 20.0);
            for &row in &tree.sources[from as usize..to as usize] {
                let x = &sources[4 * row as usize..][..3];
                assert!((0..3).all(|i| (x[i] - centre[i]).abs() <= side * 0.500001));
            }
            assert_eq!(tree.colleagues[cell][SELF] as usize, cell);
            for (slot, &met) in tree.colleagues[cell].iter().enumerate().filter(|met| *met.1 > 0) {
                let there = tree.places[met as usize];
                let reached = |i: usize| tree.places[cell][i] as i32 + offset(slot)[i];
                assert!((0..3).all(|i| reached(i) == there[i] as i32));
            }
        }
    }

    #[test]
    fn equal_points_and_none_make_one_cell() {
        let shaping = Shaping { leaf: 1, pairs: f64::INFINITY, least_side: 0.0, periodic: None };
        assert_eq!(Tree::new(&[2.5_f32; 40], None, shaping).cells(), 1);
        assert_eq!(Tree::new::<f32>(&[], None, shaping).cells(), 1);
        // Two equal points beside another: divided as far as it goes.
        let points = [0.0_f32, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let tree = Tree::new(&points, None, shaping);
        assert_eq!(tree.levels.len() as u32, DEPTH + 2);
        assert_eq!(tree.cells() as u32, DEPTH + 2);
    }
}
