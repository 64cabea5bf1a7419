//! Checks and passes of convolutions.

use super::{Convolution, cpu, gpu, next_smooth};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::device::Backend;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::fft::strided::{Lines, Place};
use crate::fft::{Fft, FftPlan, Hooks};
use crate::scratch::{Scratch, bytes, dense};
use crate::shape::Shape;
use crate::tensor::{Operand, TensorView, TensorViewMut};
use std::ops::Range;

/// What a convolution does besides its FFTs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Of complex numbers whose parts are of this type.
    Product(DType),
    Copy(DType),
    /// Of complex numbers of this type.
    Conjugate(DType),
}

impl Step {
    /// The type it is told.
    pub fn element(self) -> DType {
        let (Step::Product(element) | Step::Copy(element) | Step::Conjugate(element)) = self;
        element
    }
}

/// An axis to convolve along.
#[derive(Debug, Clone)]
struct Along {
    axis: usize,
    /// Length of the transforms.
    length: usize,
    /// The part of the full result that is kept.
    window: Range<usize>,
}

/// A checked, compiled convolution or correlation. Made by [`Convolution::plan`]; run as often as
/// wanted, from any thread.
///
/// ```
/// use gvpie_core::{Backend, Context, fft::{Convolution, Mode}};
/// let ctx = Context::on(Backend::Cpu)?;
/// // Two signals, smoothed by one kernel.
/// let a = ctx.upload([2, 3], &[1.0_f32, 2.0, 3.0, 0.0, 6.0, 0.0])?;
/// let b = ctx.upload([1, 3], &[0.5_f32, 1.0, 0.5])?;
/// let mut y = ctx.zeros([2, 3])?;
/// let plan = Convolution::new([2, 3], [1, 3]).mode(Mode::Same).plan(&ctx)?;
/// plan.run(&a, &b, &mut y)?;
/// assert!((y.download()?[3] - 3.0_f32).abs() < 1e-5);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ConvolutionPlan {
    problem: Convolution,
    output: Shape,
    ctx: Context,
    /// `None` where the result has no elements.
    work: Option<Work>,
}

#[derive(Debug, Clone)]
struct Work {
    /// From the last axis to the first, as the transforms go.
    along: Vec<Along>,
    /// Forward transforms of A and of B, each of one axis.
    forward: [Vec<FftPlan>; 2],
    /// The inverse ones, of one axis each, with what they leave of that axis.
    inverse: Vec<FftPlan>,
    /// The spectrum of the result, and what the last inverse transform writes, which is cropped.
    spectrum: (Shape, DType),
    last: (Shape, DType),
    scratch: Scratch,
}

impl ConvolutionPlan {
    pub(super) fn new(problem: Convolution, ctx: &Context) -> Result<Self> {
        let output = problem.output()?;
        let work = match output.is_empty() {
            true => None,
            false => Some(Work::new(&problem, &output, ctx)?),
        };
        Ok(ConvolutionPlan { problem, output, ctx: ctx.clone(), work })
    }

    /// The problem it solves.
    pub fn problem(&self) -> &Convolution {
        &self.problem
    }

    /// Computes y from a and b without waiting for the result.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Element`] or [`Error::Foreign`] naming the operand that does not
    /// fit the plan; [`Error::Limit`] for views whose axes lie apart too much for a GPU's kernel;
    /// errors of the device.
    pub fn run<'a, 'b, 'y, T: Element>(
        &self,
        a: impl Into<TensorView<'a, T>>,
        b: impl Into<TensorView<'b, T>>,
        y: impl Into<TensorViewMut<'y, T>>,
    ) -> Result<()> {
        let mut batch = self.ctx.batch("convolution");
        self.record(&mut batch, a, b, y)?;
        batch.submit()
    }

    /// Records what [`run`](Self::run) does into a batch.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn record<'a, 'b, 'y, T: Element>(
        &self,
        batch: &mut Batch,
        a: impl Into<TensorView<'a, T>>,
        b: impl Into<TensorView<'b, T>>,
        y: impl Into<TensorViewMut<'y, T>>,
    ) -> Result<()> {
        let [a, b, y] = [a.into().operand(), b.into().operand(), y.into().operand()];
        let device = self.ctx.device();
        if !batch.device().is(device) {
            return Err(Error::Foreign { operand: "the batch".into() });
        }
        let Convolution { a: a_shape, b: b_shape, .. } = &self.problem;
        for (operand, name, shape) in
            [(&a, "A", a_shape), (&b, "B", b_shape), (&y, "the output", &self.output)]
        {
            operand.check_device(device, name)?;
            operand.check_dtype(self.problem.element(), name)?;
            if operand.shape != *shape {
                let found = format!("shape {}", operand.shape);
                return Err(Error::shape(name, format!("shape {shape}"), found));
            }
        }
        y.check_distinct("the output")?;
        match &self.work {
            None => Ok(()),
            Some(work) => work.scratch.lend(batch, |batch, set| {
                self.passes(batch, work, &[set[0].clone(), set[1].clone(), set[2].clone()], a, b, y)
            }),
        }
    }

    /// Records all passes. B's spectrum ends in r, A's in p; their product in q is transformed back in
    /// place but for the last axis, from q to p or, of complex numbers, in place too.
    fn passes(
        &self,
        batch: &mut Batch,
        work: &Work,
        [p, q, r]: &[Buffer; 3],
        a: Operand,
        mut b: Operand,
        y: Operand,
    ) -> Result<()> {
        if self.problem.correlate {
            let element = self.problem.element();
            let reversed = dense(p, (b.shape.clone(), element));
            let mut from = Place::of(&b);
            for along in &work.along {
                from = from.backwards(along.axis, b.shape.dims()[along.axis]);
            }
            let step = if self.problem.complex { Step::Conjugate } else { Step::Copy };
            self.step(batch, step(element), [(&b.buffer, from)], &reversed, cpu::copy)?;
            b = reversed;
        }
        let [of_a, of_b] = &work.forward;
        let b = forward(batch, of_b, b, [r, q])?;
        let a = forward(batch, of_a, a, [p, q])?;
        let mut spectrum = dense(q, work.spectrum.clone());
        let product = Step::Product(self.problem.precision);
        // An axis of one element has a stride of 0 there and so serves the whole batch.
        let inputs = [&a, &b].map(|x| (&x.buffer, Place::of(x)));
        self.step(batch, product, inputs, &spectrum, cpu::product)?;
        let Some((last, others)) = work.inverse.split_last() else { return Ok(()) };
        for (plan, along) in others.iter().zip(work.along.iter().rev()) {
            plan.enqueue(batch, spectrum.clone(), Hooks::new(), spectrum.clone())?;
            spectrum = crop(spectrum, along);
        }
        let whole = match self.problem.complex {
            true => spectrum.clone(),
            false => dense(p, work.last.clone()),
        };
        last.enqueue(batch, spectrum, Hooks::new(), whole.clone())?;
        let kept = work.along.first().map_or(whole.clone(), |along| crop(whole, along));
        let copy = Step::Copy(self.problem.element());
        self.step(batch, copy, [(&kept.buffer, Place::of(&kept))], &y, cpu::copy)
    }

    /// Records one pass over all elements of y, a buffer other than the inputs'; `host` is what the
    /// step is there.
    fn step<const N: usize>(
        &self,
        batch: &mut Batch,
        step: Step,
        inputs: [(&Buffer, Place); N],
        y: &Operand,
        host: fn(Step, &Lines<N>, [&[u8]; N], &mut [u8]),
    ) -> Result<()> {
        let dims = y.shape.dims();
        let buffers = inputs.each_ref().map(|(buffer, _)| *buffer);
        let axis = dims.len().saturating_sub(1);
        let lines = Lines::new(dims, axis, inputs.map(|(_, place)| place), Place::of(y));
        if self.ctx.backend() == Backend::Gpu {
            return gpu::record(batch, &self.ctx, step, &lines, &buffers, &y.buffer);
        }
        let (buffers, y) = (buffers.map(Buffer::clone), y.buffer.clone());
        batch.host(move || {
            Buffer::lend(buffers.each_ref(), &y, |inputs, y| host(step, &lines, inputs, y))
        });
        Ok(())
    }
}

impl Work {
    fn new(problem: &Convolution, output: &Shape, ctx: &Context) -> Result<Self> {
        let Convolution { a, b, complex, .. } = problem;
        let mut along = Vec::new();
        for (axis, (&a, &b)) in a.dims().iter().zip(b.dims()).enumerate().rev() {
            if problem.axes.contains(&axis) {
                along.push(Along::new(axis, [a, b], problem.window(a, b)?)?);
            }
        }
        let axis_of = |fft: Fft, axis: usize| fft.axes([axis]).precision(problem.precision);
        let forward = [a, b].map(|shape| {
            let mut shape = shape.clone();
            let transform = |(at, &Along { axis, length, .. }): (usize, &Along)| {
                let given = shape.dims()[axis];
                let padded = with(&shape, axis, length);
                let real = at == 0 && !complex;
                let fft = if real { Fft::real(padded) } else { Fft::new(padded) };
                let fft = axis_of(if given < length { fft.pad(given) } else { fft }, axis);
                shape = fft.output().0;
                fft
            };
            along.iter().enumerate().map(transform).collect::<Vec<_>>()
        });
        let mut spectrum = output.clone();
        for (at, &Along { axis, length, .. }) in along.iter().enumerate() {
            let extent = if at == 0 && !complex { length / 2 + 1 } else { length };
            spectrum = with(&spectrum, axis, extent);
        }
        let mut shape = spectrum.clone();
        let mut inverse = Vec::new();
        for (at, Along { axis, length, window }) in along.iter().enumerate().rev() {
            shape = with(&shape, *axis, *length);
            // Half a spectrum stays half until the last transform.
            let real = at == 0 && !complex;
            let fft = if real { Fft::real(&shape) } else { Fft::new(&shape) };
            inverse.push(axis_of(fft.inverse(), *axis));
            if at > 0 {
                shape = with(&shape, *axis, window.len());
            }
        }
        let complex_type = if problem.precision == DType::F64 { DType::C128 } else { DType::C64 };
        let (spectrum, last) = ((spectrum, complex_type), (shape, problem.element()));
        let [of_a, of_b] = forward
            .each_ref()
            .map(|ffts| ffts.iter().map(|fft| bytes(&fft.output())).max().unwrap_or(0));
        let reversed = if problem.correlate { bytes(&(b.clone(), problem.element())) } else { 0 };
        let p = of_a.max(reversed).max(if *complex { 0 } else { bytes(&last) });
        let q = of_a.max(of_b).max(bytes(&spectrum));
        // Before the plans, which may take tables as long as what does not fit.
        let scratch = Scratch::new(ctx.device(), vec![p, q, of_b], "scratch of a convolution")?;
        let plans = |ffts: &[Fft]| ffts.iter().map(|fft| fft.plan(ctx)).collect::<Result<Vec<_>>>();
        let forward = [plans(&forward[0])?, plans(&forward[1])?];
        let inverse = plans(&inverse)?;
        if ctx.backend() == Backend::Gpu {
            gpu::prepare(ctx, Step::Product(problem.precision))?;
            gpu::prepare(ctx, Step::Copy(problem.element()))?;
        }
        Ok(Work { along, forward, inverse, spectrum, last, scratch })
    }
}

impl Along {
    /// The least transform in which no kept element has another of the full result upon it: element t
    /// lies upon t − length.
    fn new(axis: usize, [a, b]: [usize; 2], window: Range<usize>) -> Result<Self> {
        let full = a + b - 1; // counted when the window was made
        let least = (full - window.start).max(window.end).max(a).max(b);
        let length = next_smooth(least).ok_or_else(|| Error::Limit {
            what: format!("a convolution of {a} and {b} elements"),
            limit: "usize",
            asked: u64::MAX,
            allowed: usize::MAX as u64,
        })?;
        Ok(Along { axis, length, window })
    }
}

/// The shape with another extent along an axis.
fn with(shape: &Shape, axis: usize, extent: usize) -> Shape {
    let mut dims = shape.dims().to_vec();
    dims[axis] = extent;
    Shape::from(dims)
}

/// Records transforms one after the other, the last of them into the first of two buffers.
fn forward(
    batch: &mut Batch,
    plans: &[FftPlan],
    mut x: Operand,
    buffers: [&Buffer; 2],
) -> Result<Operand> {
    for (left, plan) in (0..plans.len()).rev().zip(plans) {
        let y = dense(buffers[left % 2], plan.problem().output());
        plan.enqueue(batch, x, Hooks::new(), y.clone())?;
        x = y;
    }
    Ok(x)
}

/// The kept part along an axis.
fn crop(x: Operand, along: &Along) -> Operand {
    let Along { axis, window, .. } = along;
    Operand {
        offset: x.offset + window.start * x.strides[*axis],
        shape: with(&x.shape, *axis, window.len()),
        ..x
    }
}
