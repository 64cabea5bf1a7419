//! Checks and choices of the fast multipole method.

use super::pairs::Float;
use super::{Accuracy, Boundary, Fmm, Method, cpu, gpu};
use crate::buffer::Buffer;
use crate::context::Context;
use crate::device::Backend;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::time::Duration;

/// How a plan computes; prints as `direct` or `fmm-p10-leaf256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Every pair.
    Direct,
    /// The fast multipole method.
    Fmm {
        /// Degree of the expansions.
        order: usize,
        /// Points of a leaf at most.
        leaf: usize,
    },
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Algorithm::Direct => f.write_str("direct"),
            Algorithm::Fmm { order, leaf } => write!(f, "fmm-p{order}-leaf{leaf}"),
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Report {
    /// Levels of the tree, the root's included; 0 for a direct sum.
    pub levels: usize,
    /// Cells of the tree that hold points.
    pub cells: usize,
    /// Of these, leaves.
    pub leaves: usize,
    /// Multipole-to-local translations.
    pub translations: u64,
    /// Pairs of source and target summed directly.
    pub pairs: u64,
    /// Time for the tree: keys, sort, cells, neighbours.
    pub tree: Duration,
    /// Time for all else.
    pub evaluation: Duration,
}

/// What a back end is told, besides the points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    pub algorithm: Algorithm,
    pub softening: f64,
    pub boundary: Boundary,
    /// The relative error that is aimed at.
    pub bound: f64,
    /// Pairs of a cell and its full neighbours that cost more than dividing it.
    pub pairs: f64,
}

impl Settings {
    /// The side below which cells are not divided, so that what is farther than a neighbour of a
    /// cell is farther than softening reaches: there 1/√(r² + ε²) is 1/r to ε²/2r² of itself, of the
    /// gradient to 3ε²/2r².
    pub fn least_side(&self) -> f64 {
        self.softening * (1.5 / self.bound).sqrt()
    }
}

/// 1.3 times the largest relative error in L2, of potentials or of gradients, by degree of the
/// expansions from 1 on: of f64, against direct sums, for points in a cube, on a sphere, of a Plummer
/// sphere, in two distant clusters and on a line, all masses or of both signs, 2×10⁴ and 10⁵ of them in
/// leaves of 30, which err more than larger ones. Charges of both signs in a Plummer sphere set
/// nearly all of them. Those above 14 were measured in leaves of 100 and raised by √(100/30), odd ones
/// lie between; that of 1 is a guess from above.
const BOUNDS: [f64; 24] = [
    7.8e-02, 2.4e-02, 7.4e-03, 2.5e-03, 8.5e-04, 3.5e-04, 1.5e-04, 6.8e-05, 3.0e-05, 1.6e-05,
    8.1e-06, 4.0e-06, 2.2e-06, 1.1e-06, 6.9e-07, 4.3e-07, 2.5e-07, 1.5e-07, 8.8e-08, 5.2e-08,
    3.5e-08, 2.4e-08, 1.4e-08, 7.5e-09,
];

/// The same of points in a periodic cube, against Ewald's sum: 1500 of the same clouds and of those of
/// the tests, neutral or with a background, and 30 to 300 ions, in leaves of 30; made to fall. Even
/// masses with a background set the low ones, as their potentials are little of what is summed, crowds
/// of charges of both signs in a corner the high ones.
const PERIODIC_BOUNDS: [f64; 24] = [
    3.0e-01, 1.0e-01, 9.4e-02, 9.5e-03, 1.5e-03, 1.1e-03, 2.8e-04, 1.1e-04, 5.6e-05, 3.2e-05,
    2.1e-05, 2.0e-05, 8.0e-06, 7.9e-06, 4.9e-06, 2.7e-06, 2.6e-06, 9.0e-07, 8.9e-07, 6.6e-07,
    3.5e-07, 3.4e-07, 1.2e-07, 1.1e-07,
];

/// The highest degree of f32: beyond it rounding errs more than the expansions do.
const HIGHEST_ORDER_F32: usize = 14;

/// What rounding adds to the error.
pub(super) fn rounding(precision: DType) -> f64 {
    if precision == DType::F64 { 2e-13 } else { 1.2e-6 }
}

/// Degrees that there are.
fn orders(precision: DType) -> std::ops::RangeInclusive<usize> {
    1..=if precision == DType::F64 { BOUNDS.len() } else { HIGHEST_ORDER_F32 }
}

/// The error of expansions to a degree.
fn bound(order: usize, precision: DType, boundary: Boundary) -> f64 {
    let bounds = if boundary == Boundary::Free { BOUNDS } else { PERIODIC_BOUNDS };
    bounds[order - 1].hypot(rounding(precision))
}

/// Points of a periodic cube whose errors may not average out, as those of a crystal's few ions do
/// not: these get the highest degree, which costs them little.
const FEW: usize = 4096;

/// Bodies below which a GPU does better with every pair.
const GPU_CROSSOVER: f64 = 30_000.0;

/// A translation of (p + 1)⁴ multiply-adds takes as long as (p + 1)⁴ over this many pairs.
fn pace(backend: Backend) -> f64 {
    match backend {
        Backend::Cpu => 32.0,
        Backend::Gpu => 8.0,
    }
}

/// Translations that dividing a cell costs, about: fewer than 189 for each of its children, most of
/// which hold nothing or have neighbours that do not.
const DIVIDED: f64 = 800.0;

/// Pairs that the rest of the work for a point takes as long as, on the host: its part in the tree,
/// P2M and L2P.
const PAIRS_A_POINT: f64 = 300.0;

/// The number of points a leaf may hold so that evenly spread ones take least, and how many pairs
/// take as long as that sum.
fn even(
    sources: f64,
    targets: f64,
    order: usize,
    boundary: Boundary,
    backend: Backend,
) -> (usize, f64) {
    let translation = ((order + 1) as f64).powi(4) / pace(backend);
    // Of a line of so many cells, the mean number within one of a cell.
    let within = |cells: f64| match boundary {
        Boundary::Free => (3.0 * cells - 2.0) / cells,
        Boundary::Periodic { .. } => 3.0,
    };
    let of_level = |level: i32| {
        let cells = 2.0_f64.powi(level);
        let near = within(cells).powi(3);
        let far = (2.0 * within((cells / 2.0).max(1.0))).powi(3) - near;
        let pairs = sources * targets * near / cells.powi(3);
        let translations = far.max(0.0) * cells.powi(3) * translation * f64::from(level.min(1));
        // Levels above add a seventh.
        (pairs + translations * 8.0 / 7.0, sources.max(targets) / cells.powi(3))
    };
    let least = (0..20).map(of_level).min_by(|(one, _), (two, _)| one.total_cmp(two));
    let (pairs, held) = least.unwrap_or((sources * targets, sources));
    // Between what a leaf holds and what its parent does.
    let leaf = (held * 8.0_f64.sqrt()).ceil().clamp(8.0, 4096.0);
    (leaf as usize, pairs + PAIRS_A_POINT * (sources + targets))
}

fn refused(name: &str, value: impl std::fmt::Display, expected: impl Into<String>) -> Error {
    Error::Setting { name: name.into(), value: value.to_string(), expected: expected.into() }
}

/// What makes no sense, or cannot be had here.
fn check(problem: &Fmm, backend: Backend) -> Result<()> {
    let Fmm { precision, softening, boundary, method, leaf, .. } = *problem;
    if !matches!(precision, DType::F32 | DType::F64) {
        return Err(refused("precision", precision, "f32 or f64"));
    }
    if precision == DType::F64 && backend == Backend::Gpu {
        let reason = "its kernels compute in f32; plan it on the CPU, or in f32";
        return Err(Error::unsupported("the fast multipole method in f64 on a GPU", reason));
    }
    if !(softening.is_finite() && softening >= 0.0) {
        return Err(refused("softening", softening, "a finite length of at least 0"));
    }
    if leaf == Some(0) {
        return Err(refused("leaf", 0, "at least 1 point"));
    }
    if let Boundary::Periodic { side, .. } = boundary {
        // Neither it nor the inverse of its square may leave what the numbers can be.
        let range = if precision == DType::F64 { 1e-150..1e150 } else { 1e-18..1e18 };
        if !range.contains(&side) {
            let expected =
                format!("a length from {:e} to {:e} of {precision}", range.start, range.end);
            return Err(refused("periodic", side, expected));
        }
        if method == Method::Direct {
            let reason = "images of the cube are summed by expansions; ask for the fast multipole \
                          method";
            return Err(Error::unsupported("a direct sum over a periodic cube", reason));
        }
    }
    Ok(())
}

/// The degree to expand to, and the error. What no degree holds direct sums may, where `direct` says
/// that these can be had.
fn degree(problem: &Fmm, direct: bool) -> Result<(usize, f64)> {
    let Fmm { precision, boundary, .. } = *problem;
    let orders = orders(precision);
    let bound = |order: usize| bound(order, precision, boundary);
    match problem.accuracy {
        Accuracy::Order(order) if orders.contains(&order) => Ok((order, bound(order))),
        Accuracy::Order(order) => {
            let expected = format!("1 to {} of {precision}", orders.end());
            Err(refused("order", order, expected))
        }
        Accuracy::Tolerance(tolerance) => {
            let enough = orders.clone().find(|&order| bound(order) <= tolerance);
            if let Some(order) = enough {
                let few = problem.sources.max(problem.targets.unwrap_or(0)) <= FEW;
                let most = few && boundary != Boundary::Free;
                return Ok((if most { *orders.end() } else { order }, bound(order)));
            }
            let reachable = if direct { rounding(precision) } else { bound(*orders.end()) };
            if tolerance >= reachable {
                return Ok((*orders.end(), reachable));
            }
            // Rounded up to two digits, so that what is named is granted.
            let digit = 10.0_f64.powf(reachable.log10().floor() - 1.0);
            let named = (reachable / digit).ceil() * digit;
            Err(refused("tolerance", tolerance, format!("at least {named:.1e} of {precision}")))
        }
    }
}

/// Settings for a problem, and the bound on the error that they aim at. Pure.
pub(super) fn choose(problem: &Fmm, backend: Backend) -> Result<(Settings, f64)> {
    check(problem, backend)?;
    let sources = problem.sources as f64;
    let targets = problem.targets.map_or(sources, |targets| targets as f64);
    let even = |order: usize| even(sources, targets, order, problem.boundary, backend);
    let direct = |order: usize| match (problem.method, backend) {
        (Method::Direct, _) => true,
        (Method::Fmm, _) => false,
        _ if problem.boundary != Boundary::Free => false,
        (Method::Auto, Backend::Gpu) => sources * targets < GPU_CROSSOVER * GPU_CROSSOVER,
        (Method::Auto, Backend::Cpu) => sources * targets < even(order).1,
    };
    let (order, reached) = degree(problem, direct(*orders(problem.precision).end()))?;
    let (leaf, _) = even(order);
    let direct = direct(order);
    let (algorithm, bound) = if direct {
        (Algorithm::Direct, rounding(problem.precision))
    } else {
        (Algorithm::Fmm { order, leaf: problem.leaf.unwrap_or(leaf) }, reached)
    };
    let Fmm { softening, boundary, .. } = *problem;
    let pairs = DIVIDED * ((order + 1) as f64).powi(4) / pace(backend);
    let settings = Settings { algorithm, softening, boundary, bound, pairs };
    if let Boundary::Periodic { side, .. } = boundary
        && settings.least_side() > 0.499 * side
    {
        // The root is divided.
        let most = 0.499 * side * softening / settings.least_side();
        let expected = format!("at most {most:.3e} in a periodic cube of side {side}");
        return Err(refused("softening", softening, expected));
    }
    Ok((settings, bound))
}

/// A checked sum. Made by [`Fmm::plan`]; run as often as wanted, from any thread.
///
/// ```
/// use gvpie_core::{Backend, Context, Fmm};
/// let ctx = Context::on(Backend::Cpu)?;
/// let bodies = ctx.upload([2, 4], &[0.0_f32, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 3.0])?;
/// let mut result = ctx.zeros::<f32>([2, 4])?;
/// Fmm::new(2).plan(&ctx)?.run(&bodies, &mut result)?;
/// assert_eq!(result.download()?, [1.5, 0.0, 0.0, 0.75, 0.5, 0.0, 0.0, -0.25]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FmmPlan {
    problem: Fmm,
    settings: Settings,
    bound: f64,
    engine: Engine,
    ctx: Context,
}

#[derive(Debug, Clone)]
enum Engine {
    Gpu(gpu::Prepared),
    Cpu,
}

impl FmmPlan {
    pub(super) fn new(problem: Fmm, ctx: &Context) -> Result<Self> {
        let (settings, bound) = choose(&problem, ctx.backend())?;
        let engine = match ctx.backend() {
            Backend::Gpu => {
                let Fmm { sources, targets, .. } = problem;
                Engine::Gpu(gpu::Prepared::new(ctx, sources, targets, &settings)?)
            }
            Backend::Cpu => Engine::Cpu,
        };
        Ok(FmmPlan { problem, settings, bound, engine, ctx: ctx.clone() })
    }

    /// The problem it solves.
    pub fn problem(&self) -> &Fmm {
        &self.problem
    }

    /// How it computes.
    pub fn algorithm(&self) -> Algorithm {
        self.settings.algorithm
    }

    /// The relative error in L2, of potentials and of gradients, that it keeps below for clouds of
    /// points. It is not one of few points whose errors do not average out, as a crystal's that lie
    /// at the same places of all cells, nor relative to sums that vanish; and where a background
    /// cancels a net charge Q of a periodic cube, potentials also err by 22 |Q| / side times 6×10⁻⁷
    /// (of f64, 2×10⁻¹³), as those of the images are rounded before.
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// Computes potential and gradient at the sources themselves.
    ///
    /// Waits for the tree (its size decides what is done after), not for the result.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Element`] or [`Error::Foreign`] naming the operand that does not
    /// fit the plan; [`Error::Value`] naming a point that is not finite, or a net charge that a
    /// periodic cube cannot have; errors of the device.
    pub fn run<T: Element>(&self, points: &Tensor<T>, result: &mut Tensor<T>) -> Result<Report> {
        self.run_checked(points, None, result)
    }

    /// Computes potential and gradient at other points.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_at<T: Element>(
        &self,
        points: &Tensor<T>,
        targets: &Tensor<T>,
        result: &mut Tensor<T>,
    ) -> Result<Report> {
        self.run_checked(points, Some(targets), result)
    }

    fn run_checked<T: Element>(
        &self,
        points: &Tensor<T>,
        targets: Option<&Tensor<T>>,
        result: &mut Tensor<T>,
    ) -> Result<Report> {
        let device = self.ctx.device();
        let precision = self.problem.precision;
        let check = |tensor: &Tensor<T>, name: &str, rows: usize| {
            let operand = tensor.view().operand();
            operand.check_device(device, name)?;
            operand.check_dtype(precision, name)?;
            if tensor.shape().dims() == [rows, 4] {
                return Ok(());
            }
            let expected = format!("shape {rows}x4");
            Err(Error::shape(name, expected, format!("shape {}", tensor.shape())))
        };
        check(points, "the points", self.problem.sources)?;
        match (targets, self.problem.targets) {
            (Some(targets), Some(rows)) => check(targets, "the targets", rows)?,
            (None, None) => {}
            (Some(targets), None) => {
                let found = format!("shape {}", targets.shape());
                return Err(Error::shape("the targets", "none, as the plan was made", found));
            }
            (None, Some(rows)) => {
                return Err(Error::shape("the targets", format!("shape {rows}x4"), "none"));
            }
        }
        let rows = self.problem.targets.unwrap_or(self.problem.sources);
        check(result, "the result", rows)?;
        if rows == 0 {
            return Ok(Report::default());
        }
        match &self.engine {
            Engine::Gpu(prepared) => prepared.run(
                &self.ctx,
                points.buffer(),
                targets.map(Tensor::buffer),
                result.buffer(),
            ),
            Engine::Cpu => {
                let rows = [self.problem.sources, rows];
                let (points, targets) = (points.buffer(), targets.map(Tensor::buffer));
                let other = targets.unwrap_or(points);
                Buffer::lend([points, other], result.buffer(), |[x, other], out| {
                    let other = targets.map(|_| other);
                    match precision {
                        DType::F64 => run_host::<f64>(&self.settings, x, other, out, rows),
                        _ => run_host::<f32>(&self.settings, x, other, out, rows),
                    }
                })?
            }
        }
    }
}

fn run_host<T: Float>(
    settings: &Settings,
    points: &[u8],
    targets: Option<&[u8]>,
    result: &mut [u8],
    [sources, rows]: [usize; 2],
) -> Result<Report> {
    // Buffers are padded to whole vectors, and one of nothing is not empty.
    let points: &[T] = &bytemuck::cast_slice(points)[..4 * sources];
    let targets: Option<&[T]> = targets.map(|x| &bytemuck::cast_slice(x)[..4 * rows]);
    let result: &mut [T] = bytemuck::cast_slice_mut(result);
    cpu::evaluate(settings, points, targets, &mut result[..4 * rows])
}
