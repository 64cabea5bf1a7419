//! Transforms of paged tensors, axis after axis, in slabs of whole lines.

#[cfg(test)]
mod tests;

use super::{Fft, FftPlan, Kind, next_smooth};
use crate::context::Context;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::paged::Paged;
use crate::shape::Shape;
use crate::tensor::Tensor;
use std::ops::Range;
use std::sync::mpsc::{channel, sync_channel};

/// Slabs of results, of which one is computed while the others are stored.
const SLABS: usize = 2;

/// A transform of [`Paged`] tensors. Made by [`Fft::plan_paged`].
///
/// Each axis is a pass of its own over all elements, so the [bound](super) of the resident transform
/// holds, whose passes round as often. A slab is as many whole lines as memory has room for; along an
/// axis that is not the last one a line's elements lie apart, and slabs are as wide as they can be.
#[derive(Debug, Clone)]
pub struct PagedFft {
    problem: Fft,
    ctx: Context,
}

impl Fft {
    /// Checks the transform for operands that do not fit the device.
    ///
    /// ```
    /// use gvpie_core::{Backend, Complex, Context, Fft};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let mut x = ctx.paged::<Complex<f32>>([2, 4])?;
    /// let mut y = ctx.paged::<Complex<f32>>([2, 4])?;
    /// x.write(0, &[1.0_f32, 0.0, -1.0, 0.0].map(Complex::from))?;
    /// Fft::new([2, 4]).all_axes().plan_paged(&ctx)?.run(&x, &mut y)?;
    /// let mut found = [Complex::default(); 4];
    /// y.read(4, &mut found)?;
    /// assert_eq!(found, [0.0, 2.0, 0.0, 2.0].map(Complex::from));
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`plan`](Self::plan); [`Error::Unsupported`] for a window, a padding or a spectrum.
    pub fn plan_paged(&self, ctx: &Context) -> Result<PagedFft> {
        self.check()?;
        if self.window || self.spectrum || self.given.is_some() {
            let reason = "bring the signal to its shape before";
            return Err(Error::unsupported("a hook of a paged transform", reason));
        }
        Ok(PagedFft { problem: self.clone(), ctx: ctx.clone() })
    }
}

impl PagedFft {
    /// The problem it solves.
    pub fn problem(&self) -> &Fft {
        &self.problem
    }

    /// Computes y from x. Waits until y's last element is stored. The inverse of a real transform along
    /// several axes takes a paged tensor as large as x besides.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Element`] or [`Error::Foreign`] naming the operand that does not fit
    /// the plan; [`Error::OutOfMemory`] where not even one line fits the device; [`Error::Limit`];
    /// [`Error::File`]; errors of the device and of sources. y is then of no use; x is as it was.
    pub fn run<X: Element, Y: Element>(&self, x: &Paged<X>, y: &mut Paged<Y>) -> Result<()> {
        let p = &self.problem;
        self.check(x, p.input(), "the input")?;
        self.check(y, p.output(), "the output")?;
        if x.is_empty() {
            return Ok(());
        }
        let (last, others) = p.axes.split_last().ok_or_else(|| {
            Error::shape("axes", "at least one axis", "none") // the plan has checked it
        })?;
        let one = |axis: usize, kind: Kind, scale: f64| {
            let shape = if kind == Kind::Real { p.shape.clone() } else { p.half_or_whole() };
            (axis, Fft { shape, axes: vec![axis], kind, scale, ..p.clone() })
        };
        match (p.kind, p.inverse) {
            (Kind::Real, true) if !others.is_empty() => {
                let spectrum = self.ctx.paged::<X>(x.shape())?;
                for (pass, &axis) in others.iter().enumerate() {
                    let from = if pass == 0 { x } else { &spectrum };
                    self.pass(one(axis, Kind::Complex, 1.0), from, &spectrum)?;
                }
                self.pass(one(*last, Kind::Real, p.scale), &spectrum, y)
            }
            (kind, _) => {
                self.pass(one(*last, kind, p.scale), x, y)?;
                let passes = others.iter().rev();
                passes
                    .map(|&axis| one(axis, Kind::Complex, 1.0))
                    .try_for_each(|one| self.pass(one, y, y))
            }
        }
    }

    fn check<T: Element>(
        &self,
        x: &Paged<T>,
        (shape, dtype): (Shape, DType),
        name: &str,
    ) -> Result<()> {
        if !x.context().device().is(self.ctx.device()) {
            return Err(Error::Foreign { operand: name.into() });
        }
        if T::DTYPE != dtype {
            let (expected, found) = (dtype.name(), T::DTYPE.name());
            return Err(Error::Element { operand: name.into(), expected, found });
        }
        if *x.shape() != shape {
            let found = format!("shape {}", x.shape());
            return Err(Error::shape(name, format!("shape {shape}"), found));
        }
        Ok(())
    }

    /// Transforms along one axis; x and y may be the same.
    fn pass<X: Element, Y: Element>(
        &self,
        (axis, one): (usize, Fft),
        x: &Paged<X>,
        y: &Paged<Y>,
    ) -> Result<()> {
        let ((from, _), (to, _)) = (one.input(), one.output());
        let (from, to) = (lines(&from, axis), lines(&to, axis));
        let [outer, n, inner] = from;
        let slab = self.slab(&one, outer, inner, from[1].max(to[1]))?;
        let (from, to) = (Shape::from(from), Shape::from(to));
        std::thread::scope(|scope| {
            let (done, to_store) = sync_channel::<(Tensor<Y>, Vec<Range<usize>>)>(SLABS);
            let (stored, free) = channel();
            let shape = to.clone();
            let store = scope.spawn(move || {
                for (tensor, region) in to_store {
                    y.put_shaped(&shape, &region, &tensor)?;
                    let _ = stored.send(tensor); // nobody waits for the last ones
                }
                Ok(())
            });
            let compute = || {
                let elements = |n: usize| slab[0] * n * slab[1];
                let mut input = self.ctx.zeros::<X>([elements(n)])?;
                let (mut made, mut plan) = (0, None::<([usize; 2], FftPlan)>);
                for [o, i] in slabs(outer, inner, slab) {
                    let region = |n: usize| vec![o.clone(), 0..n, i.clone()];
                    x.load_shaped(&from, &region(n), &mut input)?;
                    let sizes = [o.len(), i.len()];
                    let plan = match plan.take().filter(|(made, _)| *made == sizes) {
                        Some(kept) => plan.insert(kept),
                        None => {
                            let planned = one.of_slab(axis, sizes).plan(&self.ctx)?;
                            plan.insert((sizes, planned))
                        }
                    };
                    let mut output = if made < SLABS {
                        made += 1;
                        self.ctx.zeros::<Y>([elements(to.dims()[1])])?
                    } else {
                        free.recv().map_err(|_| died())?
                    };
                    let extents = |n: usize| Shape::from([o.len(), n, i.len()]);
                    let (given, made) = (extents(n), extents(to.dims()[1]));
                    let view = input.view().strided(&given, &given.strides(), 0)?;
                    let strides = made.strides();
                    let into = output.view_mut().map(|all| all.strided(&made, &strides, 0))?;
                    plan.1.run(view, into)?;
                    done.send((output, region(to.dims()[1]))).map_err(|_| died())?;
                }
                drop(done);
                Ok(())
            };
            let computed: Result<()> = compute();
            let stored: Result<()> = store.join().unwrap_or_else(|_| Err(died()));
            // Why storing ended is why computing did.
            stored.and(computed)
        })
    }

    /// How many lines a slab has, along the axes before the one of the transform and behind it.
    fn slab(&self, one: &Fft, outer: usize, inner: usize, n: usize) -> Result<[usize; 2]> {
        let element = if one.precision == DType::F64 { 16 } else { 8 };
        let device = self.ctx.device();
        let binding =
            device.gpu().map_or(u64::MAX, |gpu| gpu.limits().max_storage_buffer_binding_size);
        // Input, results on their way, and what a plan keeps between its passes: two copies, of lengths
        // that grow to a convolution's.
        let kept = if next_smooth(n) == Some(n) { 2 } else { 8 };
        let most = (device.room() / 8 * 7 / (1 + SLABS as u64 + kept)).min(binding / 4);
        let lines = most / (n as u64 * element);
        match lines {
            0 => Err(device.pool().out_of_memory(
                n as u64 * element * (1 + SLABS as u64 + kept),
                &format!("a line of {n} numbers and what transforming it takes"),
            )),
            lines if lines >= inner as u64 => {
                Ok([(lines / inner as u64).min(outer as u64) as usize, inner])
            }
            lines => Ok([1, lines as usize]),
        }
    }
}

impl Fft {
    /// The shape in which axes other than the last of the axes are transformed: half of it, where the
    /// transform is a real one.
    fn half_or_whole(&self) -> Shape {
        if self.kind == Kind::Real { self.half() } else { self.shape.clone() }
    }

    /// The same along the middle one of three axes, for so many lines.
    fn of_slab(&self, axis: usize, [outer, inner]: [usize; 2]) -> Fft {
        let n = self.shape.dims()[axis];
        Fft { shape: Shape::from([outer, n, inner]), axes: vec![1], ..self.clone() }
    }
}

/// What whoever waits for the thread that stores sees of its end; its own error says why.
fn died() -> Error {
    Error::Internal { what: "storing a transform".into(), message: "its thread has ended".into() }
}

/// A shape as the extents before an axis, along it, and behind it.
fn lines(shape: &Shape, axis: usize) -> [usize; 3] {
    let dims = shape.dims();
    [dims[..axis].iter().product(), dims[axis], dims[axis + 1..].iter().product()]
}

fn slabs(
    outer: usize,
    inner: usize,
    [o, i]: [usize; 2],
) -> impl Iterator<Item = [Range<usize>; 2]> {
    (0..outer).step_by(o).flat_map(move |first| {
        let rows = first..outer.min(first + o);
        (0..inner).step_by(i).map(move |column| [rows.clone(), column..inner.min(column + i)])
    })
}
