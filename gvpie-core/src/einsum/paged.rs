//! Contractions of paged tensors, block after block.

#[cfg(test)]
mod tests;

use super::expression::{Bound, Expression};
use super::plan::check_element;
use super::{Einsum, EinsumPlan};
use crate::context::Context;
use crate::device::Backend;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::paged::Paged;
use crate::shape::Shape;
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::ops::Range;

/// A contraction of [`Paged`] tensors. Made by [`Einsum::plan_paged`].
///
/// Indices are cut in stretches, so that a block of every operand, one of the result and what the
/// steps between them take fit the device together. Blocks of the result are computed one after
/// another; where indices that are summed are cut, too, their parts are added one after another. Each
/// such addition rounds once, to the type of the elements: K of the [bound](super) grows by 2 for every
/// part.
#[derive(Debug, Clone)]
pub struct PagedEinsum {
    problem: Einsum,
    shapes: Vec<Shape>,
    bound: Bound,
    /// Elements of each index that a block has.
    stretch: Vec<usize>,
    ctx: Context,
}

/// Blocks of operands, of the result, and of its parts.
struct Blocks<T> {
    loaded: Vec<(Vec<Range<usize>>, Tensor<T>)>,
    plans: HashMap<Vec<Shape>, EinsumPlan>,
}

impl Einsum {
    /// Checks the contraction for operands of these shapes that need not fit the device, and decides
    /// how they are cut.
    ///
    /// ```
    /// use gvpie_core::{Backend, Context, Einsum};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let mut a = ctx.paged::<f32>([2, 3])?;
    /// let mut b = ctx.paged::<f32>([3, 2])?;
    /// a.write(0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// b.write(0, &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])?;
    /// let plan = Einsum::new("ij,jk->ki").plan_paged(&ctx, [a.shape(), b.shape()])?;
    /// let mut y = ctx.paged::<f32>(plan.shape())?;
    /// plan.run(&[&a, &b], &mut y)?;
    /// let mut found = [0.0; 4];
    /// y.read(0, &mut found)?;
    /// assert_eq!(found, [4.0, 10.0, 5.0, 11.0]);
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`plan`](Self::plan); [`Error::OutOfMemory`] where not even single elements fit the device.
    pub fn plan_paged<S: Into<Shape> + Clone>(
        &self,
        ctx: &Context,
        shapes: impl AsRef<[S]>,
    ) -> Result<PagedEinsum> {
        let shapes = super::listed(shapes);
        let bound = Expression::parse(&self.expression)?.bind(&shapes)?;
        check_element(self.element, ctx)?;
        let stretch = bound.indices.extents.clone();
        let mut plan =
            PagedEinsum { problem: self.clone(), shapes, bound, stretch, ctx: ctx.clone() };
        plan.cut()?;
        Ok(plan)
    }
}

impl PagedEinsum {
    /// The problem it solves.
    pub fn problem(&self) -> &Einsum {
        &self.problem
    }

    /// The shape of the result.
    pub fn shape(&self) -> Shape {
        self.bound.shape()
    }

    /// How many blocks are computed.
    pub fn blocks(&self) -> usize {
        let extents = self.bound.indices.extents.iter().zip(&self.stretch);
        extents.map(|(&extent, &stretch)| extent.div_ceil(stretch.max(1))).product()
    }

    /// Halves stretches of indices until a block fits.
    fn cut(&mut self) -> Result<()> {
        let device = self.ctx.device();
        let binding =
            device.gpu().map_or(u64::MAX, |gpu| gpu.limits().max_storage_buffer_binding_size);
        // An eighth is left for what else lives on the device.
        let room = device.room() / 8 * 7;
        loop {
            let (taken, largest) = self.takes()?;
            if taken <= room && largest <= binding {
                return Ok(());
            }
            let longest = |&index: &usize| self.stretch[index] > 1;
            let candidates = (0..self.stretch.len()).filter(longest);
            // What shortens the tensors most; of those an index of the result, whose parts are not
            // to be added; of those the longest.
            let gain = |index: usize| {
                let named = |set: super::indices::Set| set.has(index);
                let result = self.bound.result();
                let tensors = (0..self.shapes.len()).map(|at| (self.bound.set(at), self.block(at)));
                let tensors = tensors.chain([(result, self.result_block())]);
                let spared: f64 =
                    tensors.filter(|&(set, _)| named(set)).map(|(_, shape)| count(&shape)).sum();
                (spared, named(result), self.stretch[index])
            };
            let best = candidates.map(|index| (gain(index), index)).max_by(|(one, _), (two, _)| {
                one.0.total_cmp(&two.0).then(one.1.cmp(&two.1)).then(one.2.cmp(&two.2))
            });
            match best {
                Some((_, index)) => self.stretch[index] = self.stretch[index].div_ceil(2),
                None => {
                    let what = format!("single elements of '{}'", self.problem.expression);
                    return Err(device.pool().out_of_memory(taken, &what));
                }
            }
        }
    }

    /// Bytes that a block takes with all that belongs to it, and those of its largest tensor.
    fn takes(&self) -> Result<(u64, u64)> {
        let blocks: Vec<Shape> = (0..self.shapes.len()).map(|at| self.block(at)).collect();
        let size = self.problem.element.size() as f64;
        // On a GPU products may keep their operands in another form besides.
        let forms = if self.ctx.backend() == Backend::Gpu { 2.0 } else { 1.0 };
        let held: f64 = forms * blocks.iter().map(count).sum::<f64>();
        let result = count(&self.result_block());
        // A part, the sum so far, and the new one.
        let results = if self.adds() { 4.0 } else { 1.0 } * result;
        let largest = blocks.iter().map(count).fold(result, f64::max);
        let path = self.problem.path(&blocks)?;
        let all = (held + results) * size + path.workspace() as f64;
        Ok((all as u64, (largest * size) as u64))
    }

    /// Whether an index is cut that the result does not have.
    fn adds(&self) -> bool {
        let result = self.bound.result();
        let extents = self.bound.indices.extents.iter().zip(&self.stretch);
        extents.enumerate().any(|(index, (extent, stretch))| stretch < extent && !result.has(index))
    }

    /// The shape of a whole block of an operand.
    fn block(&self, operand: usize) -> Shape {
        let axes = self.bound.inputs[operand].iter().zip(self.shapes[operand].dims());
        let extent = |(index, &extent): (&Option<usize>, &usize)| {
            index.map_or(extent, |index| self.stretch[index].min(extent))
        };
        Shape::from(axes.map(extent).collect::<Vec<_>>())
    }

    fn result_block(&self) -> Shape {
        Shape::from(self.bound.output.iter().map(|&index| self.stretch[index]).collect::<Vec<_>>())
    }

    /// Computes y from the operands. Waits until y's last element is stored.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Element`] or [`Error::Foreign`] naming the operand that does not fit
    /// the plan; [`Error::OutOfMemory`], [`Error::Limit`], [`Error::File`]; errors of the device and of
    /// sources. y is then of no use.
    pub fn run<T: Element>(&self, operands: &[&Paged<T>], y: &mut Paged<T>) -> Result<()> {
        self.check(operands, y)?;
        let result = self.bound.result();
        let (outer, inner): (Vec<usize>, Vec<usize>) =
            (0..self.stretch.len()).partition(|&index| result.has(index));
        let mut blocks = Blocks { loaded: Vec::new(), plans: HashMap::new() };
        for ranges in self.walk(&outer) {
            let region: Vec<Range<usize>> =
                self.bound.output.iter().map(|&index| ranges[index].clone()).collect();
            if region.iter().any(Range::is_empty) {
                return Ok(());
            }
            let mut sum = None;
            let parts = self.walk_within(&inner, &ranges);
            for (at, part) in parts.iter().enumerate() {
                // Files are read ahead while this part is computed.
                if let Some(next) = parts.get(at + 1) {
                    let ahead = |(at, operand): (usize, &&Paged<T>)| {
                        operand.prefetch(&self.region(at, next))
                    };
                    operands.iter().enumerate().try_for_each(ahead)?;
                }
                let one = self.part(operands, part, &mut blocks)?;
                sum = Some(match sum {
                    None => one,
                    Some(before) => self.add(&before, &one)?,
                });
            }
            let sum = match sum {
                Some(sum) => sum,
                // A sum over nothing.
                None => self.ctx.zeros(region.iter().map(Range::len).collect::<Vec<_>>())?,
            };
            y.store(&region, &sum)?;
        }
        Ok(())
    }

    /// All stretches of these indices, the last index fastest; others whole.
    fn walk(&self, indices: &[usize]) -> Vec<Vec<Range<usize>>> {
        let extents = self.bound.indices.extents.iter();
        let whole: Vec<Range<usize>> = extents.map(|&extent| 0..extent).collect();
        self.walk_within(indices, &whole)
    }

    fn walk_within(&self, indices: &[usize], within: &[Range<usize>]) -> Vec<Vec<Range<usize>>> {
        let mut all = vec![within.to_vec()];
        for &index in indices {
            let (extent, stretch) = (self.bound.indices.extents[index], self.stretch[index].max(1));
            let cuts = |ranges: Vec<Range<usize>>| {
                (0..extent).step_by(stretch).map(move |first| {
                    let mut ranges = ranges.clone();
                    ranges[index] = first..extent.min(first + stretch);
                    ranges
                })
            };
            all = all.into_iter().flat_map(cuts).collect();
        }
        all
    }

    /// Where an operand lies within these ranges.
    fn region(&self, operand: usize, ranges: &[Range<usize>]) -> Vec<Range<usize>> {
        let axes = self.bound.inputs[operand].iter().zip(self.shapes[operand].dims());
        let range = |(index, &extent): (&Option<usize>, &usize)| {
            index.map_or(0..extent, |index| ranges[index].clone())
        };
        axes.map(range).collect()
    }

    /// The contraction of what operands have within these ranges.
    fn part<T: Element>(
        &self,
        operands: &[&Paged<T>],
        ranges: &[Range<usize>],
        blocks: &mut Blocks<T>,
    ) -> Result<Tensor<T>> {
        for (at, operand) in operands.iter().enumerate() {
            let region = self.region(at, ranges);
            match blocks.loaded.get(at) {
                Some((held, _)) if *held == region => {}
                Some(_) => {
                    // Its memory goes before the next block's is asked for.
                    blocks.loaded[at].0.clear();
                    blocks.loaded[at].1 = self.ctx.zeros([0])?;
                    blocks.loaded[at] = (region.clone(), operand.load(&region)?);
                }
                None => blocks.loaded.push((region.clone(), operand.load(&region)?)),
            }
        }
        let tensors: Vec<&Tensor<T>> = blocks.loaded.iter().map(|(_, tensor)| tensor).collect();
        let shapes: Vec<Shape> = tensors.iter().map(|tensor| tensor.shape().clone()).collect();
        let plan = match blocks.plans.get(&shapes) {
            Some(plan) => plan,
            None => {
                // Plans hold memory between their runs, and blocks of the edges are few.
                blocks.plans.clear();
                let plan = self.problem.plan(&self.ctx, &shapes)?;
                blocks.plans.entry(shapes).or_insert(plan)
            }
        };
        let mut y = self.ctx.zeros::<T>(plan.shape())?;
        plan.run(&tensors, &mut y)?;
        Ok(y)
    }

    /// The sum of two parts of the result.
    fn add<T: Element>(&self, one: &Tensor<T>, two: &Tensor<T>) -> Result<Tensor<T>> {
        let extents = one.len();
        let mut both = self.ctx.zeros::<T>([2, extents])?;
        let strides = [1];
        let copy = self.problem.of("a->a").plan(&self.ctx, [[extents]])?;
        for (at, part) in [one, two].into_iter().enumerate() {
            let from = part.view().strided([extents], &strides, 0)?;
            let into = both.view_mut().map(|all| all.strided([extents], &strides, at * extents))?;
            copy.run(&[from], into)?;
        }
        let sum = self.problem.of("ka->a").plan(&self.ctx, [[2, extents]])?;
        let mut y = self.ctx.zeros::<T>(one.shape())?;
        let into = y.view_mut().map(|all| all.strided([extents], &strides, 0))?;
        sum.run(&[both.view()], into)?;
        Ok(y)
    }

    fn check<T: Element>(&self, operands: &[&Paged<T>], y: &Paged<T>) -> Result<()> {
        if operands.len() != self.shapes.len() {
            let expected = format!("{}, as the plan is for", self.shapes.len());
            return Err(Error::shape("operands", expected, operands.len().to_string()));
        }
        let named = (1..=operands.len()).map(|number| format!("operand {number}"));
        let named = named.chain(["the result".into()]);
        let shapes = self.shapes.iter().cloned().chain([self.shape()]);
        for ((tensor, name), shape) in operands.iter().copied().chain([y]).zip(named).zip(shapes) {
            if !tensor.context().device().is(self.ctx.device()) {
                return Err(Error::Foreign { operand: name });
            }
            if T::DTYPE != self.problem.element {
                let (expected, found) = (self.problem.element.name(), T::DTYPE.name());
                return Err(Error::Element { operand: name, expected, found });
            }
            if *tensor.shape() != shape {
                let found = format!("shape {}", tensor.shape());
                return Err(Error::shape(name, format!("shape {shape}"), found));
            }
        }
        Ok(())
    }
}

impl Einsum {
    /// Another expression of the same elements.
    fn of(&self, expression: &str) -> Einsum {
        Einsum::new(expression).element(self.element)
    }
}

/// Elements, as a number that is never too large.
fn count(shape: &Shape) -> f64 {
    shape.dims().iter().map(|&extent| extent as f64).product()
}
