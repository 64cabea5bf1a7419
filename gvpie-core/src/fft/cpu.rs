//! The FFT on the host: lines by rustfft and realfft, all that is around them by [`super::lines`].
//!
//! Axes are transformed one after another, each in a pass over memory. Where the data is larger than
//! the caches, passes along inner axes are done part by part of the outermost one, so that each part
//! is read from memory once for all of them.

use super::lines::{Field, Finish, Kernel, Loop, Pass, Planners, Real, Role, Scratch};
use super::long::Long;
use super::{Fft, Kind};
use crate::element::DType;
use crate::error::{Budgets, Error, Result};
use crate::shape::{overlaps, span};
use num_complex::Complex;
use rayon::prelude::*;
use std::sync::Arc;

/// Where an operand's elements lie, in elements.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub dims: Vec<usize>,
    pub strides: Vec<usize>,
    pub offset: usize,
}

/// The vectors of the hooks.
pub(super) struct Vectors<'a> {
    pub window: Option<(&'a [u8], Side)>,
    pub spectrum: Option<(&'a [u8], Side)>,
}

/// What a plan on the host holds: kernels for every axis, in the working precision.
#[derive(Debug, Clone)]
pub(super) enum Prepared {
    Single(Arc<Vec<Engine<f32>>>),
    Double(Arc<Vec<Engine<f64>>>),
}

/// How one axis is transformed.
pub(super) struct Engine<T: Real> {
    kernel: Kernel<T>,
    /// Where one line is worth all threads.
    long: Option<Long<T>>,
}

impl<T: Real> std::fmt::Debug for Engine<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("long", &self.long.is_some()).finish_non_exhaustive()
    }
}

impl Prepared {
    pub fn new(problem: &Fft) -> Result<Self> {
        let dims = problem.shape.dims();
        let longest = problem.axes.iter().map(|&axis| dims[axis]).max().unwrap_or(0);
        check_memory(longest, problem.complex().size())?;
        Ok(if problem.precision == DType::F64 {
            Prepared::Double(Arc::new(engines(problem)))
        } else {
            Prepared::Single(Arc::new(engines(problem)))
        })
    }
}

/// Kernels hold tables of up to four times a line and abort where these find no memory, so it is
/// asked for before.
fn check_memory(n: usize, size: usize) -> Result<()> {
    let bytes = n.saturating_mul(4 * size);
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| Error::OutOfMemory {
        what: format!("the tables of an FFT of {n} points"),
        asked: bytes as u64,
        in_use: 0,
        budgets: Budgets::default(),
    })
}

fn engines<T: Real>(problem: &Fft) -> Vec<Engine<T>> {
    let dims = problem.shape.dims();
    let mut planners = Planners::new();
    let last = problem.axes.len() - 1; // checked: there are axes
    let engine = |(at, &axis): (usize, &usize)| {
        let n = dims[axis];
        let kernel = match (problem.kind, problem.inverse) {
            (Kind::Real, false) if at == last => T::halve(n, &mut planners),
            (Kind::Real, true) if at == last => T::double(n, &mut planners),
            (_, inverse) => T::complex(n, inverse, &mut planners),
        };
        let padded = at == last && problem.given.is_some();
        let long = match kernel {
            Kernel::Complex(_) if !padded => Long::new(n, problem.inverse, &mut planners),
            _ => None,
        };
        Engine { kernel, long }
    };
    problem.axes.iter().enumerate().map(engine).collect()
}

/// Bytes that a core keeps in its own cache while it works on them.
const NEAR: usize = 1 << 18;
/// Bytes that all cores together keep in the last cache.
const FAR: usize = 1 << 23;

/// y from x; in place where x is not given.
pub(super) fn transform(
    prepared: &Prepared,
    problem: &Fft,
    x: Option<(&[u8], Side)>,
    hooks: Vectors<'_>,
    y: (&mut [u8], Side),
) -> Result<()> {
    match prepared {
        Prepared::Single(engines) => work(engines, problem, x, hooks, y),
        Prepared::Double(engines) => work(engines, problem, x, hooks, y),
    }
}

/// One axis of the whole problem: what the input, the output and everything else have in common.
#[derive(Debug, Clone, Copy)]
struct Dim {
    /// Elements of x (fewer, where it is padded), of y, and of complex numbers between them.
    extents: [usize; 3],
    /// By [`Role`], those between x and y last.
    strides: [usize; ROLES],
}

const ROLES: usize = 5;
const BETWEEN: usize = 4;

/// One axis to be transformed: from where to where, and what is done on the way.
#[derive(Debug, Clone, Copy)]
struct Step {
    axis: usize,
    engine: usize,
    from: usize,
    to: usize,
    first: bool,
    last: bool,
}

/// All that the passes share.
struct Work<'a, T: Real> {
    engines: &'a [Engine<T>],
    x: Field<T>,
    y: Field<T>,
    between: Field<T>,
    window: Option<&'a [T]>,
    spectrum: Option<&'a [Complex<T>]>,
    factor: T,
}

fn work<T: Real>(
    engines: &[Engine<T>],
    problem: &Fft,
    x: Option<(&[u8], Side)>,
    hooks: Vectors<'_>,
    (y_bytes, y_side): (&mut [u8], Side),
) -> Result<()> {
    let (x_type, y_type) = (problem.input().1, problem.output().1);
    let x_side = x.as_ref().map_or_else(|| y_side.clone(), |(_, side)| side.clone());
    inside(&y_side, y_bytes.len() / y_type.size(), "the output")?;
    if overlaps(&y_side.dims, &y_side.strides) {
        let found = format!("strides {:?}", y_side.strides);
        return Err(Error::shape("the output", "elements that do not overlap", found));
    }
    if let Some((bytes, side)) = &x {
        inside(side, bytes.len() / x_type.size(), "the input")?;
    }
    let y = Field::of(y_bytes);
    let x = x.map_or(y, |(bytes, _)| Field::to_read(bytes));
    fn vector<'a, E: bytemuck::Pod>(
        given: Option<(&'a [u8], Side)>,
        name: &str,
    ) -> Result<Option<(&'a [E], Side)>> {
        let Some((bytes, side)) = given else { return Ok(None) };
        let elements: &[E] = bytemuck::cast_slice(bytes);
        inside(&side, elements.len(), name)?;
        Ok(Some((elements, side)))
    }
    let window = vector::<T>(hooks.window, "the window")?;
    let spectrum = vector::<Complex<T>>(hooks.spectrum, "the spectrum")?;

    let last = problem.axes[problem.axes.len() - 1];
    let real_result = problem.kind == Kind::Real && problem.inverse;
    let inner = if real_result { &x_side.dims } else { &y_side.dims };
    let dense = crate::shape::Shape::from(inner.clone()).strides();
    let along = |axis: usize, side: Option<&Side>| match side {
        Some(side) if axis == last => side.strides[0],
        _ => 0,
    };
    let dims: Vec<Dim> = (0..y_side.dims.len())
        .map(|axis| Dim {
            extents: [x_side.dims[axis], y_side.dims[axis], inner[axis]],
            strides: [
                x_side.strides[axis],
                y_side.strides[axis],
                along(axis, window.as_ref().map(|(_, side)| side)),
                along(axis, spectrum.as_ref().map(|(_, side)| side)),
                dense[axis],
            ],
        })
        .collect();

    let steps = steps(problem, &dims);
    let uses_between = real_result && steps.len() > 1;
    let count = if uses_between { inner.iter().product() } else { 0 };
    let mut held = vec![Complex::new(T::zero(), T::zero()); count];
    let start = [
        x_side.offset,
        y_side.offset,
        window.as_ref().map_or(0, |(_, side)| side.offset),
        spectrum.as_ref().map_or(0, |(_, side)| side.offset),
        0,
    ];
    let work = Work {
        engines,
        x,
        y,
        between: Field::of(bytemuck::cast_slice_mut(&mut held)),
        window: window.map(|(elements, _)| elements),
        spectrum: spectrum.map(|(elements, _)| elements),
        factor: T::of(problem.factor()),
    };
    run(&work, &dims, &steps, start, true);
    Ok(())
}

/// An error unless the operand lies within so many elements.
fn inside(side: &Side, held: usize, name: &str) -> Result<()> {
    let end = span(&side.dims, &side.strides).and_then(|n| n.checked_add(side.offset));
    match end {
        Some(end) if end <= held => Ok(()),
        _ => Err(Error::shape(name, format!("at most {held} elements"), format!("{side:?}"))),
    }
}

/// The axes in the order of their passes. The last of the problem's is the first, since it is the one
/// that makes more of the input, or real numbers complex; the inverse of that comes last. Outer
/// axes are at the other end, so that what is within them can be done part by part.
fn steps(problem: &Fft, dims: &[Dim]) -> Vec<Step> {
    let y = Role::Output as usize;
    let (&last, others) = problem.axes.split_last().unwrap_or((&0, &[]));
    let mut order: Vec<(usize, usize)> = others.iter().copied().zip(0..).collect();
    order.sort_by_key(|&(axis, _)| dims[axis].strides[y]);
    let real_result = problem.kind == Kind::Real && problem.inverse;
    order.insert(0, (last, others.len()));
    if real_result {
        order.reverse();
    }
    let count = order.len();
    let middle = if real_result { BETWEEN } else { y };
    let step = |(i, (axis, engine)): (usize, (usize, usize))| Step {
        axis,
        engine,
        from: if i == 0 { Role::Input as usize } else { middle },
        to: if i + 1 == count { y } else { middle },
        first: i == 0,
        last: i + 1 == count,
    };
    order.into_iter().enumerate().map(step).collect()
}

/// Does the steps on a part of the problem, which begins at these offsets.
fn run<T: Real>(
    work: &Work<'_, T>,
    dims: &[Dim],
    steps: &[Step],
    start: [usize; ROLES],
    threads: bool,
) {
    let bytes = dims.iter().map(|dim| dim.extents[2]).product::<usize>() * 2 * size_of::<T>();
    let outer = (0..dims.len())
        .filter(|&axis| dims[axis].extents[2] > 1)
        .max_by_key(|&axis| dims[axis].strides[Role::Output as usize]);
    let (Some(outer), true) = (outer, steps.len() > 1 && bytes > NEAR) else {
        for step in steps {
            one(work, dims, *step, start, threads);
        }
        return;
    };
    let (first, last) = (steps[0].axis, steps[steps.len() - 1].axis);
    if last == outer {
        let (inner, own) = steps.split_at(steps.len() - 1);
        run(work, dims, inner, start, threads);
        run(work, dims, own, start, threads);
    } else if first == outer {
        let (own, inner) = steps.split_at(1);
        run(work, dims, own, start, threads);
        run(work, dims, inner, start, threads);
    } else if steps.iter().any(|step| step.axis == outer) {
        steps.iter().for_each(|&step| one(work, dims, step, start, threads));
    } else {
        let extent = dims[outer].extents[2];
        let mut parts = dims.to_vec();
        parts[outer].extents = [1; 3];
        let part = |i: usize, threads: bool| {
            let start = std::array::from_fn(|role| start[role] + i * dims[outer].strides[role]);
            run(work, &parts, steps, start, threads);
        };
        // Parts that fit a core's own cache are shared out whole.
        let shared = bytes / extent <= FAR / 8 && extent >= 2 * rayon::current_num_threads();
        if threads && shared {
            (0..extent).into_par_iter().for_each(|i| part(i, false));
        } else {
            (0..extent).for_each(|i| part(i, threads));
        }
    }
}

/// One step on a part of the problem.
fn one<T: Real>(
    work: &Work<'_, T>,
    dims: &[Dim],
    step: Step,
    start: [usize; ROLES],
    threads: bool,
) {
    let roles = [step.from, step.to, Role::Window as usize, Role::Spectrum as usize];
    let pick = |strides: [usize; ROLES]| roles.map(|role| strides[role]);
    let dim = dims[step.axis];
    let engine = &work.engines[step.engine];
    let extent = |role: usize| match role {
        BETWEEN => dim.extents[2],
        role => dim.extents[role],
    };
    let field = |role: usize| match role {
        BETWEEN => work.between,
        role if role == Role::Input as usize => work.x,
        _ => work.y,
    };
    // Along other axes x, y and what is between them are of the same extents.
    let loops = (0..dims.len())
        .filter(|&axis| axis != step.axis)
        .map(|axis| Loop { extent: dims[axis].extents[2], strides: pick(dims[axis].strides) })
        .collect();
    let plain = work.spectrum.is_none() && work.factor == T::of(1.0);
    let pass = Pass {
        kernel: &engine.kernel,
        read: extent(step.from),
        write: extent(step.to),
        axis: pick(dim.strides),
        loops,
        start: pick(start),
        from: field(step.from),
        to: field(step.to),
        window: if step.first { work.window } else { None },
        finish: match step.last && !plain {
            true => Some(Finish { factor: work.factor, spectrum: work.spectrum }),
            false => None,
        },
        twiddles: None,
        threads,
    };
    match &engine.long {
        Some(long) if pass.lines_are_long() && long.pays(pass.lines()) => long.run(pass),
        _ => pass.run(&mut Scratch::default()),
    }
}
