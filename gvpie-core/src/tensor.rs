//! Tensors: typed, shaped memory on a device, and strided views of it.

use crate::buffer::Buffer;
use crate::device::Device;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::shape::{Shape, overlaps, span};
use std::marker::PhantomData;
use std::ops::Range;

/// Elements of one type on one device, dense and row-major.
///
/// ```
/// use gvpie_core::{Backend, Context};
/// let ctx = Context::on(Backend::Cpu)?;
/// let a = ctx.upload([2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// assert_eq!(a.view().transpose()?.download()?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// # Ok::<(), gvpie_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Tensor<T> {
    buffer: Buffer,
    shape: Shape,
    element: PhantomData<T>,
}

impl<T: Element> Tensor<T> {
    /// A tensor of zeros. `what` names it in errors.
    pub(crate) fn zeros(device: &Device, shape: Shape, what: &str) -> Result<Self> {
        let bytes = shape.len().and_then(|n| n.checked_mul(size_of::<T>())).ok_or_else(|| {
            Error::Limit {
                what: format!("{what} of shape {shape}"),
                limit: "max_buffer_size",
                asked: u64::MAX,
                allowed: usize::MAX as u64,
            }
        })?;
        let named = format!("{what} of shape {shape} ({})", T::DTYPE);
        let buffer = Buffer::zeroed(device, bytes as u64, &named)?;
        Ok(Tensor { buffer, shape, element: PhantomData })
    }

    /// The extents.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many elements it holds.
    pub fn len(&self) -> usize {
        self.buffer.len() as usize / size_of::<T>()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory behind it.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// Overwrites all elements.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `data` has exactly as many elements; errors of the device.
    pub fn write(&mut self, data: &[T]) -> Result<()> {
        if data.len() != self.len() {
            return Err(Error::shape(
                "data",
                format!("{} elements for shape {}", self.len(), self.shape),
                format!("{} elements", data.len()),
            ));
        }
        self.buffer.write(bytemuck::cast_slice(data))
    }

    /// The whole tensor as a view.
    pub fn view(&self) -> TensorView<'_, T> {
        TensorView {
            buffer: &self.buffer,
            strides: self.shape.strides(),
            shape: self.shape.clone(),
            offset: 0,
            element: PhantomData,
        }
    }

    /// The whole tensor as a view that may be written through.
    pub fn view_mut(&mut self) -> TensorViewMut<'_, T> {
        TensorViewMut { view: self.view(), unique: PhantomData }
    }

    /// The elements, row-major. Blocks until the device has finished all work that was submitted
    /// before; nothing else in this crate waits.
    ///
    /// # Errors
    /// [`Error::DeviceLost`], [`Error::Timeout`], [`Error::OutOfMemory`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download(&self) -> Result<Vec<T>> {
        self.view().download()
    }

    /// The elements, row-major, without blocking the calling thread.
    ///
    /// # Errors
    /// As [`download`](Self::download).
    pub async fn download_async(&self) -> Result<Vec<T>> {
        self.view().download_async().await
    }
}

/// A strided window into a [`Tensor`]; no element is moved to make one.
///
/// Element (i₀, i₁, …) lies at `offset + Σ iₐ·strideₐ` of the tensor's buffer, in elements.
#[derive(Debug, Clone)]
pub struct TensorView<'a, T> {
    buffer: &'a Buffer,
    shape: Shape,
    strides: Vec<usize>,
    offset: usize,
    element: PhantomData<T>,
}

impl<'a, T: Element> TensorView<'a, T> {
    /// The extents.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Strides in elements.
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// Where the first element lies in the buffer, in elements.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Any strided window into the same buffer, `offset` counted from its beginning.
    ///
    /// # Errors
    /// [`Error::Shape`] if `strides` are not as many as the axes or the window leaves the buffer.
    pub fn strided(
        &self,
        shape: impl Into<Shape>,
        strides: &[usize],
        offset: usize,
    ) -> Result<Self> {
        let shape = shape.into();
        if strides.len() != shape.rank() {
            return Err(Error::shape(
                "strides",
                format!("{} strides for shape {shape}", shape.rank()),
                format!("{}", strides.len()),
            ));
        }
        let held = self.buffer.len() as usize / size_of::<T>();
        let end = span(shape.dims(), strides).and_then(|n| n.checked_add(offset));
        if end.is_none_or(|end| end > held) {
            return Err(Error::shape(
                "view",
                format!("a window within {held} elements"),
                format!("shape {shape}, strides {strides:?}, offset {offset}"),
            ));
        }
        Ok(TensorView { shape, strides: strides.to_vec(), offset, ..self.clone() })
    }

    /// The view with its axes in another order: axis `a` of the result is axis `axes[a]` of this.
    ///
    /// # Errors
    /// [`Error::Shape`] if `axes` is not a permutation of the axes.
    pub fn permute(&self, axes: &[usize]) -> Result<Self> {
        let mut seen = axes.to_vec();
        seen.sort_unstable();
        if !seen.iter().copied().eq(0..self.shape.rank()) {
            return Err(Error::shape(
                "axes",
                format!("a permutation of 0..{}", self.shape.rank()),
                format!("{axes:?}"),
            ));
        }
        let pick = |from: &[usize]| axes.iter().map(|&axis| from[axis]).collect::<Vec<_>>();
        Ok(TensorView {
            shape: pick(self.shape.dims()).into(),
            strides: pick(&self.strides),
            ..self.clone()
        })
    }

    /// The view with its last two axes exchanged.
    ///
    /// # Errors
    /// [`Error::Shape`] if it has fewer than two axes.
    pub fn transpose(&self) -> Result<Self> {
        let rank = self.shape.rank();
        if rank < 2 {
            return Err(Error::shape("view", "at least 2 axes", format!("shape {}", self.shape)));
        }
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(rank - 2, rank - 1);
        self.permute(&axes)
    }

    /// The part of the view whose index along `axis` lies in `range`.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no such axis or the range leaves it.
    pub fn slice(&self, axis: usize, range: Range<usize>) -> Result<Self> {
        let extent = self.shape.dims().get(axis).copied().unwrap_or(0);
        if axis >= self.shape.rank() || range.start > range.end || range.end > extent {
            return Err(Error::shape(
                "range",
                format!("within axis {axis} of shape {}", self.shape),
                format!("{range:?}"),
            ));
        }
        let mut dims = self.shape.dims().to_vec();
        dims[axis] = range.len();
        let shape = Shape::from(dims);
        // An empty part has no first element; its offset stays inside the buffer.
        let start = if shape.is_empty() { 0 } else { range.start * self.strides[axis] };
        Ok(TensorView { shape, offset: self.offset + start, ..self.clone() })
    }

    /// The elements, row-major and dense. Blocks, as [`Tensor::download`] does.
    ///
    /// # Errors
    /// As [`Tensor::download`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download(&self) -> Result<Vec<T>> {
        let bytes = self.bytes();
        Ok(self.gather(&self.buffer.read(bytes.clone())?, bytes.start))
    }

    /// The elements, row-major and dense, without blocking the calling thread.
    ///
    /// # Errors
    /// As [`Tensor::download`].
    pub async fn download_async(&self) -> Result<Vec<T>> {
        let bytes = self.bytes();
        Ok(self.gather(&self.buffer.read_async(bytes.clone()).await?, bytes.start))
    }

    /// The bytes of the buffer that hold the view, widened to whole words.
    fn bytes(&self) -> Range<u64> {
        let elements = span(self.shape.dims(), &self.strides).unwrap_or(0);
        if elements == 0 {
            return 0..0;
        }
        let start = (self.offset * size_of::<T>()) as u64 & !3;
        start..((self.offset + elements) * size_of::<T>()) as u64
    }

    fn gather(&self, bytes: &[u8], start: u64) -> Vec<T> {
        let dims = self.shape.dims();
        let count = self.shape.len().unwrap_or(0);
        if count == 0 {
            return Vec::new(); // nothing was read, whatever the offset
        }
        let first = self.offset - (start as usize / size_of::<T>()).min(self.offset);
        // The bytes of a fresh vector are aligned for every element type only by luck.
        let aligned: std::borrow::Cow<'_, [T]> = match bytemuck::try_cast_slice(bytes) {
            Ok(elements) => elements.into(),
            Err(_) => bytemuck::pod_collect_to_vec(bytes).into(),
        };
        if self.strides == self.shape.strides() {
            return aligned[first..][..count].to_vec();
        }
        let mut index = vec![0; dims.len()];
        let mut dense = Vec::with_capacity(count);
        for _ in 0..count {
            let at: usize = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
            dense.push(aligned[first + at]);
            for axis in (0..dims.len()).rev() {
                index[axis] += 1;
                if index[axis] < dims[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        dense
    }

    /// The view without its element type or lifetime, as plans use it.
    pub(crate) fn operand(&self) -> Operand {
        Operand {
            buffer: self.buffer.clone(),
            dtype: T::DTYPE,
            shape: self.shape.clone(),
            strides: self.strides.clone(),
            offset: self.offset,
        }
    }
}

/// A [`TensorView`] through which a plan may write.
#[derive(Debug)]
pub struct TensorViewMut<'a, T> {
    view: TensorView<'a, T>,
    unique: PhantomData<&'a mut T>,
}

impl<'a, T: Element> TensorViewMut<'a, T> {
    /// The same window, for reading.
    pub fn as_view(&self) -> &TensorView<'a, T> {
        &self.view
    }

    /// The window that `f` makes of this one, still writable.
    ///
    /// ```
    /// # use gvpie_core::{Backend, Context};
    /// # let ctx = Context::on(Backend::Cpu)?;
    /// let mut c = ctx.zeros::<f32>([4, 4])?;
    /// let upper_half = c.view_mut().map(|all| all.slice(0, 0..2))?;
    /// # drop(upper_half);
    /// # Ok::<(), gvpie_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever `f` returns.
    pub fn map(
        self,
        f: impl FnOnce(&TensorView<'a, T>) -> Result<TensorView<'a, T>>,
    ) -> Result<Self> {
        Ok(TensorViewMut { view: f(&self.view)?, unique: PhantomData })
    }

    pub(crate) fn operand(&self) -> Operand {
        self.view.operand()
    }
}

impl<'a, T: Element> From<&'a Tensor<T>> for TensorView<'a, T> {
    fn from(tensor: &'a Tensor<T>) -> Self {
        tensor.view()
    }
}
impl<'a, T: Element> From<&'a mut Tensor<T>> for TensorViewMut<'a, T> {
    fn from(tensor: &'a mut Tensor<T>) -> Self {
        tensor.view_mut()
    }
}

/// A view whose element type is data: what plans check and back ends read.
#[derive(Debug, Clone)]
pub(crate) struct Operand {
    pub buffer: Buffer,
    pub dtype: DType,
    pub shape: Shape,
    pub strides: Vec<usize>,
    pub offset: usize,
}

impl Operand {
    /// An error if the operand lives on another device than the plan.
    pub fn check_device(&self, device: &Device, name: &str) -> Result<()> {
        if self.buffer.device().is(device) {
            return Ok(());
        }
        Err(Error::Foreign { operand: name.into() })
    }

    /// An error if the operand's elements are of another type than the plan's.
    pub fn check_dtype(&self, expected: DType, name: &str) -> Result<()> {
        if self.dtype == expected {
            return Ok(());
        }
        Err(Error::Element {
            operand: name.into(),
            expected: expected.name(),
            found: self.dtype.name(),
        })
    }

    /// An error if writing the operand would write one element twice.
    pub fn check_distinct(&self, name: &str) -> Result<()> {
        if !overlaps(self.shape.dims(), &self.strides) {
            return Ok(());
        }
        Err(Error::shape(
            name,
            "an output whose elements do not overlap",
            format!("shape {}, strides {:?}", self.shape, self.strides),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Pool;
    use half::f16;
    use std::time::Duration;

    fn host() -> Device {
        Device::host(Pool::default(), Duration::ZERO, false)
    }

    fn iota(shape: impl Into<Shape>) -> Tensor<f32> {
        let mut tensor = Tensor::zeros(&host(), shape.into(), "iota").unwrap();
        let data: Vec<f32> = (0..tensor.len()).map(|i| i as f32).collect();
        tensor.write(&data).unwrap();
        tensor
    }

    #[test]
    fn views_download_dense() {
        let t = iota([2, 3, 4]);
        let last = t.view().slice(0, 1..2).unwrap().slice(2, 1..3).unwrap();
        assert_eq!(last.download().unwrap(), [13.0, 14.0, 17.0, 18.0, 21.0, 22.0]);
        assert_eq!(pollster::block_on(last.download_async()).unwrap(), last.download().unwrap());
        let turned = t.view().permute(&[2, 0, 1]).unwrap();
        assert_eq!(turned.download().unwrap()[..6], [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]);
        assert!(t.view().slice(1, 3..3).unwrap().download().unwrap().is_empty());
        let column = t.view().strided([3], &[8], 1).unwrap();
        assert_eq!(column.download().unwrap(), [1.0, 9.0, 17.0]);
        let nothing = t.view().strided([0], &[1], 5).unwrap();
        assert!(nothing.download().unwrap().is_empty());
    }

    #[test]
    fn half_precision_views_start_at_odd_elements() {
        let data: Vec<f16> = (0..7_u8).map(f16::from).collect();
        let mut t = Tensor::<f16>::zeros(&host(), Shape::from([7]), "odd").unwrap();
        t.write(&data).unwrap();
        assert_eq!(t.download().unwrap(), data);
        assert_eq!(t.view().slice(0, 3..7).unwrap().download().unwrap(), data[3..]);
    }

    #[test]
    fn windows_that_leave_the_buffer_are_refused() {
        let t = iota([2, 3]);
        assert!(t.view().strided([2], &[6], 0).is_err());
        assert!(t.view().strided([2], &[1], 5).is_err());
        assert!(t.view().strided([2, 1], &[1], 0).is_err());
        assert!(t.view().slice(0, 1..3).is_err());
        assert!(t.view().slice(2, 0..0).is_err());
        assert!(t.view().permute(&[0, 0]).is_err());
        assert!(iota([3]).view().transpose().is_err());
    }

    #[test]
    fn a_shape_past_the_address_space_is_a_limit() {
        let error =
            Tensor::<f64>::zeros(&host(), Shape::from([usize::MAX / 4, 3]), "t").unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }

    #[test]
    fn memory_is_counted_and_given_back() {
        let device = host();
        let t = Tensor::<f32>::zeros(&device, Shape::from([5]), "t").unwrap();
        assert_eq!(device.pool().usage().in_use, 32); // 20 bytes, padded to whole vectors
        drop(t);
        assert_eq!(device.pool().usage().in_use, 0);
    }
}
