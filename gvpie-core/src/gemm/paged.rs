//! Products of paged tensors: tiles of C on the device, slabs of A and B passing through.

#[cfg(test)]
mod tests;

use super::plan::{Facts, working};
use super::tiling::{Room, Tiling};
use super::{Activation, Gemm, GemmPlan};
use crate::context::Context;
use crate::device::Backend;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::memory::staging;
use crate::paged::Paged;
use crate::shape::Shape;
use crate::tensor::{Tensor, TensorView};
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// A product of [`Paged`] tensors, divided for the budgets as they were when it was planned. Made by
/// [`Gemm::plan_paged`].
///
/// Sums over k are the resident plan's within a slab, and from slab to slab in order, in f32, in f64
/// if an element is f64, so the [bound](super) of the problem holds; where all of k is one slab, C is
/// what the resident plan of that tile computes.
#[derive(Debug, Clone)]
pub struct PagedGemm {
    problem: Gemm,
    tiling: Tiling,
    ctx: Context,
}

impl Gemm {
    /// Divides the product for operands that do not fit the device.
    ///
    /// ```
    /// use gvpie_core::{Backend, Context, Gemm};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let (mut a, mut c) = (ctx.paged::<f32>([2, 3])?, ctx.paged::<f32>([2, 2])?);
    /// a.write(0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// Gemm::new(2, 2, 3).transpose_b().plan_paged(&ctx)?.run(&a, &a, &mut c)?; // A·Aᵀ
    /// let mut found = [0.0; 4];
    /// c.read(0, &mut found)?;
    /// assert_eq!(found, [14.0, 32.0, 32.0, 77.0]);
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`plan`](Self::plan); [`Error::Unsupported`] for a bias; [`Error::OutOfMemory`] where not
    /// even the smallest tile fits.
    pub fn plan_paged(&self, ctx: &Context) -> Result<PagedGemm> {
        if self.bias {
            let reason = "put it into C and use beta";
            return Err(Error::unsupported("a bias of a paged product", reason));
        }
        let working = working(self, &Facts::of(ctx))?;
        let device = ctx.device();
        let binding = match device.gpu() {
            Some(gpu) => {
                let limits = gpu.limits();
                limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
            }
            None => u64::MAX,
        };
        let host = device.pool().pages().budget();
        let staging = match ctx.backend() {
            Backend::Gpu => staging::in_flight(host),
            Backend::Cpu => u64::MAX,
        };
        let room = Room { device: device.room(), binding, staging };
        let tiling = Tiling::choose(self, working, room)?;
        Ok(PagedGemm { problem: self.clone(), tiling, ctx: ctx.clone() })
    }
}

impl Context {
    /// The matrix product A·B of two paged matrices, or of two batches of them, as a paged tensor.
    ///
    /// ```
    /// use gvpie_core::{Backend, Context};
    /// let ctx = Context::on(Backend::Cpu)?;
    /// let mut a = ctx.paged::<f32>([2, 2])?;
    /// a.write(0, &[1.0, 2.0, 3.0, 4.0])?;
    /// let c = ctx.gemm_paged(&a, &a)?;
    /// assert_eq!(c.load(&[0..2, 0..2])?.download()?, [7.0, 10.0, 15.0, 22.0]);
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`gemm`](Self::gemm) and [`PagedGemm::run`].
    pub fn gemm_paged<T: Element>(&self, a: &Paged<T>, b: &Paged<T>) -> Result<Paged<T>> {
        let problem = Gemm::of_shapes(a.shape(), b.shape())?.elements(T::DTYPE, T::DTYPE, T::DTYPE);
        let Gemm { m, n, batch, .. } = problem;
        let batched = a.shape().rank() == 3 || b.shape().rank() == 3;
        let shape = if batched { Shape::from([batch, m, n]) } else { Shape::from([m, n]) };
        let mut c = self.paged(shape)?;
        problem.plan_paged(self)?.run(a, b, &mut c)?;
        Ok(c)
    }
}

impl PagedGemm {
    /// The problem it solves.
    pub fn problem(&self) -> &Gemm {
        &self.problem
    }

    /// How it is divided.
    pub fn tiling(&self) -> Tiling {
        self.tiling
    }

    /// Computes C ← act(α·op(A)·op(B) + β·C). Waits until C's last element is stored.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Element`] or [`Error::Foreign`] naming the operand that does not fit
    /// the plan; [`Error::OutOfMemory`]; [`Error::File`]; errors of the device and of sources. C is then
    /// part old and part new; A and B are as they were.
    pub fn run<A: Element, B: Element, C: Element>(
        &self,
        a: &Paged<A>,
        b: &Paged<B>,
        c: &mut Paged<C>,
    ) -> Result<()> {
        let p = &self.problem;
        let turned = |turn: bool, [rows, columns]: [usize; 2]| {
            if turn { [columns, rows] } else { [rows, columns] }
        };
        self.check(a, p.a, "A", turned(p.transpose_a, [p.m, p.k]), true)?;
        self.check(b, p.b, "B", turned(p.transpose_b, [p.k, p.n]), true)?;
        self.check(c, p.c, "C", [p.m, p.n], false)?;
        if p.m == 0 || p.n == 0 || p.batch == 0 {
            return Ok(());
        }
        match working(p, &Facts::of(&self.ctx))? {
            DType::F64 => self.stream::<A, B, C, f64>(a, b, c),
            _ => self.stream::<A, B, C, f32>(a, b, c),
        }
    }

    fn check<T: Element>(
        &self,
        x: &Paged<T>,
        dtype: DType,
        name: &str,
        [rows, columns]: [usize; 2],
        shared: bool,
    ) -> Result<()> {
        if !x.context().device().is(self.ctx.device()) {
            return Err(Error::Foreign { operand: name.into() });
        }
        if T::DTYPE != dtype {
            return Err(Error::Element {
                operand: name.into(),
                expected: dtype.name(),
                found: T::DTYPE.name(),
            });
        }
        let batch = self.problem.batch;
        let fits = match *x.shape().dims() {
            [r, c] => (shared || batch == 1) && [r, c] == [rows, columns],
            [each, r, c] => (each == batch || shared && each == 1) && [r, c] == [rows, columns],
            _ => false,
        };
        if fits {
            return Ok(());
        }
        let batches =
            if batch == 1 { String::new() } else { format!(" or {batch}x{rows}x{columns}") };
        let expected = format!("shape {rows}x{columns}{batches}");
        Err(Error::shape(name, expected, format!("shape {}", x.shape())))
    }

    /// Computes tile after tile, while a thread stores the bands of those that are done.
    fn stream<A: Element, B: Element, C: Element, W: Element>(
        &self,
        a: &Paged<A>,
        b: &Paged<B>,
        c: &Paged<C>,
    ) -> Result<()> {
        let Tiling { rows, band, .. } = self.tiling;
        let bands = rows.div_ceil(band);
        std::thread::scope(|scope| {
            let (done, to_store) = sync_channel::<Band<W>>(bands);
            let (stored, free) = channel();
            let store = scope.spawn(move || store(c, &to_store, &stored));
            let computed = self.compute(a, b, c, done, &free);
            let stored = store.join().unwrap_or_else(|_| Err(died()));
            // Why storing ended is why computing did.
            stored.and(computed)
        })
    }

    fn compute<A: Element, B: Element, C: Element, W: Element>(
        &self,
        a: &Paged<A>,
        b: &Paged<B>,
        c: &Paged<C>,
        done: SyncSender<Band<W>>,
        free: &Receiver<Tensor<W>>,
    ) -> Result<()> {
        let p = &self.problem;
        let Tiling { rows, columns, depth, band } = self.tiling;
        let k = p.effective_k();
        let mut slabs = (
            self.ctx.zeros::<A>([rows * depth.min(k.max(1))])?,
            self.ctx.zeros::<B>([columns * depth.min(k.max(1))])?,
        );
        let mut plans = Plans { gemm: self, made: Vec::new() };
        let (mut made, bands) = (0, rows.div_ceil(band));
        for tile in tiles(p, rows, columns) {
            let steps: Vec<_> = match k {
                0 => std::iter::once(0..0).collect(),
                _ => parts(0..k, depth).collect(),
            };
            let of_a = |k: &Range<usize>| region(a, tile.batch, p.transpose_a, [&tile.rows, k]);
            let of_b = |k: &Range<usize>| region(b, tile.batch, p.transpose_b, [k, &tile.columns]);
            let mut held: Vec<Band<W>> = Vec::with_capacity(bands);
            for (step, along) in steps.iter().enumerate() {
                if let Some(next) = steps.get(step + 1) {
                    a.prefetch(&of_a(next))?;
                    b.prefetch(&of_b(next))?;
                }
                a.load_into(&of_a(along), &mut slabs.0)?;
                b.load_into(&of_b(along), &mut slabs.1)?;
                let slab_a = slab(&slabs.0, p.transpose_a, [tile.rows.len(), along.len()])?;
                let slab_b = slab(&slabs.1, p.transpose_b, [along.len(), tile.columns.len()])?;
                for (index, rows) in parts(tile.rows.clone(), band).enumerate() {
                    if step == 0 {
                        let mut tensor = if made < bands {
                            made += 1;
                            self.ctx.zeros([band * columns])?
                        } else {
                            free.recv().map_err(|_| died())?
                        };
                        let region = region(c, tile.batch, false, [&rows, &tile.columns]);
                        if p.beta != 0.0 {
                            c.load_as(&region, &mut tensor)?;
                        }
                        held.push(Band { tensor, region });
                    }
                    let Band { tensor, .. } = &mut held[index];
                    let within = rows.start - tile.rows.start..rows.end - tile.rows.start;
                    let part_a = slab_a.slice(usize::from(p.transpose_a), within)?;
                    let shape = [rows.len(), tile.columns.len()];
                    let view =
                        tensor.view_mut().map(|all| all.strided(shape, &[shape[1], 1], 0))?;
                    let ends = [step == 0, step + 1 == steps.len()];
                    plans.get([rows.len(), shape[1], along.len()], ends)?.run(
                        part_a,
                        slab_b.clone(),
                        view,
                    )?;
                }
            }
            for band in held {
                done.send(band).map_err(|_| died())?;
            }
        }
        Ok(())
    }
}

/// Rows of a tile of C, and where they belong.
struct Band<W> {
    tensor: Tensor<W>,
    region: Vec<Range<usize>>,
}

/// Stores bands as they come and gives their memory back.
fn store<C: Element, W: Element>(
    c: &Paged<C>,
    bands: &Receiver<Band<W>>,
    free: &Sender<Tensor<W>>,
) -> Result<()> {
    for Band { tensor, region } in bands {
        c.put_as(&region, &tensor)?;
        let _ = free.send(tensor); // nobody waits for the last ones
    }
    Ok(())
}

/// What whoever waits for the thread that stores sees of its end; its own error says why.
fn died() -> Error {
    Error::Internal { what: "storing C".into(), message: "the thread that stores has ended".into() }
}

/// The plans of the last few sizes: the same twice for each size of band, first to write and then to
/// add to it, which is all that whole tiles need.
struct Plans<'a> {
    gemm: &'a PagedGemm,
    made: Vec<([usize; 3], [bool; 2], GemmPlan)>,
}

impl Plans<'_> {
    /// The plan for a band of m × n and k; whether it is the first and the last along k.
    fn get(&mut self, sizes: [usize; 3], ends: [bool; 2]) -> Result<&GemmPlan> {
        let found = self.made.iter().position(|(s, e, _)| (*s, *e) == (sizes, ends));
        let plan = match found {
            Some(at) => self.made.remove(at),
            None => {
                // One that has another size keeps device memory that this one may need.
                self.made.retain(|(made, ..)| *made == sizes);
                let p = &self.gemm.problem;
                let [m, n, k] = sizes;
                let working = working(p, &Facts::of(&self.gemm.ctx))?;
                let [first, last] = ends;
                let problem = Gemm {
                    m,
                    n,
                    k,
                    batch: 1,
                    c: working,
                    beta: if first { p.beta } else { 1.0 },
                    activation: if last { p.activation } else { Activation::None },
                    ..p.clone()
                };
                (sizes, ends, problem.plan(&self.gemm.ctx)?)
            }
        };
        self.made.push(plan);
        Ok(&self.made[self.made.len() - 1].2)
    }
}

struct Tile {
    batch: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

fn tiles(p: &Gemm, rows: usize, columns: usize) -> impl Iterator<Item = Tile> {
    let (m, n) = (p.m, p.n);
    (0..p.batch).flat_map(move |batch| {
        parts(0..m, rows).flat_map(move |rows| {
            parts(0..n, columns).map(move |columns| Tile { batch, rows: rows.clone(), columns })
        })
    })
}

/// A range in parts of a length; the last may be shorter.
fn parts(range: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(len.max(1)).map(move |start| start..end.min(start + len))
}

/// Where rows and columns of op(X) lie in X.
fn region<T: Element>(
    x: &Paged<T>,
    batch: usize,
    turned: bool,
    [rows, columns]: [&Range<usize>; 2],
) -> Vec<Range<usize>> {
    let [rows, columns] = if turned { [columns, rows] } else { [rows, columns] };
    let each = match *x.shape().dims() {
        [count, _, _] => Some(batch.min(count - 1)),
        _ => None,
    };
    let batch = each.map(|at| at..at + 1);
    batch.into_iter().chain([rows.clone(), columns.clone()]).collect()
}

/// The slab of op(X) that was loaded, as X lies.
fn slab<T: Element>(
    loaded: &Tensor<T>,
    turned: bool,
    [rows, columns]: [usize; 2],
) -> Result<TensorView<'_, T>> {
    let shape = if turned { [columns, rows] } else { [rows, columns] };
    loaded.view().strided(shape, &[shape[1], 1], 0)
}
