//! Checks and choices of the FFT.

use super::{Fft, Recipe, cpu, program};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::device::Backend;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::tensor::{Operand, Tensor, TensorView, TensorViewMut};

/// What a run is given besides input and output.
///
/// ```
/// use gvpie_core::{Backend, Complex, Context, Fft, fft::Hooks};
/// let ctx = Context::on(Backend::Cpu)?;
/// let x = ctx.upload([4], &[1.0_f32, 1.0, 1.0, 1.0])?;
/// let window = ctx.upload([4], &[0.0_f32, 1.0, 1.0, 0.0])?;
/// let mut y = ctx.zeros::<Complex<f32>>([3])?;
/// let plan = Fft::real([4]).window().plan(&ctx)?;
/// plan.run_with(&x, Hooks::new().window(&window), &mut y)?;
/// assert_eq!(y.download()?[0].re, 2.0);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    window: Option<Operand>,
    spectrum: Option<Operand>,
}

impl Hooks {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The vector of [`Fft::window`].
    pub fn window<T: Element>(self, window: &Tensor<T>) -> Self {
        Hooks { window: Some(window.view().operand()), ..self }
    }

    /// The vector of [`Fft::spectrum`].
    pub fn spectrum<T: Element>(self, spectrum: &Tensor<T>) -> Self {
        Hooks { spectrum: Some(spectrum.view().operand()), ..self }
    }
}

/// A checked, compiled transform. Made by [`Fft::plan`]; run as often as wanted, from any thread.
///
/// ```
/// use gvpie_core::{Backend, Complex, Context, Fft};
/// let ctx = Context::on(Backend::Cpu)?;
/// let x = ctx.upload([4], &[Complex::new(1.0_f32, 0.0); 4])?;
/// let mut y = ctx.zeros::<Complex<f32>>([4])?;
/// Fft::new([4]).plan(&ctx)?.run(&x, &mut y)?;
/// assert_eq!(y.download()?[0], Complex::new(4.0, 0.0));
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FftPlan {
    problem: Fft,
    engine: Engine,
    ctx: Context,
}

#[derive(Debug, Clone)]
enum Engine {
    Gpu(program::Prepared),
    Cpu(cpu::Prepared),
}

/// The operands of one run, checked against the plan.
#[derive(Debug)]
pub(super) struct Operands {
    pub x: Operand,
    /// Writable, of another buffer than all others unless it is x: then the run is in place.
    pub y: Operand,
    /// A real vector as long as x is along the last of the axes.
    pub window: Option<Operand>,
    /// A complex vector as long as y is along the last of the axes.
    pub spectrum: Option<Operand>,
}

impl Operands {
    /// Whether the output takes the input's place.
    pub fn in_place(&self) -> bool {
        self.x.buffer.is(&self.y.buffer)
    }
}

impl FftPlan {
    pub(super) fn new(problem: Fft, ctx: &Context) -> Result<Self> {
        problem.check()?;
        let engine = match ctx.backend() {
            Backend::Gpu => Engine::Gpu(program::Prepared::new(&problem, ctx)?),
            Backend::Cpu => Engine::Cpu(cpu::Prepared::new(&problem)?),
        };
        Ok(FftPlan { problem, engine, ctx: ctx.clone() })
    }

    /// The problem it solves.
    pub fn problem(&self) -> &Fft {
        &self.problem
    }

    /// How it computes on a GPU, for dense operands; `None` on the CPU.
    pub fn recipe(&self) -> Option<&Recipe> {
        match &self.engine {
            Engine::Gpu(prepared) => Some(prepared.recipe()),
            Engine::Cpu(_) => None,
        }
    }

    /// Computes y from x without waiting for the result.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Element`] or [`Error::Foreign`] naming the operand that does not
    /// fit the plan; errors of the device.
    pub fn run<'x, 'y, X: Element, Y: Element>(
        &self,
        x: impl Into<TensorView<'x, X>>,
        y: impl Into<TensorViewMut<'y, Y>>,
    ) -> Result<()> {
        self.run_with(x, Hooks::new(), y)
    }

    /// Computes y from x and the vectors that the plan's hooks ask for.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::Shape`] naming a vector that is missing, not asked for, or of
    /// another length.
    pub fn run_with<'x, 'y, X: Element, Y: Element>(
        &self,
        x: impl Into<TensorView<'x, X>>,
        hooks: Hooks,
        y: impl Into<TensorViewMut<'y, Y>>,
    ) -> Result<()> {
        let mut batch = self.ctx.batch("fft");
        self.record_with(&mut batch, x, hooks, y)?;
        batch.submit()
    }

    /// Replaces x by its transform.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::Unsupported`] where input and output differ in shape or type.
    pub fn run_in_place<'x, X: Element>(&self, x: impl Into<TensorViewMut<'x, X>>) -> Result<()> {
        let mut batch = self.ctx.batch("fft");
        self.record_in_place(&mut batch, x)?;
        batch.submit()
    }

    /// Records what [`run`](Self::run) does into a batch.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn record<'x, 'y, X: Element, Y: Element>(
        &self,
        batch: &mut Batch,
        x: impl Into<TensorView<'x, X>>,
        y: impl Into<TensorViewMut<'y, Y>>,
    ) -> Result<()> {
        self.record_with(batch, x, Hooks::new(), y)
    }

    /// Records what [`run_with`](Self::run_with) does into a batch.
    ///
    /// # Errors
    /// As [`run_with`](Self::run_with).
    pub fn record_with<'x, 'y, X: Element, Y: Element>(
        &self,
        batch: &mut Batch,
        x: impl Into<TensorView<'x, X>>,
        hooks: Hooks,
        y: impl Into<TensorViewMut<'y, Y>>,
    ) -> Result<()> {
        self.enqueue(batch, x.into().operand(), hooks, y.into().operand())
    }

    /// Records what [`run_in_place`](Self::run_in_place) does into a batch.
    ///
    /// # Errors
    /// As [`run_in_place`](Self::run_in_place).
    pub fn record_in_place<'x, X: Element>(
        &self,
        batch: &mut Batch,
        x: impl Into<TensorViewMut<'x, X>>,
    ) -> Result<()> {
        if self.problem.input() != self.problem.output() {
            return Err(Error::unsupported(
                "this transform in place",
                "its output has another shape or type than its input",
            ));
        }
        let x = x.into().operand();
        self.enqueue(batch, x.clone(), Hooks::new(), x)
    }

    /// Records a run on operands whose element types are data.
    pub(super) fn enqueue(
        &self,
        batch: &mut Batch,
        x: Operand,
        hooks: Hooks,
        y: Operand,
    ) -> Result<()> {
        let device = self.ctx.device();
        if !batch.device().is(device) {
            return Err(Error::Foreign { operand: "the batch".into() });
        }
        let problem = &self.problem;
        let check = |operand: &Operand, name: &str, (shape, dtype): (Shape, DType)| {
            operand.check_device(device, name)?;
            operand.check_dtype(dtype, name)?;
            if operand.shape != shape {
                let found = format!("shape {}", operand.shape);
                return Err(Error::shape(name, format!("shape {shape}"), found));
            }
            Ok(())
        };
        let (input, output) = (problem.input(), problem.output());
        let axis = problem.last().map_or(0, |(axis, _)| axis);
        let along = |shape: &Shape| Shape::from([shape.dims()[axis]]);
        let hook =
            |given: Option<Operand>, asked: bool, name: &str, expected: (Shape, DType)| match given
            {
                Some(vector) if asked => check(&vector, name, expected).map(|()| Some(vector)),
                None if !asked => Ok(None),
                Some(vector) => {
                    let found = format!("shape {}", vector.shape);
                    Err(Error::shape(name, "none, as the plan was made without one", found))
                }
                None => {
                    let expected = format!("a vector of shape {}", expected.0);
                    Err(Error::shape(name, expected, "none"))
                }
            };
        check(&x, "the input", input.clone())?;
        check(&y, "the output", output.clone())?;
        y.check_distinct("the output")?;
        let window = (along(&input.0), problem.precision);
        let window = hook(hooks.window, problem.window, "the window", window)?;
        let spectrum = (along(&output.0), problem.complex());
        let spectrum = hook(hooks.spectrum, problem.spectrum, "the spectrum", spectrum)?;
        if output.0.is_empty() {
            return Ok(());
        }
        let operands = Operands { x, y, window, spectrum };
        match &self.engine {
            Engine::Gpu(prepared) => prepared.record(batch, &self.ctx, problem, operands),
            Engine::Cpu(prepared) => {
                let (prepared, problem) = (prepared.clone(), problem.clone());
                batch.host(move || run_host(&prepared, &problem, &operands));
                Ok(())
            }
        }
    }
}

fn run_host(prepared: &cpu::Prepared, problem: &Fft, operands: &Operands) -> Result<()> {
    let Operands { x, y, window, spectrum } = operands;
    let side = |operand: &Operand| cpu::Side {
        dims: operand.shape.dims().to_vec(),
        strides: operand.strides.clone(),
        offset: operand.offset,
    };
    // Where there is none, the input stands in its place and is not looked at.
    let others = [window.as_ref().unwrap_or(x), spectrum.as_ref().unwrap_or(x)];
    let work = |bytes_x: Option<&[u8]>, hooks: [&[u8]; 2], bytes_y: &mut [u8]| {
        let hooks = cpu::Vectors {
            window: window.as_ref().map(|window| (hooks[0], side(window))),
            spectrum: spectrum.as_ref().map(|spectrum| (hooks[1], side(spectrum))),
        };
        cpu::transform(
            prepared,
            problem,
            bytes_x.map(|x_bytes| (x_bytes, side(x))),
            hooks,
            (bytes_y, side(y)),
        )
    };
    if operands.in_place() {
        return Buffer::lend([], &y.buffer, |[], bytes_y| work(None, [&[]; 2], bytes_y))?;
    }
    let inputs = [&x.buffer, &others[0].buffer, &others[1].buffer];
    Buffer::lend(inputs, &y.buffer, |[bytes_x, first, second], bytes_y| {
        work(Some(bytes_x), [first, second], bytes_y)
    })?
}
