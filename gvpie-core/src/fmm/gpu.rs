//! The fast multipole method on the GPU: expansions and near sums over a tree that is there.

use super::Boundary;
use super::harmonics::{gradient, terms};
use super::operators::{Operators, mirror, offsets};
use super::periodic::octants;
use super::plan::{Algorithm, Report, Settings};
use super::rendering::{self, Expand, Near, Nearness, ROWS, Translate, depth, pitch};
use super::resident::{Kernels, Outline, Resident, grid};
use crate::batch::Bindings;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernel::Pipeline;
use crate::shader::Access::{Read, ReadWrite};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

pub use super::rendering::kernels;

/// Workgroups that keep a large GPU at work.
const BUSY: usize = 512;

/// What a plan on a GPU holds; its clones share it.
#[derive(Debug, Clone)]
pub(super) struct Prepared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sources: usize,
    targets: Option<usize>,
    settings: Settings,
    kernels: Kernels,
    near: Pipeline,
    /// `None` for direct sums.
    tables: Option<Tables>,
    /// Memory of runs that are over or on their way; a run takes one or makes one.
    memory: Mutex<Vec<Memory>>,
}

/// Matrices of an order, and kernels that use them.
#[derive(Debug)]
struct Tables {
    order: usize,
    p2m: Pipeline,
    m2m: Pipeline,
    translate: Pipeline,
    /// Where space is not free.
    far: Option<Pipeline>,
    l2l: Pipeline,
    l2p: Pipeline,
    shifts: Buffer,
    translations: Buffer,
    slopes: Buffer,
    /// Of far images; empty where space is free.
    images: Buffer,
}

/// What a run works in.
#[derive(Debug)]
struct Memory {
    tree: Resident,
    near: Buffer,
    multipoles: Buffer,
    locals: Buffer,
}

impl Prepared {
    pub fn new(
        ctx: &Context,
        sources: usize,
        targets: Option<usize>,
        settings: &Settings,
    ) -> Result<Self> {
        let periodic = settings.boundary != Boundary::Free;
        let tables = match settings.algorithm {
            Algorithm::Direct => None,
            Algorithm::Fmm { order, .. } => Some(Tables::new(ctx, order, periodic)?),
        };
        Ok(Prepared(Arc::new(Inner {
            sources,
            targets,
            settings: *settings,
            kernels: Kernels::new(ctx, 1, targets.is_some(), settings)?,
            near: ctx.pipeline(&rendering::near(nearness(settings)))?,
            tables,
            memory: Mutex::default(),
        })))
    }

    /// Computes potentials and gradients of checked, non-empty operands.
    pub fn run(
        &self,
        ctx: &Context,
        points: &Buffer,
        targets: Option<&Buffer>,
        result: &Buffer,
    ) -> Result<Report> {
        let Inner { sources, targets: others, settings, kernels, near, tables, memory } = &*self.0;
        if *sources == 0 {
            result.write(&vec![0; result.len() as usize])?;
            return Ok(Report::default());
        }
        let lock = || memory.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        let kept = lock().pop();
        let mut own = match kept {
            Some(memory) => memory,
            None => Memory::new(ctx, *sources, *others, settings, kernels)?,
        };
        let report = match tables {
            None => own.direct(ctx, settings, near, points, targets, result)?,
            Some(tables) => {
                let outline = own.tree.build(ctx, settings, points, targets)?;
                let tree = start.elapsed();
                own.evaluate(ctx, settings, near, tables, &outline, result)?;
                Report {
                    levels: outline.levels.len() - 1,
                    cells: outline.cells() - 1,
                    leaves: outline.leaves,
                    translations: outline.translations,
                    pairs: outline.pairs,
                    tree,
                    ..Report::default()
                }
            }
        };
        lock().push(own);
        Ok(report)
    }
}

fn nearness(settings: &Settings) -> Nearness {
    Nearness {
        direct: settings.algorithm == Algorithm::Direct,
        softened: settings.softening > 0.0,
        periodic: settings.boundary != Boundary::Free,
    }
}

impl Tables {
    fn new(ctx: &Context, order: usize, periodic: bool) -> Result<Self> {
        let operators = Operators::of(order);
        let (n, pitch, depth) = (terms(order), pitch(order), depth(order));
        let kernel = |entry, periodic| ctx.pipeline(&rendering::expand(entry, order, periodic));
        let narrow = |bytes: &[f32], what: &str| {
            let buffer = Buffer::zeroed(ctx.device(), 4 * bytes.len() as u64, what)?;
            buffer.write(bytemuck::cast_slice(bytes))?;
            Ok::<_, Error>(buffer)
        };
        // [to][from] to [from][to], rows padded.
        let mut shifts = vec![0.0_f32; 16 * n * pitch];
        for (matrix, at) in operators.m2m.chunks(n * n).chain(operators.l2l.chunks(n * n)).zip(0..)
        {
            for (i, &value) in matrix.iter().enumerate() {
                shifts[(at * n + i % n) * pitch + i / n] = value as f32;
            }
        }
        let mut translations = vec![0.0_f32; 343 * depth * pitch];
        for d in offsets() {
            let at = (((d[2] + 3) * 7 + d[1] + 3) * 7 + d[0] + 3) as usize;
            for (i, &value) in operators.m2l(d).iter().enumerate() {
                translations[(at * depth + i % n) * pitch + i / n] = value as f32;
            }
        }
        let mut images = vec![0.0_f32; if periodic { 27 * n * pitch } else { 0 }];
        if periodic {
            let octants = octants(order);
            for (d, at) in (0..27).map(|at| ([at % 3 - 1, at / 3 % 3 - 1, at / 9 - 1], at as usize))
            {
                let kind: usize = (0..3).map(|axis| usize::from(d[axis] != 0) << axis).sum();
                let signs = &operators.mirrors[mirror(d) * n..][..n];
                for (i, &value) in octants[kind * n * n..][..n * n].iter().enumerate() {
                    let value = signs[i / n] * signs[i % n] * value;
                    images[(at * n + i % n) * pitch + i / n] = value as f32;
                }
            }
        }
        // Two places and factors for each axis: no derivative has more.
        let mut slopes = vec![0.0_f32; order * order * 12];
        let mut filled = vec![0; order * order * 3];
        for slope in gradient(order) {
            let entry = 3 * slope.to + slope.axis;
            let at = 4 * entry + 2 * filled[entry];
            slopes[at] = slope.from as f32;
            slopes[at + 1] = slope.factor as f32;
            filled[entry] += 1;
        }
        Ok(Tables {
            order,
            p2m: kernel("p2m", periodic)?,
            m2m: kernel("m2m", false)?,
            translate: ctx.pipeline(&rendering::translate(order))?,
            far: periodic.then(|| kernel("images", true)).transpose()?,
            l2l: kernel("l2l", false)?,
            l2p: kernel("l2p", periodic)?,
            shifts: narrow(&shifts, "shifts of expansions")?,
            translations: narrow(&translations, "translations of expansions")?,
            slopes: narrow(&slopes, "derivatives of harmonics")?,
            images: narrow(&images, "operators of far images")?,
        })
    }
}

impl Memory {
    fn new(
        ctx: &Context,
        sources: usize,
        targets: Option<usize>,
        settings: &Settings,
        kernels: &Kernels,
    ) -> Result<Self> {
        let tree = Resident::new(ctx, sources, targets, settings, kernels)?;
        let rows = match settings.algorithm {
            Algorithm::Direct => 0,
            Algorithm::Fmm { .. } => targets.unwrap_or(sources),
        };
        let buffer = |bytes, what| Buffer::zeroed(ctx.device(), bytes, what);
        Ok(Memory {
            near: buffer(16 * rows as u64, "near sums")?,
            // Made when it is known how many cells there are.
            multipoles: buffer(0, "multipoles")?,
            locals: buffer(0, "local expansions")?,
            tree,
        })
    }

    fn direct(
        &self,
        ctx: &Context,
        settings: &Settings,
        near: &Pipeline,
        points: &Buffer,
        targets: Option<&Buffer>,
        result: &Buffer,
    ) -> Result<Report> {
        let outline = self.tree.frame(ctx, settings, points, targets)?;
        let (sources, rows) = (self.tree.sources.count, self.tree.evaluated().count);
        let mut batch = ctx.batch("fmm direct");
        let chunks = rows.div_ceil(rendering::CHUNK);
        let params = Near {
            chunks: chunks as u32,
            targets: rows as u32,
            sources: sources as u32,
            scale: outline.scale,
            softening: (settings.softening as f32 * outline.scale).powi(2),
            side: outline.side,
        };
        let bindings = Bindings::new()
            .params(&params)
            .buffer(Read, points)
            .buffer(Read, targets.unwrap_or(points))
            .buffer(ReadWrite, result);
        batch.dispatch(near, bindings, grid(ctx, chunks))?;
        batch.submit()?;
        Ok(Report { pairs: sources as u64 * rows as u64, ..Report::default() })
    }

    /// Room for the expansions of so many cells, local ones in so many slices.
    fn expand(&mut self, ctx: &Context, order: usize, cells: usize, slices: usize) -> Result<()> {
        let bytes = (4 * pitch(order) * cells) as u64;
        let needed = [(&mut self.multipoles, bytes, "multipoles")].into_iter().chain([(
            &mut self.locals,
            bytes * slices as u64,
            "local expansions",
        )]);
        for (buffer, bytes, what) in needed {
            if buffer.len() < bytes {
                // A quarter more, so that bodies in motion do not ask for memory at every step.
                *buffer = Buffer::zeroed(ctx.device(), bytes + bytes / 4, what)?;
            }
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        ctx: &Context,
        settings: &Settings,
        near: &Pipeline,
        tables: &Tables,
        outline: &Outline,
        result: &Buffer,
    ) -> Result<()> {
        let mut batch = ctx.batch("fmm");
        let order = tables.order;
        let blocks = outline.parents.div_ceil(ROWS);
        let wanted = BUSY.div_ceil(8 * blocks.max(1));
        let slices = [1, 3, 9, 27].into_iter().find(|&slices| slices >= wanted).unwrap_or(27);
        self.expand(ctx, order, outline.cells(), slices)?;
        let (tree, surface) = (&self.tree, outline.surface);
        let params = Expand {
            first: 0,
            cells: outline.cells() as u32,
            chunks: outline.chunks as u32,
            slices: slices as u32,
            stride: (pitch(order) * outline.cells()) as u32,
            low_x: outline.low[0],
            low_y: outline.low[1],
            low_z: outline.low[2],
            side: outline.side,
            scale: outline.scale,
            charge: surface.charge as f32,
            dipole_x: surface.dipole[0] as f32,
            dipole_y: surface.dipole[1] as f32,
            dipole_z: surface.dipole[2] as f32,
            second: surface.second as f32,
        };

        let sums = Near {
            chunks: outline.chunks as u32,
            targets: tree.evaluated().count as u32,
            sources: tree.sources.count as u32,
            scale: outline.scale,
            softening: (settings.softening as f32 * outline.scale).powi(2),
            side: outline.side,
        };
        let bindings = Bindings::new()
            .params(&sums)
            .buffer(Read, &tree.sources.sorted)
            .buffer(Read, &tree.evaluated().sorted)
            .buffer(Read, &tree.cells)
            .buffer(Read, &tree.colleagues)
            .buffer(Read, &tree.chunks)
            .buffer(ReadWrite, &self.near);
        batch.dispatch(near, bindings, grid(ctx, outline.chunks))?;

        let bindings = Bindings::new()
            .params(&params)
            .buffer(Read, &tree.cells)
            .buffer(Read, &tree.sources.sorted)
            .buffer(ReadWrite, &self.multipoles);
        batch.dispatch(&tables.p2m, bindings, grid(ctx, outline.cells()))?;
        let level = |l: usize| {
            let (first, end) = (outline.levels[l], outline.levels[l + 1]);
            Expand { first: first as u32, cells: (end - first) as u32, ..params }
        };
        let depth = outline.levels.len() - 1;
        for l in (0..depth.saturating_sub(1)).rev() {
            let params = level(l);
            let bindings = Bindings::new()
                .params(&params)
                .buffer(Read, &tree.cells)
                .buffer(ReadWrite, &self.multipoles)
                .buffer(Read, &tables.shifts);
            batch.dispatch(&tables.m2m, bindings, grid(ctx, params.cells as usize))?;
        }
        let translate = Translate {
            parents: outline.parents as u32,
            slices: slices as u32,
            stride: params.stride,
        };
        let bindings = Bindings::new()
            .params(&translate)
            .buffer(Read, &tree.cells)
            .buffer(Read, &tree.colleagues)
            .buffer(Read, &tree.parents)
            .buffer(Read, &self.multipoles)
            .buffer(Read, &tables.translations)
            .buffer(ReadWrite, &self.locals);
        batch.dispatch(&tables.translate, bindings, [blocks as u32, 8, slices as u32])?;
        if let Some(far) = tables.far.as_ref().filter(|_| depth > 1) {
            let params = level(1);
            let bindings = Bindings::new()
                .params(&params)
                .buffer(Read, &tree.cells)
                .buffer(ReadWrite, &self.multipoles)
                .buffer(Read, &tables.images)
                .buffer(ReadWrite, &self.locals);
            batch.dispatch(far, bindings, [params.cells, 1, 1])?;
        }
        for l in 1..depth {
            let params = level(l);
            let bindings = Bindings::new()
                .params(&params)
                .buffer(Read, &tree.cells)
                .buffer(Read, &tables.shifts)
                .buffer(ReadWrite, &self.locals);
            batch.dispatch(&tables.l2l, bindings, grid(ctx, params.cells as usize))?;
        }
        let bindings = Bindings::new()
            .params(&params)
            .buffer(Read, &tree.cells)
            .buffer(Read, &tree.evaluated().sorted)
            .buffer(ReadWrite, &self.locals)
            .buffer(Read, &tree.chunks)
            .buffer(Read, &self.near)
            .buffer(Read, tree.evaluated().order.buffer())
            .buffer(Read, &tables.slopes)
            .buffer(ReadWrite, result);
        batch.dispatch(&tables.l2p, bindings, grid(ctx, outline.chunks))?;
        batch.submit()
    }
}
