//! The tree on the GPU: its memory, how it is built there, and what the host is told of it.

use super::pairs::Float;
use super::periodic::{Surface, check_charge};
use super::plan::Settings;
use super::rendering::{self, Points};
use super::{Boundary, plan::Algorithm, rendering::Tree};
use crate::batch::{Batch, Bindings};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernel::Pipeline;
use crate::shader::Access::{Read, ReadWrite};
use crate::sort::Sort;
use crate::sort::SortPlan;
use crate::tensor::Tensor;
use std::ops::RangeInclusive;

/// Threads of the kernels for points and cells.
const THREADS: usize = 256;

/// Workgroups that loop over however many points or cells there are.
const GROUPS: usize = 1024;

/// Cells that a workgroup of `divide` and `grow` takes at a time.
const BLOCK: usize = 32;

/// Blocks of points whose bounds are found apart, at most.
const BLOCKS: usize = 512;

/// Words of the tally.
const TALLY: usize = 64;

/// Where the moments of a periodic cube stand in the tally.
const MOMENTS: usize = 53;

/// Levels that keys of one word and of two have, the root's not counted.
pub(super) const LEVELS: [usize; 2] = [10, 20];

/// Sources near a cell beyond which it is divided whatever it holds: about as many as a workgroup
/// sums in the time that all of an H100 takes for a million bodies.
const CROWD: u32 = 1 << 16;

/// Compiled kernels for keys of so many words.
#[derive(Debug, Clone)]
pub(super) struct Kernels {
    reset: Pipeline,
    bounds: Pipeline,
    frame: Pipeline,
    /// `None` for direct sums.
    growing: Option<Growing>,
}

/// Those of the tree itself.
#[derive(Debug, Clone)]
struct Growing {
    keys: Pipeline,
    gather: Pipeline,
    meet: Pipeline,
    divide: Pipeline,
    offsets: Pipeline,
    grow: Pipeline,
    count: Pipeline,
}

impl Kernels {
    /// `apart` where targets are not the sources.
    pub fn new(ctx: &Context, words: usize, apart: bool, settings: &Settings) -> Result<Self> {
        let periodic = settings.boundary != Boundary::Free;
        let points = |entry| ctx.pipeline(&rendering::points(entry, words, periodic));
        let tree = |entry| ctx.pipeline(&rendering::tree(entry, words, apart));
        let growing = || {
            Ok::<_, Error>(Growing {
                keys: points("keys")?,
                gather: points("gather")?,
                meet: tree("meet")?,
                divide: tree("divide")?,
                offsets: tree("offsets")?,
                grow: tree("grow")?,
                count: tree("count")?,
            })
        };
        let whole = matches!(settings.algorithm, Algorithm::Fmm { .. });
        Ok(Kernels {
            reset: points("reset")?,
            bounds: points("bounds")?,
            frame: points("frame")?,
            growing: whole.then(growing).transpose()?,
        })
    }
}

/// Points of one kind.
#[derive(Debug)]
pub(super) struct Members {
    pub count: usize,
    /// In the order of the tree.
    pub sorted: Buffer,
    pub order: Tensor<u32>,
    keys: Tensor<u32>,
    sort: SortPlan,
}

/// The memory of a tree.
#[derive(Debug)]
pub(super) struct Resident {
    kernels: Kernels,
    words: usize,
    /// Room for cells and for chunks.
    room: [usize; 2],
    /// The level down to which cells are divided before the host looks whether that is all.
    expected: usize,
    pub sources: Members,
    /// Where they are not the sources.
    pub targets: Option<Members>,
    extents: Buffer,
    frames: Buffer,
    tally: Buffer,
    pub cells: Buffer,
    pub colleagues: Buffer,
    pub chunks: Buffer,
    pub parents: Buffer,
    cuts: Buffer,
    sums: Buffer,
}

/// What the host knows of a tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Outline {
    /// First cell of each level, and the end of the last; cell 0 is none.
    pub levels: Vec<usize>,
    pub chunks: usize,
    pub parents: usize,
    pub leaves: usize,
    pub translations: u64,
    pub pairs: u64,
    /// Corner and edge of the root, in scaled coordinates.
    pub low: [f32; 3],
    pub side: f32,
    /// What coordinates are multiplied by.
    pub scale: f32,
    /// Of a periodic cube; else 0.
    pub surface: Surface,
    overfull: bool,
    overflow: bool,
    /// The level whose cells nobody has divided yet, if there is one.
    growing: Option<usize>,
}

impl Outline {
    /// Cells with the one that stands for none.
    pub fn cells(&self) -> usize {
        self.levels.last().copied().unwrap_or(1)
    }
}

fn buffer(ctx: &Context, bytes: usize, what: &str) -> Result<Buffer> {
    Buffer::zeroed(ctx.device(), bytes as u64, what)
}

impl Members {
    fn new(ctx: &Context, count: usize, words: usize) -> Result<Self> {
        let sort = Sort::new(count).words(words).bits((30 * words + 2 * (words - 1)) as u32);
        Ok(Members {
            count,
            sorted: buffer(ctx, 16 * count, "sorted points")?,
            order: ctx.zeros([count])?,
            keys: ctx.zeros(sort.keys_shape())?,
            sort: sort.plan(ctx)?,
        })
    }
}

impl Resident {
    /// Memory for keys of one word, and for as many cells as evenly spread points ask for.
    pub fn new(
        ctx: &Context,
        sources: usize,
        targets: Option<usize>,
        settings: &Settings,
        kernels: &Kernels,
    ) -> Result<Self> {
        let leaf = match settings.algorithm {
            Algorithm::Fmm { leaf, .. } => leaf,
            Algorithm::Direct => usize::MAX,
        };
        let points = sources.max(targets.unwrap_or(0));
        // Leaves are a quarter full on the average; each level has an eighth of the next one's cells.
        let leaves = 4 * points / leaf.max(1) + 64;
        let cells = leaves + leaves / 4 + 1024;
        let chunks = targets.unwrap_or(sources) / rendering::CHUNK + leaves;
        let mut tree = Self::with_room(ctx, kernels, sources, targets, 1, [cells, chunks])?;
        // Evenly spread points, and a level more.
        let mut held = points;
        while held > leaf && tree.expected < LEVELS[0] {
            (held, tree.expected) = (held / 8, tree.expected + 1);
        }
        Ok(tree)
    }

    fn with_room(
        ctx: &Context,
        kernels: &Kernels,
        sources: usize,
        targets: Option<usize>,
        words: usize,
        [cells, chunks]: [usize; 2],
    ) -> Result<Self> {
        Ok(Resident {
            kernels: kernels.clone(),
            words,
            room: [cells, chunks],
            expected: 1,
            sources: Members::new(ctx, sources, words)?,
            targets: targets.map(|count| Members::new(ctx, count, words)).transpose()?,
            extents: buffer(ctx, 2 * 2 * BLOCKS * 16, "bounds of points")?,
            frames: buffer(ctx, 48, "the tree's cube")?,
            tally: buffer(ctx, 4 * TALLY, "the tree's tally")?,
            cells: buffer(ctx, 48 * cells, "cells")?,
            colleagues: buffer(ctx, 4 * 27 * cells, "colleagues of cells")?,
            chunks: buffer(ctx, 8 * chunks, "chunks of targets")?,
            parents: buffer(ctx, 4 * cells, "divided cells")?,
            cuts: buffer(ctx, 64 * cells, "divisions of cells")?,
            sums: buffer(ctx, 16 * (cells.div_ceil(BLOCK) + 1), "sums over cells")?,
        })
    }

    /// The targets, or the sources where these are.
    pub fn evaluated(&self) -> &Members {
        self.targets.as_ref().unwrap_or(&self.sources)
    }

    /// Builds the tree of these points, with more room or finer keys where they need it, and waits
    /// for its outline.
    pub fn build(
        &mut self,
        ctx: &Context,
        settings: &Settings,
        points: &Buffer,
        targets: Option<&Buffer>,
    ) -> Result<Outline> {
        loop {
            let mut batch = ctx.batch("fmm tree");
            self.record(&mut batch, ctx, settings, points, targets)?;
            self.record_levels(&mut batch, settings, 0..=self.expected)?;
            batch.submit()?;
            let mut outline = self.outline(settings, points, targets)?;
            if let Some(level) = outline.growing {
                let mut batch = ctx.batch("fmm deeper tree");
                self.record_levels(&mut batch, settings, level..=LEVELS[self.words - 1])?;
                batch.submit()?;
                outline = self.outline(settings, points, targets)?;
            }
            let (mut words, mut room) = (self.words, self.room);
            if outline.overflow {
                room = room.map(|room| 2 * room);
            } else if outline.overfull && words == 1 {
                words = 2;
                self.kernels = Kernels::new(ctx, words, self.targets.is_some(), settings)?;
            } else {
                // Points that move a little may ask for a level more.
                self.expected = (outline.levels.len() - 1).min(LEVELS[words - 1]);
                return Ok(outline);
            }
            let counts = (self.sources.count, self.targets.as_ref().map(|t| t.count));
            let expected = if words == self.words { self.expected } else { LEVELS[words - 1] };
            *self = Self::with_room(ctx, &self.kernels, counts.0, counts.1, words, room)?;
            self.expected = expected;
        }
    }

    /// Bounds, finiteness and the cube alone, for direct sums.
    pub fn frame(
        &self,
        ctx: &Context,
        settings: &Settings,
        points: &Buffer,
        targets: Option<&Buffer>,
    ) -> Result<Outline> {
        let mut batch = ctx.batch("fmm frame");
        self.record_frame(&mut batch, settings, points, targets)?;
        batch.submit()?;
        self.outline(settings, points, targets)
    }

    fn record_frame(
        &self,
        batch: &mut Batch,
        settings: &Settings,
        points: &Buffer,
        targets: Option<&Buffer>,
    ) -> Result<()> {
        let Kernels { reset, bounds, frame, .. } = &self.kernels;
        let bindings = Bindings::new().buffer(ReadWrite, &self.tally);
        batch.dispatch(reset, bindings, [1, 1, 1])?;
        let mut params = self.points(settings);
        for (kind, (points, members)) in self.kinds(points, targets).enumerate() {
            let blocks = members.count.div_ceil(16 * THREADS).min(BLOCKS) as u32;
            params.points = members.count as u32;
            (params.offset, params.bad) = (params.blocks, kind as u32);
            params.read = if kind == 0 { 4 } else { 3 };
            let bindings = Bindings::new()
                .params(&params)
                .buffer(Read, points)
                .buffer(ReadWrite, &self.extents)
                .buffer(ReadWrite, &self.tally);
            batch.dispatch(bounds, bindings, [blocks, 1, 1])?;
            params.blocks += blocks;
        }
        let bindings = Bindings::new()
            .params(&params)
            .buffer(ReadWrite, &self.extents)
            .buffer(ReadWrite, &self.frames)
            .buffer(ReadWrite, &self.tally)
            .buffer(ReadWrite, &self.cells)
            .buffer(ReadWrite, &self.colleagues);
        batch.dispatch(frame, bindings, [1, 1, 1])
    }

    fn points(&self, settings: &Settings) -> Points {
        let period = match settings.boundary {
            Boundary::Free => 0.0,
            Boundary::Periodic { side, .. } => side as f32,
        };
        let (sources, targets) = (self.sources.count as u32, self.evaluated().count as u32);
        Points { sources, targets, period, ..Points::default() }
    }

    /// Sources, then targets where these are others.
    fn kinds<'a>(
        &'a self,
        points: &'a Buffer,
        targets: Option<&'a Buffer>,
    ) -> impl Iterator<Item = (&'a Buffer, &'a Members)> {
        [(points, &self.sources)].into_iter().chain(targets.zip(self.targets.as_ref()))
    }

    fn record(
        &mut self,
        batch: &mut Batch,
        ctx: &Context,
        settings: &Settings,
        points: &Buffer,
        targets: Option<&Buffer>,
    ) -> Result<()> {
        self.record_frame(batch, settings, points, targets)?;
        let params = self.points(settings);
        let Some(Growing { keys, gather, .. }) = &self.kernels.growing else { return Ok(()) };
        let frames = &self.frames;
        let given = [Some(points), targets];
        let members = [Some(&mut self.sources), self.targets.as_mut()];
        for (points, members) in given.into_iter().zip(members) {
            let (Some(points), Some(members)) = (points, members) else { continue };
            let params = Points { points: members.count as u32, ..params };
            let grid = grid(ctx, members.count.div_ceil(THREADS));
            let bindings = Bindings::new()
                .params(&params)
                .buffer(Read, points)
                .buffer(ReadWrite, frames)
                .buffer(ReadWrite, members.keys.buffer());
            batch.dispatch(keys, bindings, grid)?;
            members.sort.record(batch, &mut members.keys, &mut members.order)?;
            let bindings = Bindings::new()
                .params(&params)
                .buffer(Read, points)
                .buffer(ReadWrite, frames)
                .buffer(Read, members.order.buffer())
                .buffer(ReadWrite, &members.sorted);
            batch.dispatch(gather, bindings, grid)?;
        }
        Ok(())
    }

    /// Divides the cells of these levels, which must be there, and counts pairs if that is all.
    fn record_levels(
        &self,
        batch: &mut Batch,
        settings: &Settings,
        levels: RangeInclusive<usize>,
    ) -> Result<()> {
        let Algorithm::Fmm { leaf, .. } = settings.algorithm else { return Ok(()) };
        let Some(kernels) = &self.kernels.growing else { return Ok(()) };
        let depth = LEVELS[self.words - 1];
        let keys = |members: &Members| members.keys.buffer().clone();
        let source_keys = keys(&self.sources);
        let target_keys = self.targets.as_ref().map(keys);
        let periodic = settings.boundary != Boundary::Free;
        let last = *levels.end();
        for level in levels {
            // In a periodic cube far images act on the root's children.
            let leaf = if periodic && level == 0 { 0 } else { leaf };
            let params = Tree {
                level: level as u32,
                depth: depth as u32,
                leaf: leaf as u32,
                crowd: CROWD.max(leaf as u32),
                pairs: settings.pairs as u32,
                cells: self.room[0] as u32,
                chunks: self.room[1] as u32,
                least: settings.least_side() as f32,
            };
            let most = 1_usize.checked_shl(3 * level as u32).unwrap_or(usize::MAX);
            let cells = most.min(self.room[0]);
            let begin = || Bindings::new().params(&params).buffer(ReadWrite, &self.tally);
            if level > 0 {
                let groups = (32 * cells).div_ceil(THREADS).min(GROUPS) as u32;
                let bindings =
                    begin().buffer(ReadWrite, &self.cells).buffer(ReadWrite, &self.colleagues);
                batch.dispatch(&kernels.meet, bindings, [groups, 1, 1])?;
            }
            let groups = cells.div_ceil(BLOCK).min(GROUPS) as u32;
            let mut bindings = begin()
                .buffer(ReadWrite, &self.cells)
                .buffer(ReadWrite, &self.colleagues)
                .buffer(Read, &source_keys);
            if let Some(target_keys) = &target_keys {
                bindings = bindings.buffer(Read, target_keys);
            }
            let bindings = bindings
                .buffer(ReadWrite, &self.cuts)
                .buffer(ReadWrite, &self.sums)
                .buffer(Read, &self.frames);
            batch.dispatch(&kernels.divide, bindings, [groups, 1, 1])?;
            batch.dispatch(&kernels.offsets, begin().buffer(ReadWrite, &self.sums), [1, 1, 1])?;
            let bindings = begin()
                .buffer(ReadWrite, &self.cells)
                .buffer(ReadWrite, &self.cuts)
                .buffer(ReadWrite, &self.sums)
                .buffer(ReadWrite, &self.chunks)
                .buffer(ReadWrite, &self.parents);
            batch.dispatch(&kernels.grow, bindings, [groups, 1, 1])?;
        }
        let groups = (32 * self.room[1]).div_ceil(THREADS).min(GROUPS) as u32;
        let params = Tree { level: last as u32, chunks: self.room[1] as u32, ..Tree::default() };
        let bindings = Bindings::new()
            .params(&params)
            .buffer(ReadWrite, &self.tally)
            .buffer(ReadWrite, &self.cells)
            .buffer(ReadWrite, &self.colleagues)
            .buffer(ReadWrite, &self.chunks);
        batch.dispatch(&kernels.count, bindings, [groups, 1, 1])
    }

    fn outline(
        &self,
        settings: &Settings,
        points: &Buffer,
        targets: Option<&Buffer>,
    ) -> Result<Outline> {
        let tally = words(&self.tally.read(0..4 * TALLY as u64)?);
        let given = [("the points", points), ("the targets", targets.unwrap_or(points))];
        for ((what, buffer), &bad) in given.into_iter().zip(&tally) {
            if bad != 0 {
                let (row, column) = (!bad / 4, (!bad % 4) as usize);
                let at = u64::from(4 * row + column as u32) * 4;
                let number = words(&buffer.read(at..at + 4)?)[0];
                return Err(Error::Value {
                    operand: format!("{what}, row {row}"),
                    expected: "finite numbers".into(),
                    found: format!(
                        "{} in {}",
                        f32::from_bits(number),
                        ["x", "y", "z", "q"][column]
                    ),
                });
            }
        }
        // Levels end where the next one has no cells.
        let marks = &tally[16..16 + LEVELS[self.words - 1] + 3];
        let mut levels: Vec<usize> = marks.iter().map(|&begin| begin as usize).collect();
        while levels.len() > 2 && levels[levels.len() - 1] <= levels[levels.len() - 2] {
            levels.pop();
        }
        // A level that is there and of which the next one's end is not told.
        let deepest = levels.len() - 2;
        let growing = (tally[10] == 0 && marks[deepest + 2] == 0).then_some(deepest);
        let float = |at: usize| f32::from_bits(tally[at]);
        let moment = |at: usize| f64::from(float(MOMENTS + at));
        let surface =
            Surface { charge: moment(3), dipole: [0, 1, 2].map(moment), second: moment(5) };
        if matches!(settings.boundary, Boundary::Periodic { background: false, .. }) {
            check_charge(surface.charge, moment(4), f32::ROUNDOFF)?;
        }
        Ok(Outline {
            levels,
            chunks: tally[3] as usize,
            parents: tally[4] as usize,
            leaves: tally[5] as usize,
            translations: tally[6].into(),
            pairs: u64::from(tally[7]) | u64::from(tally[8]) << 32,
            low: [float(48), float(49), float(50)],
            side: float(51),
            scale: float(52),
            surface,
            overfull: tally[9] > 0,
            overflow: tally[10] > 0,
            growing,
        })
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let word = |w: &[u8]| u32::from_ne_bytes([w[0], w[1], w[2], w[3]]);
    bytes.chunks_exact(4).map(word).collect()
}

/// Workgroups along x, wrapped into y.
pub(super) fn grid(ctx: &Context, groups: usize) -> [u32; 3] {
    let most = ctx
        .device()
        .gpu()
        .map_or(65_535, |gpu| gpu.limits().max_compute_workgroups_per_dimension as usize);
    let x = groups.clamp(1, most);
    [x as u32, groups.div_ceil(x) as u32, 1]
}
