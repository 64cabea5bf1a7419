//! Tensors larger than the device, and larger than host memory.
//!
//! The elements of a [`Paged`] tensor lie in pages: stretches of the row-major order, each in host
//! memory as far as the host's budget goes and in a file beyond that, or nowhere yet while it is all
//! zeros or what a [`Source`] holds. Work on one loads regions onto the device, computes there, and
//! stores regions back: [`load`](Paged::load) and [`store`](Paged::store). The budgets are those of
//! [`ContextOptions`](crate::ContextOptions); [`Pool::usage`](crate::Pool::usage) counts what moves.
//!
//! * Over budget, pages go down, the ones used longest ago first. Only what no tier can hold is an
//!   [`Error::OutOfMemory`], which names all three budgets.
//! * Threads of the pool read pages ahead and write them back while the device computes. What fails
//!   there loses nothing, and is met and returned by the call that needs the page or its room.
//! * Uploads are copied by all threads into staging buffers that stay allocated, and submitted without
//!   waiting, so that they overlap with what the device does meanwhile.
//! * Where little of a page is wanted that is in a file, only that is read.

mod blocks;
mod convert;
mod reduce;
mod source;
#[cfg(test)]
pub(crate) mod tests;
mod window;

pub use source::{FileSource, Source};

use crate::buffer::Buffer;
use crate::context::Context;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::memory::pages::{Origin, Pin, ReadBytes};
use crate::shape::Shape;
use crate::tensor::Tensor;
use blocks::Blocks;
use source::Erased;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use window::Window;

/// The largest page: enough that what a disk costs besides moving is nothing.
const PAGE: u64 = 16 << 20;
const LEAST_PAGE: u64 = 4 << 10;

/// A tensor whose elements are in host memory and in files; see the [module](self).
///
/// ```
/// use gvpie_core::{Backend, Context};
/// let ctx = Context::on(Backend::Cpu)?;
/// let mut x = ctx.paged::<f32>([1000, 1000])?;
/// x.write(2000, &[1.0, 2.0, 3.0])?; // row 2, from its beginning
/// let rows = x.load(&[2..4, 0..1000])?; // a tensor on the device
/// assert_eq!(rows.download()?[..4], [1.0, 2.0, 3.0, 0.0]);
/// x.store(&[0..2, 0..1000], &rows)?;
/// let mut first = [0.0; 2];
/// x.read(0, &mut first)?;
/// assert_eq!(first, [1.0, 2.0]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Paged<T> {
    ctx: Context,
    shape: Shape,
    blocks: Blocks,
    element: PhantomData<T>,
}

impl Context {
    /// A tensor of zeros that takes no memory until it is written.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if host memory and files together could not hold it;
    /// [`Error::Limit`] if its elements cannot be counted.
    pub fn paged<T: Element>(&self, shape: impl Into<Shape>) -> Result<Paged<T>> {
        let shape = shape.into();
        let bytes = Paged::<T>::bytes(&shape)?;
        let budgets = self.device().pool().pages().budgets();
        let most = budgets.disk.and_then(|disk| disk.checked_add(budgets.host?));
        if most.is_some_and(|most| bytes > most) {
            let what = format!("a paged tensor of shape {shape} ({})", T::DTYPE);
            return Err(Blocks::too_large(self.device().pool(), bytes, what));
        }
        Paged::over(self, shape, |_| Origin::Zeros)
    }
}

impl<T: Element> Paged<T> {
    /// A tensor that holds what `source` holds, read when it is wanted. Pages that are written are
    /// kept; others are read again when they have been dropped, so the source must not change.
    ///
    /// # Errors
    /// [`Error::Limit`] if the elements of this shape cannot be counted.
    pub fn of(ctx: &Context, shape: impl Into<Shape>, source: impl Source<T>) -> Result<Self> {
        let source: Arc<dyn ReadBytes> = Arc::new(Erased { source, element: PhantomData });
        Paged::over(ctx, shape.into(), |first| Origin::Source(Arc::clone(&source), first))
    }

    fn over(ctx: &Context, shape: Shape, origin: impl Fn(u64) -> Origin) -> Result<Self> {
        let bytes = Self::bytes(&shape)?;
        let pool = ctx.device().pool().clone();
        let page = page_bytes(pool.pages().budget());
        let each = |first: u64| ((bytes - first).min(page) as usize, origin(first));
        let ids = pool.pages().add((0..bytes).step_by(page as usize).map(each));
        let blocks = Blocks { pool, ids, page: page as usize, bytes };
        Ok(Paged { ctx: ctx.clone(), shape, blocks, element: PhantomData })
    }

    fn bytes(shape: &Shape) -> Result<u64> {
        let bytes = shape.len().and_then(|n| n.checked_mul(size_of::<T>()));
        bytes.map(|bytes| bytes as u64).ok_or_else(|| Error::Limit {
            what: format!("a paged tensor of shape {shape}"),
            limit: "max_buffer_size",
            asked: u64::MAX,
            allowed: usize::MAX as u64,
        })
    }

    /// The extents.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many elements it holds.
    pub fn len(&self) -> usize {
        self.blocks.bytes as usize / size_of::<T>()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The context whose budgets it lives within.
    pub fn context(&self) -> &Context {
        &self.ctx
    }

    /// Elements of a page: stretches that begin at a multiple of it are read and written with the
    /// least work.
    pub fn page(&self) -> usize {
        self.blocks.page / size_of::<T>()
    }

    fn window(&self, region: &[Range<usize>]) -> Result<Window> {
        Window::new(&self.shape, region, size_of::<T>())
    }

    fn stretch(&self, first: usize, count: usize) -> Result<Window> {
        if first.checked_add(count).is_none_or(|end| end > self.len()) {
            return Err(Error::shape(
                "elements",
                format!("a stretch within {} elements", self.len()),
                format!("{count} from element {first} on"),
            ));
        }
        let size = size_of::<T>() as u64;
        Ok(Window::contiguous(first as u64 * size, count as u64 * size))
    }

    /// The region, a range for each axis, as a dense tensor on the device. Does not wait for the device.
    ///
    /// # Errors
    /// [`Error::Shape`] for a region that leaves the tensor; [`Error::OutOfMemory`], [`Error::Limit`];
    /// [`Error::File`]; errors of the device and of the source.
    pub fn load(&self, region: &[Range<usize>]) -> Result<Tensor<T>> {
        self.window(region)?;
        let shape: Vec<usize> = region.iter().map(ExactSizeIterator::len).collect();
        let mut tensor = self.ctx.zeros(shape)?;
        self.load_into(region, &mut tensor)?;
        Ok(tensor)
    }

    /// The region into the first elements of a tensor, which spares making one for each region.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`Error::Shape`] if the tensor is too small, [`Error::Foreign`].
    pub fn load_into(&self, region: &[Range<usize>], into: &mut Tensor<T>) -> Result<()> {
        let window = self.window(region)?;
        self.check(window.bytes as usize / size_of::<T>(), into, "the tensor to load into")?;
        self.load_window(&window, into.buffer())
    }

    /// What [`load_into`](Self::load_into) does, of the same elements seen as another shape.
    pub(crate) fn load_shaped(
        &self,
        shape: &Shape,
        region: &[Range<usize>],
        into: &mut Tensor<T>,
    ) -> Result<()> {
        let window = Window::new(shape, region, size_of::<T>())?;
        self.check(window.bytes as usize / size_of::<T>(), into, "the tensor to load into")?;
        self.load_window(&window, into.buffer())
    }

    fn load_window(&self, window: &Window, into: &Buffer) -> Result<()> {
        self.blocks.prefetch(window)?;
        into.fill(0..window.bytes, |part, memory| {
            self.blocks.gather(&window.pieces(part, self.blocks.page), memory)
        })
    }

    /// Puts the first elements of a tensor into the region. Waits for the device to have computed
    /// them, and not for files.
    ///
    /// # Errors
    /// As [`load_into`](Self::load_into).
    pub fn store(&mut self, region: &[Range<usize>], from: &Tensor<T>) -> Result<()> {
        self.put_shaped(&self.shape, region, from)
    }

    /// What [`store`](Self::store) does, into the same elements seen as another shape, and beside others
    /// that read or write other regions.
    pub(crate) fn put_shaped(
        &self,
        shape: &Shape,
        region: &[Range<usize>],
        from: &Tensor<T>,
    ) -> Result<()> {
        let window = Window::new(shape, region, size_of::<T>())?;
        self.check(window.bytes as usize / size_of::<T>(), from, "the tensor to store")?;
        self.put_window(&window, from.buffer())
    }

    fn put_window(&self, window: &Window, from: &Buffer) -> Result<()> {
        from.drain(0..window.bytes, |part, memory| {
            self.blocks.scatter(&window.pieces(part, self.blocks.page), memory)
        })
    }

    /// What must hold of a tensor for this many of its elements to be loaded or stored.
    fn check<W: Element>(&self, count: usize, tensor: &Tensor<W>, name: &str) -> Result<()> {
        if !tensor.buffer().device().is(self.ctx.device()) {
            return Err(Error::Foreign { operand: name.into() });
        }
        if tensor.len() < count {
            let expected = format!("at least {count} elements");
            return Err(Error::shape(name, expected, format!("{} elements", tensor.len())));
        }
        Ok(())
    }

    /// Overwrites the elements from `first` on, counted in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] for a stretch that leaves the tensor; [`Error::OutOfMemory`], [`Error::File`];
    /// errors of the source.
    pub fn write(&mut self, first: usize, elements: &[T]) -> Result<()> {
        let window = self.stretch(first, elements.len())?;
        let pieces = window.pieces(0..window.bytes, self.blocks.page);
        self.blocks.scatter(&pieces, bytemuck::cast_slice(elements))
    }

    /// Fills `elements` with those from `first` on, counted in row-major order.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn read(&self, first: usize, elements: &mut [T]) -> Result<()> {
        let window = self.stretch(first, elements.len())?;
        let pieces = window.pieces(0..window.bytes, self.blocks.page);
        self.blocks.gather(&pieces, bytemuck::cast_slice_mut::<T, u8>(elements).into())
    }

    /// Begins to read what of the region is in files, as far as a quarter of the host's budget goes,
    /// and returns at once.
    ///
    /// # Errors
    /// [`Error::Shape`] for a region that leaves the tensor.
    pub fn prefetch(&self, region: &[Range<usize>]) -> Result<()> {
        self.blocks.prefetch(&self.window(region)?)
    }

    /// Keeps the pages of the region in host memory until what it returns is dropped.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::OutOfMemory`] where not all of them have room at once.
    pub fn pin(&self, region: &[Range<usize>]) -> Result<Pinned<'_>> {
        let held = self.blocks.hold(&self.window(region)?)?;
        Ok(Pinned { held, tensor: PhantomData })
    }
}

/// Pages that stay in host memory until this is dropped; made by [`Paged::pin`].
pub struct Pinned<'a> {
    held: Vec<Pin>,
    tensor: PhantomData<&'a ()>,
}

impl std::fmt::Debug for Pinned<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pinned({} pages)", self.held.len())
    }
}

/// Bytes of a page where the host's budget is this: a power of two, so that pages end between
/// elements, and small enough that many fit.
fn page_bytes(host: u64) -> u64 {
    1 << (host / 16).clamp(LEAST_PAGE, PAGE).ilog2()
}
