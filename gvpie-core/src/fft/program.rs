//! What a plan holds on a GPU: for each way that operands have lain the recipe, and its dispatches with
//! their pipelines, tables and memory.

use super::Fft;
use super::bindings::Binding;
use super::gpu::{Step, fault, steps, word};
use super::plan::Operands;
use super::recipe::{Facts, Place, Recipe, Side};
use super::rendering::{Rendering, Table, Tables};
use crate::batch::{Batch, Bindings};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::kernel::Pipeline;
use crate::shader::Access;
use crate::tensor::Operand;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a plan on a GPU holds; its clones share it.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    dense: Arc<Program>,
    others: Arc<Mutex<HashMap<Key, Arc<Program>>>>,
}

/// How operands lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub x: Side,
    pub y: Side,
    pub in_place: bool,
}

/// The dispatches of a plan for operands that lie in one way.
#[derive(Debug)]
pub(super) struct Program {
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

/// Ways for operands to lie that a plan remembers.
const REMEMBERED: usize = 16;

impl Program {
    pub fn new(problem: &Fft, ctx: &Context, facts: &Facts, key: Key) -> Result<Self> {
        let recipe = Recipe::choose(problem, facts, &key.x, &key.y)?;
        let mut tables: HashMap<Table, Tables> = HashMap::new();
        let mut pipelines: HashMap<Rendering, Pipeline> = HashMap::new();
        let mut launches = Vec::new();
        for step in steps(problem, &recipe, facts, key.in_place)? {
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

    pub fn record(&self, batch: &mut Batch, ctx: &Context, operands: &Operands) -> Result<()> {
        let allowed = match ctx.device().gpu() {
            Some(gpu) => gpu.limits().max_compute_workgroups_per_dimension,
            None => return Err(Error::Foreign { operand: "the context".into() }),
        };
        let binding = facts(ctx)?.binding;
        let buffer = |place: Place| match place {
            Place::Input => Ok(&operands.x.buffer),
            Place::Output => Ok(&operands.y.buffer),
            Place::Space(i) => self.spaces.get(i).ok_or_else(|| fault("a memory is missing")),
        };
        for Launch { pipeline, tables, step } in &self.launches {
            let Step { variant, params, groups, from, to, first, spans, .. } = step;
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
            let mut bindings = Bindings::new();
            if numbers {
                bindings = bindings.buffer(Access::Read, &tables.numbers);
            }
            if let Some(powers) = &tables.powers {
                bindings = bindings.buffer(Access::Read, powers);
            }
            for vector in &hooks {
                bindings = bindings.buffer(Access::Read, vector);
            }
            let mut before = [0; 2];
            if !in_place {
                (bindings, before[0]) =
                    spans[0].bind(bindings, Access::Read, buffer(*from)?, binding);
            }
            (bindings, before[1]) =
                spans[1].bind(bindings, Access::ReadWrite, buffer(*to)?, binding);
            if in_place {
                before[0] = before[1];
            }
            params.in_offset = word(first[0] - before[0], "offset of the input")?;
            params.out_offset = word(first[1] - before[1], "offset of the output")?;
            let bindings = bindings.params(&params);
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
        Ok(Prepared {
            dense: Arc::new(Program::new(problem, ctx, &facts(ctx)?, key)?),
            others: Arc::default(),
        })
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
        let program = Arc::new(Program::new(problem, ctx, &facts(ctx)?, key.clone())?);
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
        software: gpu.is_software(),
        binding: Binding {
            most: gpu.limits().max_storage_buffer_binding_size,
            alignment: gpu.limits().min_storage_buffer_offset_alignment.into(),
        },
    })
}
