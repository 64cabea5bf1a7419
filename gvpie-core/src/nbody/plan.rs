//! Checks of a motion, and its state.

use super::{Integrals, NBody, cpu, gpu};
use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::context::Context;
use crate::device::Backend;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::fmm::{FmmPlan, Report};
use crate::tensor::Tensor;

/// Adaptive steps are divided in 2²⁰ parts at most.
const FINEST: u32 = 20;

/// A checked motion. Made by [`NBody::plan`]; any number of states may be begun with it.
///
/// ```
/// use gvpie_core::{Backend, Context, NBody};
/// let ctx = Context::on(Backend::Cpu)?;
/// // Two bodies of mass ½ on a circle of radius ½: its period is 2π.
/// let positions = ctx.upload([2, 4], &[0.5, 0.0, 0.0, 0.5, -0.5, 0.0, 0.0, 0.5])?;
/// let velocities = ctx.upload([2, 4], &[0.0, 0.5, 0.0, 0.0, 0.0, -0.5, 0.0, 0.0])?;
/// let step = std::f64::consts::TAU / 1000.0;
/// let plan = NBody::new(2).step(step).precision(gvpie_core::DType::F64).plan(&ctx)?;
/// let mut state = plan.begin(positions, velocities)?;
/// assert_eq!(state.integrals()?.energy(), -0.125);
/// state.advance(1000)?;
/// assert!((state.positions().download()?[0] - 0.5_f64).abs() < 1e-5);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct NBodyPlan {
    problem: NBody,
    field: FmmPlan,
    engine: Engine,
    ctx: Context,
}

#[derive(Debug, Clone)]
enum Engine {
    Gpu(gpu::Prepared),
    Cpu,
}

impl NBodyPlan {
    pub(super) fn new(problem: NBody, ctx: &Context) -> Result<Self> {
        check(&problem)?;
        let field = problem.field().plan(ctx)?;
        let engine = match ctx.backend() {
            Backend::Gpu => Engine::Gpu(gpu::Prepared::new(ctx, problem.bodies)?),
            Backend::Cpu => Engine::Cpu,
        };
        Ok(NBodyPlan { problem, field, engine, ctx: ctx.clone() })
    }

    /// The problem it solves.
    pub fn problem(&self) -> &NBody {
        &self.problem
    }

    /// How the field is computed.
    pub fn field(&self) -> &FmmPlan {
        &self.field
    }

    /// The state at time 0 of bodies at these positions, with these velocities.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Element`] or [`Error::Foreign`] naming the operand that does not
    /// fit the plan; [`Error::Value`] naming a row that is not finite; errors of the device.
    pub fn begin<T: Element>(
        &self,
        positions: Tensor<T>,
        velocities: Tensor<T>,
    ) -> Result<State<T>> {
        self.check(&positions, "the positions")?;
        self.check(&velocities, "the velocities")?;
        let field = self.ctx.zeros([self.problem.bodies, 4])?;
        let mut state = self.state(positions, velocities, field, 0)?;
        state.check_finite()?;
        state.evaluate()?;
        Ok(state)
    }

    /// The state that a checkpoint holds: it goes on as the one that it was taken of would have, to
    /// the bit, where the plan is of the same problem on the same device.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn resume<T: Element>(&self, checkpoint: &Checkpoint<T>) -> Result<State<T>> {
        let upload = |rows: &[T], name: &str| {
            let shape = [self.problem.bodies, 4];
            if rows.len() != 4 * self.problem.bodies {
                let expected = format!("{} elements for shape {}x4", 4 * shape[0], shape[0]);
                return Err(Error::shape(name, expected, format!("{} elements", rows.len())));
            }
            let tensor = self.ctx.upload(shape, rows)?;
            self.check(&tensor, name)?;
            Ok(tensor)
        };
        let positions = upload(&checkpoint.positions, "the positions")?;
        let velocities = upload(&checkpoint.velocities, "the velocities")?;
        let field = upload(&checkpoint.field, "the field")?;
        let state = self.state(positions, velocities, field, checkpoint.steps)?;
        state.check_finite()?;
        Ok(state)
    }

    fn check<T: Element>(&self, tensor: &Tensor<T>, name: &str) -> Result<()> {
        let operand = tensor.view().operand();
        operand.check_device(self.ctx.device(), name)?;
        operand.check_dtype(self.problem.precision, name)?;
        let rows = self.problem.bodies;
        if tensor.shape().dims() == [rows, 4] {
            return Ok(());
        }
        let found = format!("shape {}", tensor.shape());
        Err(Error::shape(name, format!("shape {rows}x4"), found))
    }

    fn state<T: Element>(
        &self,
        positions: Tensor<T>,
        velocities: Tensor<T>,
        field: Tensor<T>,
        steps: u64,
    ) -> Result<State<T>> {
        let bytes = match &self.engine {
            Engine::Gpu(kernels) => kernels.part_bytes(),
            Engine::Cpu => size_of::<[f64; 12]>() as u64,
        };
        let sums = Buffer::zeroed(self.ctx.device(), bytes, "the sums over bodies")?;
        let (plan, report) = (self.clone(), Report::default());
        Ok(State { plan, positions, velocities, field, sums, steps, evaluations: 0, report })
    }
}

/// An error if the problem makes no sense. (What concerns the field alone its own plan checks.)
fn check(problem: &NBody) -> Result<()> {
    let wrong = |name: &str, value: f64, expected: &str| Error::Setting {
        name: name.into(),
        value: value.to_string(),
        expected: expected.into(),
    };
    let NBody { step, adaptive, softening, .. } = *problem;
    if !(step > 0.0 && step.is_finite()) {
        return Err(wrong("step", step, "a length of time above 0"));
    }
    if !(softening >= 0.0 && softening.is_finite()) {
        return Err(wrong("softening", softening, "a length from 0"));
    }
    match adaptive {
        Some(eta) if !(eta > 0.0 && eta.is_finite()) => {
            Err(wrong("adaptive", eta, "a number above 0, as in 0.025"))
        }
        Some(_) if softening == 0.0 => {
            Err(wrong("softening", softening, "a length above 0, which adaptive steps follow"))
        }
        _ => Ok(()),
    }
}

/// The least k ≤ [`FINEST`] with step/2ᵏ ≤ √(2ηε/|a|), for a square of |a|.
pub(super) fn division(step: f64, eta: f64, softening: f64, square: f64) -> Result<u32> {
    let longest = (2.0 * eta * softening / square.sqrt()).sqrt();
    let divided = |k: u32| step / f64::from(1_u32 << k) <= longest;
    (0..=FINEST).find(|&k| divided(k)).ok_or_else(|| Error::Value {
        operand: "the largest acceleration".into(),
        expected: format!("one that a step of {step} in at most 2^{FINEST} parts can follow"),
        found: square.sqrt().to_string(),
    })
}

/// Positions, velocities and field of bodies at a time, on a device.
///
/// After an error of a call that changes it, a state is of no more use.
#[derive(Debug)]
pub struct State<T> {
    plan: NBodyPlan,
    positions: Tensor<T>,
    velocities: Tensor<T>,
    field: Tensor<T>,
    /// What comes back of sums.
    sums: Buffer,
    steps: u64,
    evaluations: u64,
    report: Report,
}

/// A [`State`] on the host, from which [`NBodyPlan::resume`] makes it again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checkpoint<T> {
    /// Rows x, y, z, m.
    pub positions: Vec<T>,
    /// Rows vx, vy, vz, 0.
    pub velocities: Vec<T>,
    /// Rows φ, ∇φ at the positions.
    pub field: Vec<T>,
    /// Steps since time 0.
    pub steps: u64,
}

impl<T: Element> State<T> {
    /// Goes on by so many steps, without waiting for the last.
    ///
    /// # Errors
    /// Errors of the device; [`Error::Value`] where an adaptive step would have to be divided too
    /// often, or the field is not finite.
    pub fn advance(&mut self, steps: u64) -> Result<()> {
        let (step, adaptive) = (self.plan.problem.step, self.plan.problem.adaptive);
        let whole = 1_u64 << FINEST;
        // What has been recorded and not submitted: a part's last kick goes with the next's first.
        let mut batch = self.plan.ctx.batch("leapfrog");
        for _ in 0..steps {
            let mut at = 0;
            while at < whole {
                let mut ticks = whole;
                if let Some(eta) = adaptive {
                    let square = self.steepest(batch)?;
                    batch = self.plan.ctx.batch("leapfrog");
                    ticks >>= division(step, eta, self.plan.problem.softening, square)?;
                    while at % ticks != 0 {
                        ticks /= 2;
                    }
                }
                let h = step * (ticks as f64 / whole as f64);
                self.record(&mut batch, Shift::Kick, 0.5 * h)?;
                self.record(&mut batch, Shift::Drift, h)?;
                batch.submit()?;
                self.evaluate()?;
                batch = self.plan.ctx.batch("leapfrog");
                self.record(&mut batch, Shift::Kick, 0.5 * h)?;
                at += ticks;
            }
            self.steps += 1;
        }
        batch.submit()
    }

    /// What is kept, and what it is made of; waits.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn integrals(&self) -> Result<Integrals> {
        let softening = self.plan.problem.softening;
        let own = if softening > 0.0 { softening.recip() } else { 0.0 };
        let (x, v, field) =
            (self.positions.buffer(), self.velocities.buffer(), self.field.buffer());
        let sums = match &self.plan.engine {
            Engine::Gpu(kernels) => {
                let mut batch = self.plan.ctx.batch("integrals");
                kernels.measure(&mut batch, own, x, v, field, &self.sums)?;
                batch.submit()?;
                kernels.total(&self.sums.read(0..self.sums.len())?)
            }
            Engine::Cpu => {
                let count = self.positions.len();
                Buffer::lend([x, v, field], &self.sums, |[x, v, field], _| match T::DTYPE {
                    DType::F64 => {
                        let [x, v, field] = [x, v, field].map(|rows| real::<f64>(rows, count));
                        cpu::measure(own, x, v, field)
                    }
                    _ => {
                        let [x, v, field] = [x, v, field].map(|rows| real::<f32>(rows, count));
                        cpu::measure(own, x, v, field)
                    }
                })?
            }
        };
        let [px, py, pz, mass, cx, cy, cz, kinetic, lx, ly, lz, bound] = sums;
        let centre = [cx, cy, cz].map(|sum| if mass == 0.0 { 0.0 } else { sum / mass });
        Ok(Integrals {
            kinetic,
            potential: -bound,
            mass,
            momentum: [px, py, pz],
            angular_momentum: [lx, ly, lz],
            centre,
        })
    }

    /// The plan that it was begun with.
    pub fn plan(&self) -> &NBodyPlan {
        &self.plan
    }

    /// Rows x, y, z, m.
    pub fn positions(&self) -> &Tensor<T> {
        &self.positions
    }

    /// Rows vx, vy, vz, 0.
    pub fn velocities(&self) -> &Tensor<T> {
        &self.velocities
    }

    /// Rows φ, ∂φ/∂x, ∂φ/∂y, ∂φ/∂z at the positions.
    pub fn field(&self) -> &Tensor<T> {
        &self.field
    }

    /// Steps since time 0.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The time: steps times their length.
    pub fn time(&self) -> f64 {
        self.steps as f64 * self.plan.problem.step
    }

    /// How often the field was computed, since [`begin`](NBodyPlan::begin) or
    /// [`resume`](NBodyPlan::resume).
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// What the last evaluation of the field did.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// A copy on the host, with all that later steps depend on; waits.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn checkpoint(&self) -> Result<Checkpoint<T>> {
        Ok(Checkpoint {
            positions: self.positions.download()?,
            velocities: self.velocities.download()?,
            field: self.field.download()?,
            steps: self.steps,
        })
    }

    fn evaluate(&mut self) -> Result<()> {
        self.report = self.plan.field.run(&self.positions, &mut self.field)?;
        self.evaluations += 1;
        Ok(())
    }

    /// Records the change of velocities by the field, or of positions by velocities.
    fn record(&self, batch: &mut Batch, shift: Shift, h: f64) -> Result<()> {
        let (x, v) = (self.positions.buffer(), self.velocities.buffer());
        let (from, to) = match shift {
            Shift::Kick => (self.field.buffer(), v),
            Shift::Drift => (v, x),
        };
        match &self.plan.engine {
            Engine::Gpu(kernels) => match shift {
                Shift::Kick => kernels.kick(batch, h, from, to),
                Shift::Drift => kernels.drift(batch, h, from, to),
            },
            Engine::Cpu => {
                let (from, to, count) = (from.clone(), to.clone(), self.positions.len());
                batch.host(move || {
                    Buffer::lend([&from], &to, |[from], to| match T::DTYPE {
                        DType::F64 => shift.apply::<f64>(h, from, to, count),
                        _ => shift.apply::<f32>(h, from, to, count),
                    })
                });
                Ok(())
            }
        }
    }

    /// The largest |a|², after what is recorded; waits.
    fn steepest(&self, mut batch: Batch) -> Result<f64> {
        let field = self.field.buffer();
        let square = match &self.plan.engine {
            Engine::Gpu(kernels) => {
                kernels.steepest(&mut batch, field, &self.sums)?;
                batch.submit()?;
                kernels.largest(&self.sums.read(0..self.sums.len())?)
            }
            Engine::Cpu => {
                batch.submit()?;
                let count = self.field.len();
                Buffer::lend([field], &self.sums, |[field], _| match T::DTYPE {
                    DType::F64 => cpu::steepest(real::<f64>(field, count)),
                    _ => cpu::steepest(real::<f32>(field, count)),
                })?
            }
        };
        if square.is_finite() {
            return Ok(square);
        }
        Err(Error::Value {
            operand: "the field".into(),
            expected: format!("accelerations whose squares {} can hold", T::DTYPE),
            found: format!("{square} after {} steps", self.steps),
        })
    }

    /// An error naming the row that is not finite, or saying that sums overflow.
    fn check_finite(&self) -> Result<()> {
        let Integrals { kinetic, mass, momentum, angular_momentum, centre, .. } =
            self.integrals()?;
        let vectors = [momentum, angular_momentum, centre].concat();
        if vectors.into_iter().chain([kinetic, mass]).all(f64::is_finite) {
            return Ok(());
        }
        let operands = [("the positions", &self.positions), ("the velocities", &self.velocities)];
        for (name, tensor) in operands {
            let rows = tensor.download()?;
            let bytes = bytemuck::cast_slice(&rows);
            let bad = match T::DTYPE {
                DType::F64 => first_bad::<f64>(bytes),
                _ => first_bad::<f32>(bytes),
            };
            if let Some((row, found)) = bad {
                let (operand, found) = (format!("{name}, row {row}"), found.to_string());
                return Err(Error::Value { operand, expected: "finite numbers".into(), found });
            }
        }
        Err(Error::Value {
            operand: "the momenta and energies of the bodies".into(),
            expected: format!("sums that {} can hold", T::DTYPE),
            found: "an overflow".into(),
        })
    }
}

/// A part of a step.
#[derive(Debug, Clone, Copy)]
enum Shift {
    /// Of velocities, by the field.
    Kick,
    /// Of positions, by velocities.
    Drift,
}

impl Shift {
    fn apply<T: cpu::Real>(self, h: f64, from: &[u8], to: &mut [u8], count: usize) {
        let to = &mut bytemuck::cast_slice_mut(to)[..count];
        match self {
            Shift::Kick => cpu::kick::<T>(h, real(from, count), to),
            Shift::Drift => cpu::drift::<T>(h, real(from, count), to),
        }
    }
}

/// The numbers of a buffer, without its padding.
fn real<T: cpu::Real>(bytes: &[u8], count: usize) -> &[T] {
    &bytemuck::cast_slice(bytes)[..count]
}

/// Row and value of the first number that is not finite, in rows of four.
fn first_bad<T: cpu::Real>(bytes: &[u8]) -> Option<(usize, f64)> {
    let numbers = bytemuck::cast_slice::<u8, T>(bytes).iter().map(|x| x.wide());
    numbers.enumerate().find(|(_, x)| !x.is_finite()).map(|(i, x)| (i / 4, x))
}
