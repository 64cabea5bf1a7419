//! Checks, tables and passes of cosine and sine transforms.

use super::{Trig, Type, Wave, cpu, gpu};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::device::Backend;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::fft::strided::{Lines, Place};
use crate::fft::{Fft, FftPlan, Hooks, Norm};
use crate::scratch::{Scratch, bytes, dense};
use crate::tensor::{Operand, TensorView, TensorViewMut};
use num_complex::Complex;
use std::f64::consts::{FRAC_1_SQRT_2, PI, SQRT_2};

/// What comes before or after the FFT along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Dct2Before,
    Dct2After,
    Dct3Before,
    Dct3After,
    Dct4EvenBefore,
    Dct4EvenAfter,
    Dct4OddBefore,
    Dct4OddAfter,
}

impl Step {
    /// Those of a type along an axis of n.
    fn around(kind: Type, n: usize) -> [Step; 2] {
        match kind {
            Type::Two => [Step::Dct2Before, Step::Dct2After],
            Type::Three => [Step::Dct3Before, Step::Dct3After],
            Type::Four if n.is_multiple_of(2) => [Step::Dct4EvenBefore, Step::Dct4EvenAfter],
            Type::Four => [Step::Dct4OddBefore, Step::Dct4OddAfter],
        }
    }

    /// Whether it multiplies by roots of unity.
    pub fn rotates(self) -> bool {
        matches!(
            self,
            Step::Dct2After | Step::Dct3Before | Step::Dct4EvenBefore | Step::Dct4EvenAfter
        )
    }
}

/// Both sides of a step as it runs: lines along an axis of n.
#[derive(Debug)]
pub(super) struct Pass {
    pub step: Step,
    pub wave: Wave,
    pub precision: DType,
    pub n: usize,
    pub lines: Lines<1>,
}

/// The transform along one axis.
#[derive(Debug, Clone)]
struct Along {
    axis: usize,
    n: usize,
    steps: [Step; 2],
    fft: FftPlan,
    roots: Option<Buffer>,
}

/// A checked, compiled cosine or sine transform. Made by [`Trig::plan`]; run as often as wanted, from
/// any thread.
///
/// ```
/// use gvpie_core::{Backend, Context, fft::Trig};
/// let ctx = Context::on(Backend::Cpu)?;
/// let x = ctx.upload([3], &[1.0_f32, 1.0, 1.0])?;
/// let mut y = ctx.zeros([3])?;
/// Trig::dct2([3]).plan(&ctx)?.run(&x, &mut y)?;
/// assert!((y.download()?[0] - 6.0_f32).abs() < 1e-5);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TrigPlan {
    problem: Trig,
    /// None where there are no elements.
    along: Vec<Along>,
    scratch: Scratch,
    ctx: Context,
}

impl TrigPlan {
    pub(super) fn new(problem: Trig, ctx: &Context) -> Result<Self> {
        problem.check()?;
        let axes = if problem.shape.is_empty() { &[][..] } else { &problem.axes };
        let ffts: Vec<Fft> = axes.iter().map(|&axis| problem.fft(axis)).collect();
        // Of each FFT the input lies in one buffer and the output in the other, in turn. They come
        // before the plans, which may take tables as long as what does not fit.
        let sizes = ffts.iter().map(|fft| bytes(&fft.input()).max(bytes(&fft.output())));
        let size = sizes.max().unwrap_or(0);
        let scratch = Scratch::new(ctx.device(), vec![size; 2], "scratch of a DCT or DST")?;
        let along = axes.iter().zip(&ffts).map(|(&axis, fft)| Along::new(&problem, axis, fft, ctx));
        let along = along.collect::<Result<Vec<_>>>()?;
        let plan = TrigPlan { problem, along, scratch, ctx: ctx.clone() };
        plan.prepare()?;
        Ok(plan)
    }

    /// Compiles the kernels for dense operands, so that the first run does not.
    fn prepare(&self) -> Result<()> {
        if self.ctx.backend() == Backend::Cpu {
            return Ok(());
        }
        for along in &self.along {
            let dims = self.problem.shape.dims();
            for step in along.steps {
                let dense = Place::dense(dims);
                let lines = Lines::new(dims, along.axis, [dense.clone()], dense);
                gpu::prepare(&self.ctx, &along.pass(&self.problem, step, lines))?;
            }
        }
        Ok(())
    }

    /// The problem it solves.
    pub fn problem(&self) -> &Trig {
        &self.problem
    }

    /// Computes y from x without waiting for the result.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Element`] or [`Error::Foreign`] naming the operand that does not
    /// fit the plan; [`Error::Limit`] for views whose axes lie apart too much for a GPU's kernel;
    /// errors of the device.
    pub fn run<'x, 'y, T: Element>(
        &self,
        x: impl Into<TensorView<'x, T>>,
        y: impl Into<TensorViewMut<'y, T>>,
    ) -> Result<()> {
        let mut batch = self.ctx.batch("dct or dst");
        self.record(&mut batch, x, y)?;
        batch.submit()
    }

    /// Replaces x by its transform.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_in_place<'x, T: Element>(&self, x: impl Into<TensorViewMut<'x, T>>) -> Result<()> {
        let mut batch = self.ctx.batch("dct or dst");
        self.record_in_place(&mut batch, x)?;
        batch.submit()
    }

    /// Records what [`run`](Self::run) does into a batch.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn record<'x, 'y, T: Element>(
        &self,
        batch: &mut Batch,
        x: impl Into<TensorView<'x, T>>,
        y: impl Into<TensorViewMut<'y, T>>,
    ) -> Result<()> {
        self.enqueue(batch, x.into().operand(), y.into().operand())
    }

    /// Records what [`run_in_place`](Self::run_in_place) does into a batch.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn record_in_place<'x, T: Element>(
        &self,
        batch: &mut Batch,
        x: impl Into<TensorViewMut<'x, T>>,
    ) -> Result<()> {
        let x = x.into().operand();
        self.enqueue(batch, x.clone(), x)
    }

    fn enqueue(&self, batch: &mut Batch, x: Operand, y: Operand) -> Result<()> {
        let device = self.ctx.device();
        if !batch.device().is(device) {
            return Err(Error::Foreign { operand: "the batch".into() });
        }
        let Trig { shape, precision, .. } = &self.problem;
        for (operand, name) in [(&x, "the input"), (&y, "the output")] {
            operand.check_device(device, name)?;
            operand.check_dtype(*precision, name)?;
            if operand.shape != *shape {
                let found = format!("shape {}", operand.shape);
                return Err(Error::shape(name, format!("shape {shape}"), found));
            }
        }
        y.check_distinct("the output")?;
        if self.along.is_empty() {
            return Ok(());
        }
        self.scratch.lend(batch, |batch, set| {
            let mut from = x;
            let mut turn = 0;
            for (i, along) in self.along.iter().enumerate() {
                let (input, output) = (along.fft.problem().input(), along.fft.problem().output());
                let before = dense(&set[turn], input);
                let after = dense(&set[1 - turn], output);
                let to = match i + 1 == self.along.len() {
                    true => y.clone(),
                    false => dense(&set[turn], (shape.clone(), *precision)),
                };
                self.step(batch, along, along.steps[0], &from, &before)?;
                along.fft.enqueue(batch, before, Hooks::new(), after.clone())?;
                self.step(batch, along, along.steps[1], &after, &to)?;
                (from, turn) = (to, 1 - turn);
            }
            Ok(())
        })
    }

    /// Records one pass from x to y, two different buffers.
    fn step(
        &self,
        batch: &mut Batch,
        along: &Along,
        step: Step,
        x: &Operand,
        y: &Operand,
    ) -> Result<()> {
        let lines = Lines::new(y.shape.dims(), along.axis, [Place::of(x)], Place::of(y));
        let pass = along.pass(&self.problem, step, lines);
        let roots = along.roots.as_ref().filter(|_| step.rotates());
        match self.ctx.backend() {
            Backend::Gpu => {
                let inputs: Vec<&Buffer> = [&x.buffer].into_iter().chain(roots).collect();
                gpu::record(batch, &self.ctx, &pass, &inputs, &y.buffer)
            }
            Backend::Cpu => {
                let (x, y) = (x.buffer.clone(), y.buffer.clone());
                // Where there are no roots, the input stands in their place and is not looked at.
                let roots = roots.unwrap_or(&x).clone();
                batch.host(move || {
                    Buffer::lend([&x, &roots], &y, |[x, roots], y| cpu::run(&pass, x, roots, y))
                });
                Ok(())
            }
        }
    }
}

impl Trig {
    /// The FFT that the transform along an axis is made of.
    fn fft(&self, axis: usize) -> Fft {
        let dims = self.shape.dims();
        let n = dims[axis];
        let factor = self.factor(n);
        let fft = match Step::around(self.computed(), n)[0] {
            Step::Dct4EvenBefore => {
                let mut half = dims.to_vec();
                half[axis] = n / 2;
                Fft::new(half).scale(2.0 * factor)
            }
            Step::Dct4OddBefore => Fft::real(dims).scale(SQRT_2 * factor),
            // Without the division by n that the inverse has by default.
            Step::Dct3Before => Fft::real(dims).inverse().norm(Norm::Forward).scale(factor),
            _ => Fft::real(dims).scale(2.0 * factor),
        };
        fft.axes([axis]).precision(self.precision)
    }
}

impl Along {
    fn new(problem: &Trig, axis: usize, fft: &Fft, ctx: &Context) -> Result<Self> {
        let n = problem.shape.dims()[axis];
        let steps = Step::around(problem.computed(), n);
        let fft = fft.plan(ctx)?;
        let roots = roots(steps[0], n, problem.norm);
        let roots = match roots.is_empty() {
            true => None,
            false => Some(upload(ctx, &roots, problem.precision)?),
        };
        Ok(Along { axis, n, steps, fft, roots })
    }

    fn pass(&self, problem: &Trig, step: Step, lines: Lines<1>) -> Pass {
        let Trig { wave, precision, .. } = *problem;
        Pass { step, wave, precision, n: self.n, lines }
    }
}

/// The roots of unity that a type along an axis of n is given; see fft_trig.wgsl.jinja.
fn roots(before: Step, n: usize, norm: Norm) -> Vec<Complex<f64>> {
    let unit = |part: f64, first: f64| {
        let root = move |k: usize| {
            let weight = if k == 0 && norm == Norm::Ortho { first } else { 1.0 };
            Complex::from_polar(weight, part * k as f64 / n as f64)
        };
        (0..=n / 2).map(root).collect()
    };
    match before {
        Step::Dct2Before => unit(-PI / 2.0, FRAC_1_SQRT_2),
        Step::Dct3Before => unit(PI / 2.0, SQRT_2),
        Step::Dct4EvenBefore => {
            let root = |k| Complex::cis(-PI * (8 * k + 1) as f64 / (8 * n) as f64);
            (0..n / 2).map(root).collect()
        }
        _ => Vec::new(),
    }
}

fn upload(ctx: &Context, roots: &[Complex<f64>], precision: DType) -> Result<Buffer> {
    if precision == DType::F64 {
        return Ok(ctx.upload([roots.len()], roots)?.buffer().clone());
    }
    let roots: Vec<Complex<f32>> =
        roots.iter().map(|root| Complex::new(root.re as f32, root.im as f32)).collect();
    Ok(ctx.upload([roots.len()], &roots)?.buffer().clone())
}
