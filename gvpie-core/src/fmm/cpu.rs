//! The fast multipole method on the host.

use super::Boundary;
use super::harmonics::{Recurrence, gradient, terms};
use super::operators::{KINDS, Operators, kind, mirror};
use super::pairs::{Bodies, Float, LANES, Tile, vectorised};
use super::periodic::{Surface, check_charge, octants};
use super::plan::{Algorithm, Report, Settings};
use super::translation::{Batch, Matrices, Step};
use super::tree::{Shaping, Tree, position};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::time::Instant;

/// Targets of a task.
const TARGETS: usize = 128;

/// Cells of a task of translations at most.
const CELLS: usize = 128;

/// Points whose charges and moments are summed apart, whatever the number of threads.
const BLOCK: usize = 4096;

/// Potentials and gradients at the targets, or at the sources themselves.
pub(super) fn evaluate<T: Float>(
    settings: &Settings,
    sources: &[T],
    targets: Option<&[T]>,
    result: &mut [T],
) -> Result<Report> {
    finite(sources, 4, "the points")?;
    finite(targets.unwrap_or(&[]), 3, "the targets")?;
    match settings.algorithm {
        Algorithm::Direct => Ok(direct(settings.softening, sources, targets, result)),
        Algorithm::Fmm { order, leaf } => {
            let start = Instant::now();
            let (periodic, surface) = match settings.boundary {
                Boundary::Free => (None, Surface::default()),
                Boundary::Periodic { side, background } => {
                    let (surface, magnitude) = moments(sources, side);
                    if !background {
                        check_charge(surface.charge, magnitude, T::ROUNDOFF)?;
                    }
                    (Some(side), surface)
                }
            };
            let shaping = Shaping {
                leaf,
                pairs: settings.pairs,
                least_side: settings.least_side(),
                periodic,
            };
            let tree = Tree::new(sources, targets, shaping);
            let softening = settings.softening;
            let sum = Sum::new(softening, periodic, surface, order, &tree, sources, targets);
            let built = start.elapsed();
            let report = sum.run(result);
            Ok(Report { tree: built, evaluation: start.elapsed() - built, ..report })
        }
    }
}

/// Refuses the first number that is not one; of targets, charges are not read.
fn finite<T: Float>(points: &[T], read: usize, operand: &str) -> Result<()> {
    let bad = |row: &[T]| row[..read].iter().position(|x| !x.wide().is_finite());
    let rows = points.par_chunks_exact(4).enumerate();
    match rows.find_first(|(_, row)| bad(row).is_some()) {
        None => Ok(()),
        Some((at, row)) => {
            let column = bad(row).unwrap_or(0);
            Err(Error::Value {
                operand: format!("{operand}, row {at}"),
                expected: "finite numbers".into(),
                found: format!("{} in {}", row[column].wide(), ["x", "y", "z", "q"][column]),
            })
        }
    }
}

/// What the points of a cube of this edge have of its quadratic term, and Σ |q|.
fn moments<T: Float>(points: &[T], side: f64) -> (Surface, f64) {
    let add = |(surface, magnitude): (Surface, f64), row: &[T]| {
        let charge = row[3].wide();
        let v = position(row, Some(side)).map(|x| x / side - 0.5);
        (surface + Surface::of(v, charge), magnitude + charge.abs())
    };
    let block = |rows: &[T]| rows.chunks_exact(4).fold((Surface::default(), 0.0), add);
    let blocks: Vec<_> = points.par_chunks(4 * BLOCK).map(block).collect();
    blocks.into_iter().fold((Surface::default(), 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
}

/// A power of two that takes a length near 1, so that its powers neither overflow nor vanish.
fn unit(length: f64) -> f64 {
    if length.is_normal() { (-length.log2().floor()).exp2() } else { 1.0 }
}

/// Points in units of 1/`scale`, in the order given.
fn gather<T: Float>(
    points: &[T],
    order: Option<&[u32]>,
    periodic: Option<f64>,
    scale: f64,
) -> Bodies<T> {
    let count = points.len() / 4;
    let column = |axis: usize| {
        let row = |at: usize| {
            let row = order.map_or(at, |order| order[at] as usize);
            let point = &points[4 * row..4 * row + 4];
            match axis {
                3 => point[3],
                _ => T::narrow(position(point, periodic)[axis] * scale),
            }
        };
        (0..count).into_par_iter().with_min_len(4096).map(row).collect()
    };
    Bodies(std::array::from_fn(column))
}

/// Rows of a result from sums in units of 1/`scale`.
fn finish<T: Float>(sum: [f64; 4], scale: f64) -> [T; 4] {
    let [potential, x, y, z] = sum.map(|sum| sum * scale);
    [T::narrow(potential), T::narrow(x * scale), T::narrow(y * scale), T::narrow(z * scale)]
}

/// Every pair.
fn direct<T: Float>(
    softening: f64,
    sources: &[T],
    targets: Option<&[T]>,
    result: &mut [T],
) -> Report {
    let start = Instant::now();
    let targets = targets.unwrap_or(sources);
    let extent = |points: &[T]| {
        let first = position(&points[..4], None);
        let far = |row: &[T]| {
            let x = position(row, None);
            (0..3).map(|axis| (x[axis] - first[axis]).abs()).fold(0.0, f64::max)
        };
        points.par_chunks_exact(4).map(far).reduce(|| 0.0, f64::max)
    };
    let scale = unit(if targets.is_empty() { 0.0 } else { extent(targets) });
    let (bodies, places) = (gather(sources, None, None, scale), gather(targets, None, None, scale));
    let square = T::narrow((softening * scale).powi(2));
    let task = |tile: &mut Tile<T>, (at, out): (usize, &mut [T])| {
        let count = out.len() / 4;
        let here = targets_at(&places, at * TARGETS..at * TARGETS + count, None);
        let mut sums = [[0.0; 4]; TARGETS];
        vectorised::<T, _>(|| {
            tile.stream(&bodies, 0..sources.len() / 4, None, &here, square, &mut sums);
            tile.act(&here, square, &mut sums);
        });
        for (out, sum) in out.chunks_exact_mut(4).zip(sums) {
            out.copy_from_slice(&finish(sum, scale));
        }
    };
    let tasks = result.par_chunks_mut(4 * TARGETS).enumerate();
    tasks.for_each_init(Tile::new, task);
    let pairs = (sources.len() / 4) as u64 * (targets.len() / 4) as u64;
    Report { pairs, evaluation: start.elapsed(), ..Report::default() }
}

/// Places of a range of points, moved by `by`.
fn targets_at<T: Float>(
    Bodies([x, y, z, _]): &Bodies<T>,
    range: std::ops::Range<usize>,
    by: Option<[f64; 3]>,
) -> Vec<[T; 3]> {
    let place = |at: usize| {
        let place = [x[at], y[at], z[at]];
        match by {
            Some(by) => std::array::from_fn(|i| T::narrow(place[i].wide() + by[i])),
            None => place,
        }
    };
    range.map(place).collect()
}

/// One evaluation. Lengths are in units of 1/`scale`.
struct Sum<'a, T> {
    tree: &'a Tree,
    order: usize,
    terms: usize,
    scale: f64,
    periodic: Option<f64>,
    /// Of a periodic cube.
    surface: Surface,
    /// ε².
    softening: T,
    sources: Bodies<T>,
    /// `None`: the sources.
    targets: Option<Bodies<T>>,
    recurrence: Recurrence<T>,
    /// Axis, from, to and factor of the terms of a gradient.
    slopes: Vec<(usize, usize, usize, T)>,
}

/// A range of the targets of a leaf, and where their sums go.
struct Task<'a, T> {
    leaf: usize,
    range: std::ops::Range<usize>,
    out: &'a mut [[T; 4]],
}

/// What a thread works in.
struct Scratch<T> {
    tile: Tile<T>,
    harmonics: Vec<[T; LANES]>,
    slopes: [Vec<T>; 3],
}

impl<'a, T: Float> Sum<'a, T> {
    fn new(
        softening: f64,
        periodic: Option<f64>,
        surface: Surface,
        order: usize,
        tree: &'a Tree,
        sources: &[T],
        targets: Option<&[T]>,
    ) -> Self {
        let scale = unit(tree.side);
        let slope = gradient(order).into_iter();
        let slopes = slope.map(|s| (s.axis, s.from, s.to, T::narrow(s.factor))).collect();
        Sum {
            tree,
            order,
            terms: terms(order),
            scale,
            periodic: periodic.map(|side| side * scale),
            surface,
            softening: T::narrow((softening * scale).powi(2)),
            sources: gather(sources, Some(&tree.sources), periodic, scale),
            targets: targets
                .map(|targets| gather(targets, tree.targets.as_deref(), periodic, scale)),
            recurrence: Recurrence::new(order),
            slopes,
        }
    }

    fn run(&self, result: &mut [T]) -> Report {
        let operators = Operators::of(self.order);
        let narrow = |x: &[f64]| x.iter().map(|&x| T::narrow(x)).collect::<Vec<_>>();
        let mut multipoles = self.p2m();
        let mirrors = narrow(&operators.mirrors);
        let matrices = |entries, transposed| Matrices {
            terms: self.terms,
            entries,
            transposed,
            mirrors: &mirrors,
        };
        let m2m = narrow(&operators.m2m);
        self.m2m(matrices(&m2m, false), &mut multipoles);
        let mut locals = vec![T::default(); multipoles.len()];
        let octants = self.periodic.map(|_| narrow(&octants(self.order)));
        if let Some(octants) = &octants {
            self.images(matrices(octants, false), &multipoles, &mut locals);
        }
        let (m2l, l2l) = (narrow(&operators.m2l), narrow(&operators.l2l));
        let translations =
            self.descend(matrices(&m2l, true), matrices(&l2l, false), &multipoles, &mut locals);
        let pairs = self.leaves(&locals, result);
        let tree = self.tree;
        Report {
            levels: tree.levels.len() - 1,
            cells: tree.cells(),
            leaves: (1..=tree.cells()).filter(|&cell| tree.is_leaf(cell)).count(),
            translations,
            pairs,
            ..Report::default()
        }
    }

    /// Centre and side of a cell.
    fn cell(&self, cell: usize) -> ([f64; 3], f64) {
        let side = self.tree.side_of(self.tree.places[cell][3]) * self.scale;
        // All points equal: every u is 0.
        let side = if side > 0.0 { side } else { 1.0 };
        (self.tree.centre(cell).map(|x| x * self.scale), side)
    }

    /// u of up to as many points as there are lanes; the rest lie at 0.
    #[inline(always)]
    fn lanes(
        bodies: &Bodies<T>,
        range: std::ops::Range<usize>,
        (centre, side): ([f64; 3], f64),
    ) -> [[T; LANES]; 3] {
        let mut u = [[T::default(); LANES]; 3];
        let inverse = side.recip();
        for axis in 0..3 {
            for (u, x) in u[axis].iter_mut().zip(&bodies.0[axis][range.clone()]) {
                *u = T::narrow((x.wide() - centre[axis]) * inverse);
            }
        }
        u
    }

    /// Multipole expansions of the leaves.
    fn p2m(&self) -> Vec<T> {
        let n = self.terms;
        let mut multipoles = vec![T::default(); self.tree.places.len() * n];
        let leaf = |harmonics: &mut Vec<[T; LANES]>, (cell, out): (usize, &mut [T])| {
            let [begin, end, ..] = self.tree.ranges[cell].map(|at| at as usize);
            if !self.tree.is_leaf(cell) || begin == end {
                return;
            }
            let frame = self.cell(cell);
            vectorised::<T, _>(|| {
                for at in (begin..end).step_by(LANES) {
                    let range = at..end.min(at + LANES);
                    let u = Self::lanes(&self.sources, range.clone(), frame);
                    let mut q = [T::default(); LANES];
                    q[..range.len()].copy_from_slice(&self.sources.0[3][range]);
                    self.recurrence.regular(&u, harmonics);
                    for (out, harmonic) in out.iter_mut().zip(&*harmonics) {
                        let mut pairs = [T::default(); LANES / 2];
                        for (w, pair) in pairs.iter_mut().enumerate() {
                            *pair = harmonic[w] * q[w] + harmonic[w + LANES / 2] * q[w + LANES / 2];
                        }
                        *out += (pairs[0] + pairs[2]) + (pairs[1] + pairs[3]);
                    }
                }
            });
        };
        let cells = multipoles.par_chunks_exact_mut(n).enumerate().with_min_len(32);
        cells.for_each_init(|| vec![[T::default(); LANES]; n], leaf);
        multipoles
    }

    /// Cells of a task, of a level of so many.
    fn block(cells: usize) -> usize {
        (cells / (4 * rayon::current_num_threads())).clamp(8, CELLS)
    }

    /// Multipole expansions of divided cells from those of their children, deepest first.
    fn m2m(&self, matrices: Matrices<'_, T>, multipoles: &mut [T]) {
        let n = self.terms;
        for level in self.tree.levels.windows(3).rev() {
            let (above, below) = multipoles.split_at_mut(level[1] * n);
            let cells = level[1] - level[0];
            let block = Self::block(cells);
            let task = |batch: &mut Batch<T>, (at, out): (usize, &mut [T])| {
                let first = level[0] + at * block;
                for to in 0..out.len() / n {
                    let [_, child, mask] = self.tree.links[first + to];
                    let octants = (0..8).filter(|octant| mask >> octant & 1 == 1);
                    for (from, octant) in (child..).zip(octants) {
                        let [begin, end, ..] = self.tree.ranges[from as usize];
                        if begin < end {
                            let from = from - level[1] as u32;
                            batch.push(octant, Step { from, to: to as u32, mirror: 0 });
                        }
                    }
                }
                batch.apply(matrices, below, out);
            };
            let blocks = above[level[0] * n..].par_chunks_mut(block * n).enumerate();
            blocks.for_each_init(|| Batch::new(n, 8), task);
        }
    }

    /// What far images of the root's children do to these.
    fn images(&self, matrices: Matrices<'_, T>, multipoles: &[T], locals: &mut [T]) {
        let &[_, first, end, ..] = &self.tree.levels[..] else { return };
        let mut batch = Batch::new(self.terms, 8);
        for to in first..end {
            for from in first..end {
                let place = |cell: usize| self.tree.places[cell].map(|x| x as i32);
                let d = [0, 1, 2].map(|axis| place(to)[axis] - place(from)[axis]);
                let matrix = (0..3).map(|axis| usize::from(d[axis] != 0) << axis).sum();
                let mirror = mirror(d) as u32;
                batch.push(matrix, Step { from: from as u32, to: to as u32, mirror });
            }
        }
        batch.apply(matrices, multipoles, locals);
    }

    /// Local expansions: of each level, from the multipoles around and from the level above.
    fn descend(
        &self,
        m2l: Matrices<'_, T>,
        l2l: Matrices<'_, T>,
        multipoles: &[T],
        locals: &mut [T],
    ) -> u64 {
        let n = self.terms;
        let mut translations = 0;
        for level in self.tree.levels[1..].windows(2) {
            let (above, own) = locals.split_at_mut(level[0] * n);
            let own = &mut own[..(level[1] - level[0]) * n];
            let block = Self::block(level[1] - level[0]);
            let task = |(far, down): &mut (Batch<T>, Batch<T>), (at, out): (usize, &mut [T])| {
                let mut count = 0;
                for to in 0..out.len() / n {
                    let cell = level[0] + at * block + to;
                    let [.., begin, end] = self.tree.ranges[cell];
                    if begin == end {
                        continue;
                    }
                    let to = to as u32;
                    self.tree.far(cell, |from, d| {
                        let [begin, end, ..] = self.tree.ranges[from];
                        if begin < end {
                            // The transposed matrices are those of −d.
                            let mirror = mirror(d.map(|d| -d)) as u32;
                            far.push(kind(d), Step { from: from as u32, to, mirror });
                            count += 1;
                        }
                    });
                    let [x, y, z, _] = self.tree.places[cell].map(|x| x as usize & 1);
                    let from = self.tree.links[cell][0];
                    down.push(x + 2 * y + 4 * z, Step { from, to, mirror: 0 });
                }
                far.apply(m2l, multipoles, out);
                down.apply(l2l, above, out);
                count
            };
            let blocks = own.par_chunks_mut(block * n).enumerate();
            let scratch = || (Batch::new(n, KINDS), Batch::new(n, 8));
            translations += blocks.map_init(scratch, task).sum::<u64>();
        }
        translations
    }

    /// Sums at the targets of all leaves: local expansions, and what is near; returns the pairs.
    fn leaves(&self, locals: &[T], result: &mut [T]) -> u64 {
        let tree = self.tree;
        let rows = result.len() / 4;
        let mut sorted = vec![[T::default(); 4]; rows];
        let occupied =
            |&cell: &usize| tree.is_leaf(cell) && tree.ranges[cell][2] < tree.ranges[cell][3];
        let mut leaves: Vec<usize> = (1..=tree.cells()).filter(occupied).collect();
        leaves.sort_unstable_by_key(|&cell| tree.ranges[cell][2]);
        let mut tasks = Vec::with_capacity(leaves.len());
        let mut rest = &mut sorted[..];
        for leaf in leaves {
            let [.., begin, end] = tree.ranges[leaf].map(|at| at as usize);
            for at in (begin..end).step_by(TARGETS) {
                let range = at..end.min(at + TARGETS);
                let (out, after) = rest.split_at_mut(range.len());
                rest = after;
                tasks.push(Task { leaf, range, out });
            }
        }
        let scratch = || Scratch {
            tile: Tile::new(),
            harmonics: vec![[T::default(); LANES]; self.terms],
            slopes: std::array::from_fn(|_| vec![T::default(); terms(self.order - 1)]),
        };
        let run = |scratch: &mut Scratch<T>, task: Task<'_, T>| self.leaf(scratch, task, locals);
        let pairs = tasks.into_par_iter().map_init(scratch, run).sum();
        let order = tree.targets.as_ref().unwrap_or(&tree.sources);
        for (&row, sum) in order.iter().zip(sorted) {
            result[4 * row as usize..][..4].copy_from_slice(&sum);
        }
        pairs
    }

    /// Sums at some targets of a leaf.
    fn leaf(&self, scratch: &mut Scratch<T>, task: Task<'_, T>, locals: &[T]) -> u64 {
        let targets = self.targets.as_ref().unwrap_or(&self.sources);
        let mut sums = [[0.0; 4]; TARGETS];
        let sums = &mut sums[..task.range.len()];
        let frame = self.cell(task.leaf);
        let local = &locals[task.leaf * self.terms..][..self.terms];
        let mut near = 0;
        let own = targets_at(targets, task.range.clone(), None);
        // Images meet their targets in coordinates of the leaf: far from 0, those of the cube are
        // too coarse.
        let moved = targets_at(targets, task.range.clone(), Some(frame.0.map(|x| -x)));
        vectorised::<T, _>(|| {
            self.l2p(scratch, targets, task.range.clone(), frame, local, sums);
            for images in [false, true] {
                let here = if images { &moved } else { &own };
                self.tree.near(task.leaf, |cell, image| {
                    if (image != [0; 3]) != images {
                        return;
                    }
                    let [begin, end, ..] = self.tree.ranges[cell].map(|at| at as usize);
                    near += end - begin;
                    let side = self.periodic.unwrap_or(0.0);
                    let by = images
                        .then(|| std::array::from_fn(|i| f64::from(image[i]) * side - frame.0[i]));
                    let tile = &mut scratch.tile;
                    tile.stream(&self.sources, begin..end, by, here, self.softening, sums);
                });
                scratch.tile.act(here, self.softening, sums);
            }
        });
        for (at, (out, sum)) in task.range.clone().zip(task.out.iter_mut().zip(sums)) {
            if let Some(side) = self.periodic {
                let u = [0, 1, 2].map(|axis| targets.0[axis][at].wide() / side - 0.5);
                self.surface.add_to(sum, u, side);
            }
            *out = finish(*sum, self.scale);
        }
        near as u64 * task.range.len() as u64
    }

    /// Adds the local expansion of a leaf at its targets.
    #[inline(always)]
    fn l2p(
        &self,
        scratch: &mut Scratch<T>,
        targets: &Bodies<T>,
        range: std::ops::Range<usize>,
        frame: ([f64; 3], f64),
        local: &[T],
        sums: &mut [[f64; 4]],
    ) {
        let Scratch { harmonics, slopes, .. } = scratch;
        for slopes in &mut *slopes {
            slopes.fill(T::default());
        }
        for &(axis, from, to, factor) in &self.slopes {
            slopes[axis][to] += factor * local[from];
        }
        let inverse = frame.1.recip();
        let units = [inverse, inverse * inverse, inverse * inverse, inverse * inverse];
        for (at, sums) in range.clone().step_by(LANES).zip(sums.chunks_mut(LANES)) {
            let u = Self::lanes(targets, at..range.end.min(at + LANES), frame);
            self.recurrence.regular(&u, harmonics);
            let dot = |coefficients: &[T]| {
                let mut sum = [T::default(); LANES];
                for (harmonic, &factor) in harmonics.iter().zip(coefficients) {
                    for w in 0..LANES {
                        sum[w] += harmonic[w] * factor;
                    }
                }
                sum
            };
            let parts = [dot(local), dot(&slopes[0]), dot(&slopes[1]), dot(&slopes[2])];
            for (w, sum) in sums.iter_mut().enumerate() {
                for column in 0..4 {
                    sum[column] += parts[column][w].wide() * units[column];
                }
            }
        }
    }
}
