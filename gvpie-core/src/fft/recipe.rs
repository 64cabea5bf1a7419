//! How a transform is divided into passes, as plain data.
//!
//! A line that fits a workgroup's memory is one pass. A longer one, of N = n₁·n₂ points, is two
//! (Gentleman & Sande 1966; Bailey 1990): transforms of n₁ points at distance n₂, a product with
//! exp(−2πi·k₁·j₂/N), transforms of n₂ neighbours whose results lie n₁ apart; n₂ is divided again
//! where it is still too long. Lengths with a prime factor above 13 become a cyclic convolution: a
//! prime n, where n − 1 has no such factor, of n − 1 points (Rader 1968), any other of a smooth length
//! from 2n − 1 (Bluestein 1970).
//!
//! Even real lines are half as many complex numbers, and their half spectrum is made where the last
//! pass writes, or the first reads: an element and its mirror are in one line, or of a line that takes
//! two passes in two, which a workgroup works side by side.
//!
//! Passes that follow one another are run chunk by chunk, so that a plan's memory has a bound.

use super::Fft;
use super::bindings::Binding;
use super::passes::Builder;
use super::radix::Stages;
use super::twiddles::Run;
use crate::element::DType;
use crate::error::{Error, Result};

/// What a division depends on, as plain data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// Bytes of memory of a workgroup.
    pub workgroup_storage: usize,
    /// Threads of a workgroup.
    pub invocations: usize,
    pub f64: bool,
    pub binding: Binding,
    pub software: bool,
}

/// An axis of an operand, or a part of one.
pub(super) type Id = usize;

/// Where a pass reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Input,
    Output,
    /// Memory of the plan.
    Space(usize),
}

/// Where the elements of a pass lie.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub place: Place,
    pub offset: usize,
    pub axes: Lay,
}

#[derive(Debug, Clone)]
pub(super) enum Lay {
    /// Strides in elements.
    Strided(Vec<(Id, usize)>),
    /// Dense, with these extents, outermost first.
    Dense(Vec<(Id, usize)>),
}

impl View {
    /// The same with an axis in two parts, of which `inner` counts `count`.
    pub fn split(&self, axis: Id, outer: Id, inner: Id, count: usize) -> View {
        let axes = match &self.axes {
            Lay::Strided(strides) => {
                let parts = |&(id, stride): &(Id, usize)| {
                    if id == axis {
                        vec![(outer, stride.saturating_mul(count)), (inner, stride)]
                    } else {
                        vec![(id, stride)]
                    }
                };
                Lay::Strided(strides.iter().flat_map(parts).collect())
            }
            Lay::Dense(extents) => {
                let parts = |&(id, extent): &(Id, usize)| {
                    if id == axis {
                        vec![(outer, extent / count), (inner, count)]
                    } else {
                        vec![(id, extent)]
                    }
                };
                Lay::Dense(extents.iter().flat_map(parts).collect())
            }
        };
        View { axes, ..self.clone() }
    }

    /// The stride of an axis. Of dense views, those of `only` have another extent than stated.
    pub fn stride(&self, axis: Id, only: Option<(Id, usize)>) -> usize {
        match &self.axes {
            Lay::Strided(strides) => {
                strides.iter().find(|(id, _)| *id == axis).map_or(0, |&(_, stride)| stride)
            }
            Lay::Dense(extents) => {
                let inner = extents.iter().rev().take_while(|(id, _)| *id != axis);
                inner
                    .map(|&(id, extent)| match only {
                        Some((other, count)) if other == id => count,
                        _ => extent,
                    })
                    .product()
            }
        }
    }
}

/// Elements as a pass reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Load {
    #[default]
    Complex,
    Real,
    /// Half the spectrum of real numbers, for all of it.
    Half,
    /// Half the spectrum of 2n real numbers, for n complex ones that pairs of them make.
    Packed,
}

/// Elements as a pass writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Store {
    #[default]
    Complex,
    /// The real part.
    Real,
    /// The reverse of [`Load::Packed`].
    Packed,
}

/// What is done to elements before the transform, in this order.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    pub load: Load,
    /// Points of the whole axis for [`Load::Half`].
    pub length: usize,
    /// Elements of the axis that there are; the rest is zero.
    pub given: Option<usize>,
    pub window: bool,
    /// Exchanges real and imaginary parts where the problem is an inverse.
    pub turned: bool,
    /// Exchanges them.
    pub swapped: bool,
    pub times: Option<Run>,
    /// Which line along these axes, times these, adds to an element's index along the axis.
    pub index: Vec<(Id, usize)>,
    /// And what an element's number in the line is multiplied by for it.
    pub step: usize,
}

impl Before {
    /// The axes that an element's index along the axis depends on, where it matters.
    pub fn indexed(&self) -> &[(Id, usize)] {
        let matters = self.given.is_some()
            || self.window
            || self.times.is_some()
            || matches!(self.load, Load::Half | Load::Packed);
        if matters { &self.index } else { &[] }
    }
}

/// What is done to elements after the transform, in this order.
#[derive(Debug, Clone, Default)]
pub(super) struct After {
    pub swapped: bool,
    pub times: Option<Run>,
    pub turned: bool,
    pub spectrum: bool,
    pub scale: Option<f64>,
    /// Elements of the axis that are kept.
    pub kept: Option<usize>,
    pub store: Store,
    pub index: Vec<(Id, usize)>,
    pub step: usize,
}

impl After {
    /// The axes that an element's index along the axis depends on, where it matters.
    pub fn indexed(&self) -> &[(Id, usize)] {
        let matters = self.kept.is_some()
            || self.spectrum
            || self.times.is_some()
            || self.store == Store::Packed;
        if matters { &self.index } else { &[] }
    }
}

/// Which way [`Pass::pairs`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pairs {
    /// To the half spectrum.
    Forward,
    /// From it.
    Back,
}

/// Transforms of n points along one part of an axis.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub n: usize,
    pub from: View,
    pub from_axis: Id,
    pub to: View,
    pub to_axis: Id,
    /// The other axes, and how many lines there are along each.
    pub lines: Vec<(Id, usize)>,
    pub before: Before,
    pub after: After,
    /// Multiplies by exp(−2πi·k·l/N), l the place along this axis.
    pub twiddle: Option<(Id, usize)>,
    /// A product with this, and the transform back.
    pub product: Option<Run>,
    /// Line l along this axis, of so many lines, is worked beside its mirror, line count − l: between
    /// them they hold the pairs of [`Load::Packed`] and [`Store::Packed`] of an axis that is longer
    /// than a line. Line 0 and the middle one are their own mirrors and stand side by side.
    pub mirror: Option<(Id, usize)>,
    /// No transform, but a step between the half spectrum of 2n real numbers and the spectrum of n
    /// complex ones.
    pub pairs: Option<Pairs>,
    pub stages: Stages,
    /// Lines side by side in a workgroup.
    pub width: usize,
    /// Parts in which lines go through workgroup memory one after another.
    pub rounds: usize,
    /// Whether neighbours in a workgroup are lines rather than elements, when read and when written.
    pub columns: [bool; 2],
}

impl Pass {
    /// The prime length of a transform that is a convolution of one point less: element gᵖ of its
    /// lines is element p of the convolution.
    pub fn prime(&self) -> Option<usize> {
        match self.product {
            Some(Run::PrimeSpectrum { n }) => Some(n),
            _ => None,
        }
    }
}

/// Passes that are run chunk by chunk along an axis.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub passes: Vec<Pass>,
    /// The axis, its extent, and how much of it at a time.
    pub chunk: Option<(Id, usize, usize)>,
}

/// The passes of a transform on a GPU; prints as one line: of each pass its points, their division
/// into radices, the threads of a line, the lines of a workgroup, and whether its neighbours are
/// columns or rows when read and when written. A convolution ends in `~`, and one by Rader's algorithm
/// in the prime length that it is for; `+` is the step between halves of a spectrum, `[…]*2` runs in
/// two chunks.
///
/// ```text
/// [256=16*16/16x16cc 256=16*16/16x16rc]
/// 256=4*4*16/16x16rr~257
/// ```
///
/// Each pass tells its points, their radices, threads of a line × lines of a workgroup, and whether
/// neighbours there are columns or of a row, when read and when written; `:2` stands for two parts in
/// which lines go through workgroup memory, `~` for a convolution (of a prime length, which follows),
/// `|` for lines beside their mirrors. `n+` is a pass between pairs of real numbers and their half
/// spectrum.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub(super) groups: Vec<Group>,
    /// Elements of each memory of the plan.
    pub(super) spaces: Vec<usize>,
}

impl PartialEq for Recipe {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string() && self.spaces == other.spaces
    }
}

impl std::fmt::Display for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, group) in self.groups.iter().enumerate() {
            write!(f, "{}", if i > 0 { " " } else { "" })?;
            let several = group.passes.len() > 1 || group.chunk.is_some();
            f.write_str(if several { "[" } else { "" })?;
            for (i, pass) in group.passes.iter().enumerate() {
                write!(f, "{}", if i > 0 { " " } else { "" })?;
                if pass.pairs.is_some() {
                    write!(f, "{}+", pass.n)?;
                    continue;
                }
                let radices: Vec<String> =
                    pass.stages.radices.iter().map(usize::to_string).collect();
                let ways = pass.columns.map(|columns| if columns { "c" } else { "r" });
                write!(f, "{}={}", pass.n, radices.join("*"))?;
                write!(f, "/{}x{}{}{}", pass.stages.threads, pass.width, ways[0], ways[1])?;
                if pass.rounds > 1 {
                    write!(f, ":{}", pass.rounds)?;
                }
                if pass.product.is_some() {
                    f.write_str("~")?;
                }
                if let Some(prime) = pass.prime() {
                    write!(f, "{prime}")?;
                }
                if pass.mirror.is_some() {
                    f.write_str("|")?;
                }
            }
            f.write_str(if several { "]" } else { "" })?;
            if let Some((_, extent, each)) = group.chunk {
                write!(f, "*{}", extent.div_ceil(each))?;
            }
        }
        Ok(())
    }
}

/// Bytes that passes leave to the next at a time, which a plan holds memory for. As much as a cache
/// holds would spare memory traffic, but each chunk's dispatches begin and end with idle processors:
/// on an H100, with 50 MB of cache, 2^16 points ran at 1040 GB/s in chunks of 16 MB and at 1450 in
/// one of 256.
const CHUNK: usize = 256 << 20;

/// The strides of an operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Side {
    pub strides: Vec<usize>,
    pub offset: usize,
}

impl Recipe {
    /// For a checked problem whose operands lie so. Pure.
    pub(super) fn choose(problem: &Fft, facts: &Facts, x: &Side, y: &Side) -> Result<Self> {
        if problem.precision == DType::F64 && !facts.f64 {
            return Err(Error::unsupported(
                "an FFT of f64 on this GPU",
                "its driver lacks shader-f64; use f32 or the cpu backend",
            ));
        }
        let size = if problem.precision == DType::F64 { 16 } else { 8 };
        let rank = problem.shape.rank();
        let mut builder = Builder { facts, size, next: rank, passes: Vec::new(), spaces: 0 };
        builder.problem(problem, x, y)?;
        let Builder { passes, spaces, .. } = builder;
        let groups = group(passes, size);
        let mut recipe = Recipe { groups, spaces: vec![0; spaces] };
        recipe.measure();
        Ok(recipe)
    }

    /// What each memory must hold.
    fn measure(&mut self) {
        for (g, group) in self.groups.iter().enumerate() {
            for pass in &group.passes {
                for view in [&pass.from, &pass.to] {
                    let local = local(&self.groups, g, view.place);
                    let only = group.chunk.filter(|_| local).map(|(id, _, each)| (id, each));
                    if let (Place::Space(i), Lay::Dense(extents)) = (view.place, &view.axes) {
                        let held: usize = extents
                            .iter()
                            .map(|&(id, extent)| match only {
                                Some((chunked, each)) if chunked == id => each,
                                _ => extent,
                            })
                            .product();
                        self.spaces[i] = self.spaces[i].max(held);
                    }
                }
            }
        }
    }
}

/// Whether only the passes of a group use a memory, so that it holds one chunk at a time.
pub(super) fn local(groups: &[Group], group: usize, place: Place) -> bool {
    matches!(place, Place::Space(_))
        && groups.iter().enumerate().all(|(g, other)| {
            g == group || other.passes.iter().all(|p| p.from.place != place && p.to.place != place)
        })
}

/// Divides passes into groups that a chunk of each of which stays in the cache.
fn group(passes: Vec<Pass>, size: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut rest: std::collections::VecDeque<Pass> = passes.into();
    while !rest.is_empty() {
        let mut taken = 1;
        let mut chunk = None;
        for count in 2..=rest.len() {
            let Some(found) = chunkable(rest.iter().take(count), size) else { break };
            (taken, chunk) = (count, Some(found));
        }
        let chunk = chunk.filter(|&(_, extent, each)| each < extent);
        groups.push(Group { passes: rest.drain(..taken).collect(), chunk });
    }
    groups
}

/// The axis along which all of these passes have lines, if as little as one of them at a time fits
/// the cache: the one with most to divide. Chunks are whole numbers of workgroups' widths.
fn chunkable<'a>(
    passes: impl Iterator<Item = &'a Pass> + Clone,
    size: usize,
) -> Option<(Id, usize, usize)> {
    let first = passes.clone().next()?;
    let candidates = first.lines.iter().filter(|(id, _)| {
        passes.clone().all(|pass| {
            let lines = pass.lines.iter().any(|(other, _)| other == id);
            lines
                && pass.twiddle.is_none_or(|(other, _)| other != *id)
                && !pass.before.index.iter().chain(&pass.after.index).any(|(other, _)| other == id)
        })
    });
    let all = |pass: &Pass| pass.n * pass.lines.iter().map(|&(_, count)| count).product::<usize>();
    let most = passes.clone().map(all).max()?;
    candidates
        .filter_map(|&(id, extent)| {
            let each = (most / extent).saturating_mul(size);
            // Neighbouring lines are read together.
            let least = passes
                .clone()
                .filter(|pass| {
                    pass.columns.contains(&true)
                        && [&pass.from, &pass.to].iter().any(|view| view.stride(id, None) == 1)
                })
                .map(|pass| pass.width.max(16))
                .max()
                .unwrap_or(1);
            let fits = (CHUNK / each.max(1)) / least * least;
            (fits > 0).then_some((id, extent, fits.min(extent)))
        })
        .max_by_key(|&(_, extent, _)| extent)
}
