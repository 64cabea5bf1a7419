//! The FFT on the GPU: how a recipe's passes become kernels, tables and dispatches.

use super::Fft;
use super::bindings::{Binding, Span, reach};
use super::exchange::exchange;
use super::recipe::{Facts, Id, Load, Pairs, Pass, Place, Recipe, Side, Store, View, local};
use super::rendering::{
    By, Gap, Index, PairsVariant, Params, Rendering, Stage, Table, Twiddle, Variant, factors_read,
};
use super::twiddles::Run;
use crate::element::DType;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use std::collections::HashMap;

/// What a pass dispatches for a chunk.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub variant: Rendering,
    pub table: Table,
    /// But for the offsets, which count from what is bound.
    pub params: Params,
    pub groups: u32,
    pub from: Place,
    pub to: Place,
    /// Where the first line begins when read and when written.
    pub first: [usize; 2],
    /// What is read and written.
    pub spans: [Span; 2],
}

/// A problem's dispatches for operands that lie in one way. Pure.
pub(super) fn steps(
    problem: &Fft,
    recipe: &Recipe,
    facts: &Facts,
    in_place: bool,
) -> Result<Vec<Step>> {
    let mut all = Vec::new();
    for (g, group) in recipe.groups.iter().enumerate() {
        let (extent, each) = group.chunk.map_or((1, 1), |(_, extent, each)| (extent, each));
        for begin in (0..extent).step_by(each.max(1)) {
            let count = each.min(extent - begin);
            for pass in &group.passes {
                let chunk = group.chunk.map(|(id, _, each)| Chunk { id, begin, count, each });
                let emit = Emit { problem, recipe, facts, group: g, chunk, in_place };
                emit.pass(pass, &mut all)?;
            }
        }
    }
    Ok(all)
}

/// Part of an axis that a group's passes run over.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    id: Id,
    begin: usize,
    count: usize,
    each: usize,
}

/// An axis of lines: how many, and how far apart when read and when written.
#[derive(Debug, Clone, Copy)]
struct Axis {
    id: Id,
    count: usize,
    strides: [usize; 2],
}

/// Whether the place of a line along an axis matters to a pass.
fn named(pass: &Pass, axis: Id) -> bool {
    let mut index = pass.before.indexed().iter().chain(pass.after.indexed());
    pass.twiddle.is_some_and(|(other, _)| other == axis)
        || pass.mirror.is_some_and(|(other, _)| other == axis)
        || index.any(|&(other, _)| other == axis)
}

struct Emit<'a> {
    problem: &'a Fft,
    recipe: &'a Recipe,
    facts: &'a Facts,
    group: usize,
    chunk: Option<Chunk>,
    in_place: bool,
}

impl Emit<'_> {
    fn local(&self, place: Place) -> bool {
        local(&self.recipe.groups, self.group, place)
    }

    /// The stride of an axis, and where the chunk begins.
    fn lies(&self, view: &View, axis: Id) -> (usize, usize) {
        let local = self.local(view.place);
        let only = self.chunk.filter(|_| local).map(|chunk| (chunk.id, chunk.each));
        let offset = match self.chunk {
            Some(chunk) if !local => chunk.begin * view.stride(chunk.id, None),
            _ => 0,
        };
        (view.stride(axis, only), view.offset + offset)
    }

    fn pass(&self, pass: &Pass, all: &mut Vec<Step>) -> Result<()> {
        let views = [&pass.from, &pass.to];
        let mut axes: Vec<Axis> = pass
            .lines
            .iter()
            .map(|&(id, count)| {
                let count = self.chunk.filter(|c| c.id == id).map_or(count, |c| c.count);
                Axis { id, count, strides: views.map(|view| self.lies(view, id).0) }
            })
            .collect();
        axes.retain(|axis| axis.count != 1 || named(pass, axis.id));
        let by = usize::from(pass.columns[1]);
        // The kernel finds mirrors along the innermost axis.
        let along = |axis: &Axis| pass.mirror.is_some_and(|(id, _)| id == axis.id);
        axes.sort_by_key(|axis| (!along(axis), axis.strides[by], axis.count));
        // Axes that lie end to end are one.
        let mut merged: Vec<Axis> = Vec::new();
        for axis in axes {
            match merged.last_mut() {
                Some(inner)
                    if !named(pass, inner.id)
                        && !named(pass, axis.id)
                        && (0..2).all(|i| axis.strides[i] == inner.strides[i] * inner.count) =>
                {
                    inner.count *= axis.count;
                }
                _ => merged.push(axis),
            }
        }
        let mut offsets =
            views.map(|view| self.lies(view, pass.lines.first().map_or(0, |l| l.0)).1);
        self.axes(pass, &merged, &mut offsets, all)
    }

    /// A kernel counts along four axes; further ones are dispatches of their own.
    fn axes(
        &self,
        pass: &Pass,
        axes: &[Axis],
        offsets: &mut [usize; 2],
        all: &mut Vec<Step>,
    ) -> Result<()> {
        if axes.len() > 4 {
            let Some((outer, inner)) = axes.split_last() else { return Ok(()) };
            for i in 0..outer.count {
                let mut at = [0, 1].map(|side| offsets[side] + i * outer.strides[side]);
                self.axes(pass, inner, &mut at, all)?;
            }
            return Ok(());
        }
        let spans = self.spans(pass, axes, offsets);
        if let Some((at, each)) = self.parts(pass, axes, offsets)? {
            let mut part = axes.to_vec();
            for begin in (0..axes[at].count).step_by(each) {
                part[at].count = each.min(axes[at].count - begin);
                let mut first = [0, 1].map(|side| offsets[side] + begin * axes[at].strides[side]);
                self.axes(pass, &part, &mut first, all)?;
            }
            return Ok(());
        }
        let (variant, table) = match pass.pairs {
            Some(pairs) => self.pairs(pass, pairs, axes),
            None => self.variant(pass, axes)?,
        };
        let size = |axis: usize| axes.get(axis).map_or(Ok(1), |a| word(a.count, "extents"));
        let stride = |side: usize, axis: usize| {
            axes.get(axis).map_or(Ok(0), |a| word(a.strides[side], "strides"))
        };
        let half = matches!(pass.before.load, Load::Half | Load::Packed);
        let lines: usize = axes.iter().map(|axis| axis.count).product();
        let in_stride = |axis: usize| {
            let index =
                axes.get(axis).is_some_and(|a| pass.before.index.iter().any(|i| i.0 == a.id));
            if half && index { Ok(0) } else { stride(0, axis) }
        };
        let element = self.lies(&pass.from, pass.from_axis).0;
        let element = if half { element / pass.before.step } else { element };
        let params = Params {
            lines: word(lines, "lines")?,
            size0: size(0)?,
            size1: size(1)?,
            size2: size(2)?,
            in_element: word(element, "stride of the input")?,
            in0: in_stride(0)?,
            in1: in_stride(1)?,
            in2: in_stride(2)?,
            in3: in_stride(3)?,
            out_element: word(self.lies(&pass.to, pass.to_axis).0, "stride of the output")?,
            out0: stride(1, 0)?,
            out1: stride(1, 1)?,
            out2: stride(1, 2)?,
            out3: stride(1, 3)?,
            given: word(pass.before.given.unwrap_or(0), "extents")?,
            kept: word(pass.after.kept.unwrap_or(0), "extents")?,
            ..Params::default()
        };
        let groups = match &variant {
            Rendering::Transform(_) => match pass.mirror {
                Some((_, of)) => (lines / of * of.div_ceil(2)).div_ceil(pass.width / 2),
                None => lines.div_ceil(pass.width),
            },
            Rendering::Pairs(variant) => lines.saturating_mul(variant.blocks()),
        };
        let groups = word(groups, "workgroups")?;
        let (from, to, first) = (pass.from.place, pass.to.place, *offsets);
        all.push(Step { variant, table, params, groups, from, to, first, spans });
        Ok(())
    }

    /// Whether a pass writes where it reads.
    fn same(&self, pass: &Pass) -> bool {
        let ends = [pass.from.place, pass.to.place];
        let operands = ends.iter().all(|end| [Place::Input, Place::Output].contains(end));
        ends[0] == ends[1] || self.in_place && operands
    }

    /// What is read and written along these axes.
    fn spans(&self, pass: &Pass, axes: &[Axis], first: &[usize; 2]) -> [Span; 2] {
        let reach = reach(pass);
        let complex = self.problem.complex().size();
        let half = pass.before.load == Load::Half;
        let real = [pass.before.load == Load::Real, pass.after.store == Store::Real];
        let spans = [0, 1].map(|side| {
            let (view, axis) = [(&pass.from, pass.from_axis), (&pass.to, pass.to_axis)][side];
            let element = self.lies(view, axis).0;
            let steps = if half && side == 0 { pass.before.step.max(1) } else { 1 };
            // Lines that are parts of one that is read by halves all reach over all of it.
            let apart =
                |a: &&Axis| !(half && side == 0 && pass.before.index.iter().any(|i| i.0 == a.id));
            let along = (reach[side] - 1).saturating_mul(element / steps);
            let across = |last: usize, axis: &Axis| {
                let lines = axis.count.saturating_sub(1);
                last.saturating_add(lines.saturating_mul(axis.strides[side]))
            };
            let last = axes.iter().filter(apart).fold(first[side].saturating_add(along), across);
            let size = if real[side] { complex / 2 } else { complex };
            Span::new(first[side], last, size, self.facts.binding)
        });
        match (self.same(pass), spans) {
            (true, [read, written]) => [read.and(&written), written.and(&read)],
            (false, spans) => spans,
        }
    }

    /// Where what is read or written is more than can be bound: an axis of lines, and how many of them
    /// to take at a time so that it is less.
    fn parts(
        &self,
        pass: &Pass,
        axes: &[Axis],
        first: &[usize; 2],
    ) -> Result<Option<(usize, usize)>> {
        let binding = self.facts.binding;
        let spans = self.spans(pass, axes, first);
        let Some(side) = (0..2).find(|&side| !spans[side].fits(binding)) else { return Ok(None) };
        // Lines whose place along an axis matters are counted from its beginning.
        let free = |&at: &usize| axes[at].count > 1 && !named(pass, axes[at].id);
        let widest = (0..axes.len()).filter(free).max_by_key(|&at| axes[at].strides[side]);
        let Some(at) = widest.filter(|&at| axes[at].strides[side] > 0) else {
            let place = [pass.from.place, pass.to.place][side];
            return Err(spans[side].too_long(place, binding));
        };
        let fits = |count: usize| {
            let mut part = axes.to_vec();
            part[at].count = count;
            self.spans(pass, &part, first).iter().all(|span| span.fits_anywhere(binding))
        };
        // The most that fit, by halving; where not even one does, another axis is divided next.
        let (mut fit, mut too_many) = (1, axes[at].count);
        while too_many - fit > 1 {
            let middle = fit + (too_many - fit) / 2;
            if fits(middle) { fit = middle } else { too_many = middle }
        }
        Ok(Some((at, fit)))
    }

    fn pairs(&self, pass: &Pass, pairs: Pairs, axes: &[Axis]) -> (Rendering, Table) {
        let mut table = Table::default();
        table.add(Run::Roots { n: 2 * pass.n, step: 1, count: pass.n / 2 + 1 });
        let scale = pass.after.scale.map(|_| table.len());
        table.scale = pass.after.scale.map(f64::to_bits);
        let variant = PairsVariant {
            double: self.problem.precision == DType::F64,
            points: pass.n,
            forward: pairs == Pairs::Forward,
            axes: axes.len().max(1),
            window: pass.before.window,
            spectrum: pass.after.spectrum,
            scale,
        };
        (Rendering::Pairs(variant), table)
    }

    fn variant(&self, pass: &Pass, axes: &[Axis]) -> Result<(Rendering, Table)> {
        let mut table = Table::default();
        let double = self.problem.precision == DType::F64;
        let Pass { n, ref stages, width, columns, .. } = *pass;
        let at = |id: Id| axes.iter().position(|axis| axis.id == id);
        let index = |given: &[(Id, usize)]| -> Index {
            given.iter().filter_map(|&(id, factor)| Some((at(id)?, factor))).collect()
        };
        // Once for a transform, twice for a convolution.
        let times = if pass.product.is_some() { 2 } else { 1 };
        let mut all: Vec<Stage> = Vec::new();
        for round in 0..times {
            let mut before = 1;
            for &radix in &stages.radices {
                let each = stages.each(n, radix);
                let even = each * stages.threads == n / radix;
                let run = Run::Stage { before, radix };
                let found = all.iter().find(|stage| stage.before == before && round > 0);
                let known = found.map(|stage| stage.table);
                all.push(Stage {
                    radix,
                    butterflies: n / radix,
                    before,
                    each,
                    even,
                    table: match known {
                        Some(at) => at,
                        None if before > 1 => table.add(run),
                        None => 0,
                    },
                    step: factors_read(run, self.problem.complex().size()),
                    by: match before * radix == n {
                        true => By::Result,
                        false if even && each.is_multiple_of(pass.rounds) => By::Butterfly,
                        false => By::Place,
                    },
                    columns: false,
                    remap: false,
                    product: None,
                    gap: Gap::default(),
                });
                before *= radix;
            }
            if round == 0
                && let (Some(run), Some(last)) = (pass.product, all.last_mut())
            {
                last.product = Some(table.add(run));
            }
        }
        // The first exchange is where lines and elements change places.
        let [reads, writes] = columns;
        let reads = if all.len() == 1 { writes } else { reads };
        for (s, stage) in all.iter_mut().enumerate() {
            stage.columns = if s == 0 { reads } else { writes };
            stage.remap = s == 1 && reads != writes;
        }
        let (pitch, exchange, whole) =
            exchange(pass, &mut all, double, self.facts.workgroup_storage);
        let times_in = pass.before.times.map(|run| table.add(run));
        let times_out = pass.after.times.map(|run| match pass.before.times {
            Some(other) if other == run => times_in.unwrap_or(0),
            _ => table.add(run),
        });
        let twiddle = match pass.twiddle {
            Some((id, points)) => {
                let shift = points.ilog2().div_ceil(2);
                let low = table.add(Run::Roots { n: points, step: 1, count: 1 << shift });
                let count = (points >> shift) + 1;
                let high = table.add(Run::Roots { n: points, step: 1 << shift, count });
                let axis = at(id).ok_or_else(|| fault("a twiddle has no axis"))?;
                Some(Twiddle { axis, shift, low, high })
            }
            None => None,
        };
        let mirror = pass.mirror.map(|(_, of)| of);
        // Of the first element of each thread's butterflies; the others are turned from it. Where lines
        // are short and so is the table, those that are read have a root each, which is more exact.
        let halves = match (pass.before.load, pass.after.store, mirror) {
            (Load::Packed, _, None) => table.add(Run::Roots { n: 2 * n, step: 1, count: n }),
            (Load::Packed, _, _) | (_, Store::Packed, _) => {
                let of = mirror.unwrap_or(1);
                let stage = if pass.before.load == Load::Packed { all.first() } else { all.last() };
                let count = stage.map_or(0, |stage| stage.butterflies * of);
                table.add(Run::Roots { n: 2 * n * of, step: 1, count })
            }
            _ => 0,
        };
        let scale = pass.after.scale.map(|_| table.len());
        table.scale = pass.after.scale.map(f64::to_bits);
        table.prime = pass.prime();
        let variant = Variant {
            double,
            points: n,
            threads: stages.threads,
            lines: width,
            stages: all,
            pitch,
            exchange,
            rounds: pass.rounds,
            whole,
            axes: axes.len().max(1),
            in_place: self.same(pass),
            load: pass.before.load,
            length: pass.before.length,
            store: pass.after.store,
            pad: pass.before.given.is_some(),
            crop: pass.after.kept.is_some(),
            window: pass.before.window,
            spectrum: pass.after.spectrum,
            turn_in: pass.before.turned,
            swap_in: pass.before.swapped,
            times_in,
            index_in: index(pass.before.indexed()),
            step_in: pass.before.step,
            turn_out: pass.after.turned,
            swap_out: pass.after.swapped,
            times_out,
            index_out: index(pass.after.indexed()),
            step_out: pass.after.step,
            twiddle,
            mirror,
            halves,
            scale,
            powers: table.prime.is_some(),
            tables: table != Table::default(),
            inverse: self.problem.inverse,
        };
        Ok((Rendering::Transform(Box::new(variant)), table))
    }
}

/// Kernels of every form that a plan can ask for, over lengths that between them have every radix,
/// exchange and pass; for tests.
pub fn kernels() -> Vec<Kernel> {
    let mut all = HashMap::new();
    let binding = Binding { most: 1 << 27, alignment: 256 };
    let small = Facts {
        workgroup_storage: 16 << 10,
        invocations: 256,
        f64: true,
        binding,
        software: false,
    };
    let large = Facts { workgroup_storage: 48 << 10, invocations: 1024, ..small };
    let mut problems: Vec<Fft> = (1..=66).map(|n| Fft::new([3, n])).collect();
    let lengths = [
        97,
        243,
        625,
        1000,
        1013,
        1024,
        1155,
        4096,
        8192,
        10_007,
        12_000,
        16_384,
        65_536,
        1 << 20,
        1 << 24,
    ];
    problems.extend(lengths.map(|n| Fft::new([2, n]).inverse()));
    // With little memory of three passes, whose half spectrum takes one of its own.
    problems.extend([Fft::real([1 << 20]), Fft::real([1 << 20]).inverse()]);
    for n in [1, 2, 7, 16, 100, 4096, 65_536, 118_098] {
        let real = Fft::real([2, n]).window().pad(n.div_ceil(2)).spectrum().scale(3.0);
        let plain = Fft::real([2, n]).norm(super::Norm::Ortho);
        let several = Fft::real([n, 12]).all_axes();
        problems.extend([real, plain.clone(), plain.clone().inverse()]);
        problems.extend([plain.clone().spectrum(), plain.inverse().window()]);
        problems.extend([several.clone(), several.inverse()]);
        problems.push(Fft::new([n, 5]).axes([0]).precision(DType::F64));
    }
    for problem in problems {
        for facts in [small, large] {
            let side = |strides| Side { strides, offset: 0 };
            let (x, y) = (side(problem.input().0.strides()), side(problem.output().0.strides()));
            let Ok(recipe) = Recipe::choose(&problem, &facts, &x, &y) else { continue };
            for in_place in [false, problem.input() == problem.output()] {
                let steps = steps(&problem, &recipe, &facts, in_place).unwrap_or_default();
                all.extend(steps.into_iter().map(|step| (step.variant.clone(), step.variant)));
            }
        }
    }
    all.values().map(Rendering::kernel).collect()
}

/// A defect of ours.
pub(super) fn fault(message: &str) -> Error {
    Error::Internal { what: "FFT".into(), message: message.into() }
}

/// A size as the shader's integers hold it.
pub(super) fn word(value: usize, what: &str) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Limit {
        what: format!("the FFT's {what}"),
        limit: "u32 indices",
        asked: value as u64,
        allowed: u32::MAX.into(),
    })
}
