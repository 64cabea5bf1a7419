//! The FFT on the GPU: how a recipe's passes become kernels, tables and dispatches.

use super::Fft;
use super::plan::Operands;
use super::recipe::{Facts, Id, Load, Pairs, Pass, Place, Recipe, Side, Store, View, local};
use super::rendering::{
    Gap, Index, PairsVariant, Params, Rendering, Stage, Table, Twiddle, Variant,
};
use super::twiddles::Run;
use crate::batch::{Batch, Bindings};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::element::DType;
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Pipeline};
use crate::shader::Access;
use crate::tensor::Operand;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a pass dispatches for a chunk.
#[derive(Debug, Clone)]
struct Step {
    variant: Rendering,
    table: Table,
    params: Params,
    groups: u32,
    from: Place,
    to: Place,
}

/// A problem's dispatches for operands that lie in one way. Pure.
fn steps(problem: &Fft, recipe: &Recipe, facts: &Facts, in_place: bool) -> Result<Vec<Step>> {
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
        let named = |id: Id| {
            let index = pass.before.indexed().iter().chain(pass.after.indexed());
            pass.twiddle.is_some_and(|(other, _)| other == id)
                || index.into_iter().any(|&(other, _)| other == id)
        };
        axes.retain(|axis| axis.count != 1 || named(axis.id));
        let by = usize::from(pass.columns[1]);
        axes.sort_by_key(|axis| (axis.strides[by], axis.count));
        // Axes that lie end to end are one.
        let mut merged: Vec<Axis> = Vec::new();
        for axis in axes {
            match merged.last_mut() {
                Some(inner)
                    if !named(inner.id)
                        && !named(axis.id)
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
        let (variant, table) = match pass.pairs {
            Some(pairs) => self.pairs(pass, pairs, axes),
            None => self.variant(pass, axes)?,
        };
        let size = |axis: usize| axes.get(axis).map_or(Ok(1), |a| word(a.count, "extents"));
        let stride = |side: usize, axis: usize| {
            axes.get(axis).map_or(Ok(0), |a| word(a.strides[side], "strides"))
        };
        let half = pass.before.load == Load::Half;
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
            in_offset: word(offsets[0], "offset of the input")?,
            in_element: word(element, "stride of the input")?,
            in0: in_stride(0)?,
            in1: in_stride(1)?,
            in2: in_stride(2)?,
            in3: in_stride(3)?,
            out_offset: word(offsets[1], "offset of the output")?,
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
            Rendering::Transform(_) => lines.div_ceil(pass.width),
            Rendering::Pairs(variant) => lines.saturating_mul(variant.blocks()),
        };
        let groups = word(groups, "workgroups")?;
        all.push(Step { variant, table, params, groups, from: pass.from.place, to: pass.to.place });
        Ok(())
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
        let rounds = if pass.product.is_some() { 2 } else { 1 };
        let mut all: Vec<Stage> = Vec::new();
        for round in 0..rounds {
            let mut before = 1;
            for &radix in &stages.radices {
                let each = stages.each(n, radix);
                let run = Run::Stage { before, radix };
                let found = all.iter().find(|stage| stage.before == before && round > 0);
                let known = found.map(|stage| stage.table);
                all.push(Stage {
                    radix,
                    butterflies: n / radix,
                    before,
                    each,
                    even: each * stages.threads == n / radix,
                    table: match known {
                        Some(at) => at,
                        None if before > 1 => table.add(run),
                        None => 0,
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
        let (pitch, exchange, whole) = self.exchange(pass, &mut all, double);
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
        let packed = pass.before.load == Load::Packed || pass.after.store == Store::Packed;
        let halves = match packed {
            true => table.add(Run::Roots { n: 2 * n, step: 1, count: n + 1 }),
            false => 0,
        };
        let scale = pass.after.scale.map(|_| table.len());
        table.scale = pass.after.scale.map(f64::to_bits);
        table.prime = pass.prime();
        let same = pass.from.place == pass.to.place
            || self.in_place
                && [Place::Input, Place::Output].contains(&pass.from.place)
                && [Place::Input, Place::Output].contains(&pass.to.place);
        let variant = Variant {
            double,
            points: n,
            threads: stages.threads,
            lines: width,
            stages: all,
            pitch,
            exchange,
            whole,
            axes: axes.len().max(1),
            in_place: same,
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
            halves,
            scale,
            powers: table.prime.is_some(),
            tables: table != Table::default(),
            inverse: self.problem.inverse,
        };
        Ok((Rendering::Transform(Box::new(variant)), table))
    }

    /// Elements from line to line and of all of them in workgroup memory, and whether they are whole
    /// there; and the gaps of each exchange.
    fn exchange(&self, pass: &Pass, stages: &mut [Stage], double: bool) -> (usize, usize, bool) {
        let packed = pass.after.store == Store::Packed;
        if stages.len() == 1 && !packed {
            return (0, 0, false);
        }
        let part = if double { 8 } else { 4 };
        let storage = self.facts.workgroup_storage;
        // Both parts at once spares barriers; for one transform that measured slower (4096 points on an
        // H100: 2260 against 2900 GB/s), for the two of a convolution faster (850 against 760).
        let whole = if pass.product.is_some() { storage.min(WHOLE) } else { 0 };
        for (size, most) in [(2 * part, whole), (part, storage)] {
            let (pitch, total) = gaps(pass, stages, 128 / size);
            if total * size <= most {
                return (pitch, total, size > part);
            }
        }
        stages.iter_mut().for_each(|stage| stage.gap = Gap::default());
        (pass.n, pass.n * pass.width, false)
    }
}

/// Bytes of workgroup memory up to which both parts of numbers are exchanged at once: an H100 has 228
/// KB for the workgroups of a multiprocessor, of which six fill its other resources.
const WHOLE: usize = 36 << 10;

/// The gaps of each exchange where as many elements as this are read at once, and the elements from
/// line to line and in all.
fn gaps(pass: &Pass, stages: &mut [Stage], banks: usize) -> (usize, usize) {
    let n = pass.n;
    let packed = pass.after.store == Store::Packed;
    let mut most = [0, 0];
    for s in 0..stages.len() {
        if s + 1 == stages.len() && !packed {
            continue;
        }
        let next = stages.get(s + 1).map_or(stages[s].columns, |next| next.columns);
        let columns = stages[s].columns && next;
        let neighbours = if columns { pass.width } else { 1 };
        let stage = &mut stages[s];
        stage.gap = Gap::default();
        let run = stage.before * neighbours;
        let together = run * stage.radix;
        if run < banks && together.is_power_of_two() {
            let period = together.max(banks) / neighbours;
            stage.gap = Gap { shift: period.ilog2(), words: run };
        }
        let left = ((n - 1) >> stage.gap.shift) * stage.gap.words;
        most[usize::from(columns)] = most[usize::from(columns)].max(left);
    }
    let mut pitch = n + most[0];
    if stages.iter().any(|stage| stage.remap) {
        pitch |= 1;
    } else if pass.width > 1 && pass.stages.threads < banks {
        // Lines side by side in a subgroup begin at different banks.
        pitch += (banks + pass.stages.threads - pitch % banks) % banks;
    }
    (pitch, (pitch * pass.width).max(n * pass.width + most[1]))
}

/// Kernels of every form that a plan can ask for, over lengths that between them have every radix,
/// exchange and pass; for tests.
pub fn kernels() -> Vec<Kernel> {
    let mut all = HashMap::new();
    let small = Facts { workgroup_storage: 16 << 10, invocations: 256, f64: true };
    let large = Facts { workgroup_storage: 48 << 10, invocations: 1024, f64: true };
    let mut problems: Vec<Fft> = (1..=66).map(|n| Fft::new([3, n])).collect();
    let lengths =
        [97, 243, 625, 1000, 1013, 1024, 1155, 4096, 8192, 10_007, 65_536, 1 << 20, 1 << 24];
    problems.extend(lengths.map(|n| Fft::new([2, n]).inverse()));
    for n in [1, 2, 7, 16, 100, 4096, 65_536] {
        let real = Fft::real([2, n]).window().pad(n.div_ceil(2)).spectrum().scale(3.0);
        let plain = Fft::real([2, n]).norm(super::Norm::Ortho);
        let several = Fft::real([n, 12]).all_axes();
        problems.extend([real, plain.clone(), plain.inverse()]);
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

/// What a plan on a GPU holds; its clones share it.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    dense: Arc<Program>,
    others: Arc<Mutex<HashMap<Key, Arc<Program>>>>,
}

/// How operands lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    x: Side,
    y: Side,
    in_place: bool,
}

/// The dispatches of a plan for operands that lie in one way.
#[derive(Debug)]
struct Program {
    key: Key,
    recipe: Recipe,
    launches: Vec<Launch>,
    spaces: Vec<Buffer>,
}

#[derive(Debug)]
struct Launch {
    pipeline: Pipeline,
    tables: Tables,
    step: Step,
}

/// What a kernel reads besides operands: numbers, and for Rader's algorithm powers.
#[derive(Debug, Clone)]
struct Tables {
    numbers: Buffer,
    powers: Option<Buffer>,
}

impl Tables {
    fn new(ctx: &Context, table: &Table, precision: DType) -> Result<Self> {
        Ok(Tables { numbers: table.upload(ctx, precision)?, powers: table.powers(ctx)? })
    }
}

/// Ways for operands to lie that a plan remembers.
const REMEMBERED: usize = 16;

impl Program {
    fn new(problem: &Fft, ctx: &Context, key: Key) -> Result<Self> {
        let facts = facts(ctx)?;
        let recipe = Recipe::choose(problem, &facts, &key.x, &key.y)?;
        let mut tables: HashMap<Table, Tables> = HashMap::new();
        let mut pipelines: HashMap<Rendering, Pipeline> = HashMap::new();
        let mut launches = Vec::new();
        for step in steps(problem, &recipe, &facts, key.in_place)? {
            let known = match tables.get(&step.table) {
                Some(known) => known.clone(),
                None => Tables::new(ctx, &step.table, problem.precision)?,
            };
            tables.entry(step.table.clone()).or_insert_with(|| known.clone());
            let pipeline = match pipelines.get(&step.variant) {
                Some(pipeline) => pipeline.clone(),
                None => ctx.pipeline(&step.variant.kernel())?,
            };
            pipelines.entry(step.variant.clone()).or_insert_with(|| pipeline.clone());
            launches.push(Launch { pipeline, tables: known, step });
        }
        let size = problem.complex().size();
        let space = |&elements: &usize| {
            let bytes = (elements as u64).saturating_mul(size as u64).max(16);
            Buffer::zeroed(ctx.device(), bytes, "the FFT's workspace")
        };
        let spaces = recipe.spaces.iter().map(space).collect::<Result<_>>()?;
        Ok(Program { key, recipe, launches, spaces })
    }

    fn record(&self, batch: &mut Batch, ctx: &Context, operands: &Operands) -> Result<()> {
        let allowed = match ctx.device().gpu() {
            Some(gpu) => gpu.limits().max_compute_workgroups_per_dimension,
            None => return Err(Error::Foreign { operand: "the context".into() }),
        };
        let buffer = |place: Place| match place {
            Place::Input => Ok(&operands.x.buffer),
            Place::Output => Ok(&operands.y.buffer),
            Place::Space(i) => self.spaces.get(i).ok_or_else(|| fault("a memory is missing")),
        };
        for Launch { pipeline, tables, step } in &self.launches {
            let Step { variant, params, groups, from, to, .. } = step;
            let mut params = *params;
            let [numbers, window, spectrum, in_place] = variant.binds();
            let mut hooks = Vec::new();
            let mut hook = |asked: bool, operand: &Option<Operand>| -> Result<[u32; 2]> {
                match operand {
                    Some(operand) if asked => {
                        hooks.push(operand.buffer.clone());
                        let stride = operand.strides.first().copied().unwrap_or(0);
                        Ok([word(operand.offset, "offset")?, word(stride, "stride")?])
                    }
                    _ => Ok([0; 2]),
                }
            };
            [params.window_offset, params.window_element] = hook(window, &operands.window)?;
            [params.spectrum_offset, params.spectrum_element] = hook(spectrum, &operands.spectrum)?;
            let mut bindings = Bindings::new().params(&params);
            if numbers {
                bindings = bindings.buffer(Access::Read, &tables.numbers);
            }
            if let Some(powers) = &tables.powers {
                bindings = bindings.buffer(Access::Read, powers);
            }
            for vector in &hooks {
                bindings = bindings.buffer(Access::Read, vector);
            }
            if !in_place {
                bindings = bindings.buffer(Access::Read, buffer(*from)?);
            }
            bindings = bindings.buffer(Access::ReadWrite, buffer(*to)?);
            let x = (*groups).min(allowed);
            batch.dispatch(pipeline, bindings, [x, groups.div_ceil(x.max(1)), 1])?;
        }
        Ok(())
    }
}

impl Prepared {
    pub fn new(problem: &Fft, ctx: &Context) -> Result<Self> {
        let side = |strides| Side { strides, offset: 0 };
        let (x, y) = (side(problem.input().0.strides()), side(problem.output().0.strides()));
        let key = Key { x, y, in_place: false };
        Ok(Prepared { dense: Arc::new(Program::new(problem, ctx, key)?), others: Arc::default() })
    }

    pub fn recipe(&self) -> &Recipe {
        &self.dense.recipe
    }

    pub fn record(
        &self,
        batch: &mut Batch,
        ctx: &Context,
        problem: &Fft,
        operands: Operands,
    ) -> Result<()> {
        let side = |x: &Operand| Side { strides: x.strides.clone(), offset: x.offset };
        let in_place = operands.in_place();
        let key = Key { x: side(&operands.x), y: side(&operands.y), in_place };
        self.program(problem, ctx, key)?.record(batch, ctx, &operands)
    }

    fn program(&self, problem: &Fft, ctx: &Context, key: Key) -> Result<Arc<Program>> {
        if self.dense.key == key {
            return Ok(self.dense.clone());
        }
        let lock = || self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = lock().get(&key) {
            return Ok(program.clone());
        }
        let program = Arc::new(Program::new(problem, ctx, key.clone())?);
        let mut others = lock();
        if others.len() >= REMEMBERED {
            others.clear();
        }
        Ok(others.entry(key).or_insert(program).clone())
    }
}

fn facts(ctx: &Context) -> Result<Facts> {
    let gpu = ctx.device().gpu();
    let gpu = gpu.ok_or_else(|| Error::Foreign { operand: "the context".into() })?;
    Ok(Facts {
        workgroup_storage: gpu.limits().max_compute_workgroup_storage_size as usize,
        invocations: gpu.limits().max_compute_invocations_per_workgroup as usize,
        f64: gpu.has_f64(),
    })
}

/// A defect of ours.
fn fault(message: &str) -> Error {
    Error::Internal { what: "FFT".into(), message: message.into() }
}

/// A size as the shader's integers hold it.
fn word(value: usize, what: &str) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::Limit {
        what: format!("the FFT's {what}"),
        limit: "u32 indices",
        asked: value as u64,
        allowed: u32::MAX.into(),
    })
}
