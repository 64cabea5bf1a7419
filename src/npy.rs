//! NumPy's `.npy` files: arrays of f16, f32, f64, complex64 and complex128 in and out.

use gvpie_core::paged::{FileSource, Source};
use gvpie_core::{Complex, Context, DType, Element, Shape, Tensor, TensorView, f16};
use npyz::WriterBuilder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// NumPy itself reads no longer header than this; a file that claims one is no array.
const MAX_HEADER: u64 = 10_000;

/// Why a file is not an array that can be used; each names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not begin as a `.npy` file does.
    #[error("{}: not a .npy file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with its header.
        reason: String,
    },
    /// The elements are of a type that is not computed with.
    #[error("{}: expected elements of {expected} in little-endian order, found {found}", path.display())]
    Element {
        /// The file.
        path: PathBuf,
        /// The types that would do.
        expected: &'static str,
        /// The type as NumPy writes it.
        found: String,
    },
    /// The file ends before its last element.
    #[error("{}: expected {expected} bytes of data for shape {shape}, found {found}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The shape its header states.
        shape: Shape,
        /// Bytes that shape takes.
        expected: u128,
        /// Bytes there are.
        found: u64,
    },
}

/// What the elements of an [`Array`] can be read as.
pub trait Elements: Sized {
    /// The types it takes, in words.
    const EXPECTED: &'static str;

    /// Whether it takes elements of this type.
    fn takes(dtype: DType) -> bool;

    /// The elements of these bytes, of a type that it takes.
    fn of(dtype: DType, bytes: &[u8]) -> Self;
}

/// Real elements of an [`Array`], in the file's order.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Half precision.
    F16(Vec<f16>),
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl Data {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F16(_) => DType::F16,
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
        }
    }

    /// The same numbers in double precision, exactly.
    fn widen(self) -> Vec<f64> {
        match self {
            Data::F16(x) => x.into_iter().map(f64::from).collect(),
            Data::F32(x) => x.into_iter().map(f64::from).collect(),
            Data::F64(x) => x,
        }
    }
}

impl Elements for Data {
    const EXPECTED: &'static str = "f16, f32 or f64";

    fn takes(dtype: DType) -> bool {
        matches!(dtype, DType::F16 | DType::F32 | DType::F64)
    }

    fn of(dtype: DType, bytes: &[u8]) -> Self {
        match dtype {
            DType::F16 => Data::F16(bytemuck::pod_collect_to_vec(bytes)),
            DType::F64 => Data::F64(bytemuck::pod_collect_to_vec(bytes)),
            _ => Data::F32(bytemuck::pod_collect_to_vec(bytes)),
        }
    }
}

/// Real or complex elements of an [`Array`], in the file's order.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// Real ones.
    Real(Data),
    /// Complex ones of single precision.
    C64(Vec<Complex<f32>>),
    /// Complex ones of double precision.
    C128(Vec<Complex<f64>>),
}

impl Numbers {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Numbers::Real(data) => data.dtype(),
            Numbers::C64(_) => DType::C64,
            Numbers::C128(_) => DType::C128,
        }
    }
}

impl Elements for Numbers {
    const EXPECTED: &'static str = "f16, f32, f64, complex64 or complex128";

    fn takes(dtype: DType) -> bool {
        Data::takes(dtype) || matches!(dtype, DType::C64 | DType::C128)
    }

    fn of(dtype: DType, bytes: &[u8]) -> Self {
        match dtype {
            DType::C64 => Numbers::C64(bytemuck::pod_collect_to_vec(bytes)),
            DType::C128 => Numbers::C128(bytemuck::pod_collect_to_vec(bytes)),
            real => Numbers::Real(Data::of(real, bytes)),
        }
    }
}

/// A floating-point element that [`Data`] can be turned into.
pub trait Float: Element + npyz::AutoSerialize + npyz::Deserialize + Into<f64> {
    /// The elements as this type, rounded once where it is narrower.
    fn take(data: Data) -> Vec<Self>;
}

macro_rules! floats {
    ($($float:ty, $variant:ident, $narrow:expr);*) => {$(
        impl Float for $float {
            fn take(data: Data) -> Vec<Self> {
                match data {
                    Data::$variant(elements) => elements,
                    other => other.widen().into_iter().map($narrow).collect(),
                }
            }
        }
    )*};
}
floats!(f16, F16, f16::from_f64; f32, F32, |x| x as f32; f64, F64, |x| x);

/// What a file says of its array before the elements.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The file.
    pub path: PathBuf,
    /// The extents.
    pub shape: Shape,
    /// Whether the first axis is the contiguous one.
    pub fortran: bool,
    /// The element type.
    pub dtype: DType,
    /// Where the elements begin, in bytes.
    pub offset: u64,
}

impl Header {
    /// Reads the beginning of a file whose elements can be read as `D`, and makes sure that it is long
    /// enough for them.
    ///
    /// # Errors
    /// [`Error`], naming the file.
    pub fn read<D: Elements>(path: &Path) -> Result<Self, Error> {
        let (head, _) = Header::begin::<D>(path)?;
        let length = std::fs::metadata(path).map(|about| about.len());
        let length = length.map_err(|source| Error::Io { path: path.into(), source })?;
        let (expected, found) = (head.expected(), length.saturating_sub(head.offset));
        if u128::from(found) < expected {
            return Err(Error::Truncated { path: head.path, shape: head.shape, expected, found });
        }
        Ok(head)
    }

    /// Bytes that the elements take; in 128 bits the first product that overflows is already larger
    /// than any file.
    fn expected(&self) -> u128 {
        if self.shape.is_empty() {
            return 0;
        }
        let dims = self.shape.dims();
        dims.iter()
            .try_fold(self.dtype.size() as u128, |n, &d| n.checked_mul(d as u128))
            .unwrap_or(u128::MAX)
    }

    /// The header, and a reader of what follows it.
    fn begin<D: Elements>(path: &Path) -> Result<(Self, impl Read), Error> {
        let (header, offset, reader) = open(path)?;
        let dtype = element(&header.dtype()).filter(|&dtype| D::takes(dtype)).ok_or_else(|| {
            let found = header.dtype().descr();
            Error::Element { path: path.into(), expected: D::EXPECTED, found }
        })?;
        let dims: Vec<usize> = header
            .shape()
            .iter()
            .map(|&extent| usize::try_from(extent))
            .collect::<Result<_, _>>()
            .map_err(|_| Error::Format {
                path: path.into(),
                reason: "an extent does not fit this machine".into(),
            })?;
        let head = Header {
            path: path.into(),
            shape: Shape::from(dims),
            fortran: header.order() == npyz::Order::Fortran,
            dtype,
            offset,
        };
        Ok((head, reader))
    }
}

/// The beginning of a file, how many bytes it takes, and a reader of what follows it.
fn open(path: &Path) -> Result<(npyz::NpyHeader, u64, impl Read), Error> {
    let io = |source| Error::Io { path: path.into(), source };
    let format = |reason: String| Error::Format { path: path.into(), reason };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_dir() {
        return Err(io(io::ErrorKind::IsADirectory.into()));
    }
    let mut reader = BufReader::new(file);
    let mut head = Vec::new();
    (&mut reader).take(MAX_HEADER).read_to_end(&mut head).map_err(io)?;
    let mut rest = &head[..];
    let header = npyz::NpyHeader::from_reader(&mut rest).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return format("its header is cut short".into());
        }
        // The parser's first line says why; what it stumbled over is shown beside it.
        let reason = error.to_string();
        let reason = reason.lines().next().unwrap_or_default().trim();
        let text = head.get(10..).filter(|_| head.starts_with(b"\x93NUMPY")).unwrap_or(&[]);
        let shown: String = String::from_utf8_lossy(text).chars().take(60).collect();
        format(format!("{reason} {}", shown.trim().escape_debug()).trim_end().into())
    })?;
    let offset = (head.len() - rest.len()) as u64;
    let rest = io::Cursor::new(head.split_off(offset as usize));
    Ok((header, offset, rest.chain(reader)))
}

/// The elements of a file as they lie there, row by row, whatever their type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Their kind as NumPy writes it: `b`, `i`, `u`, `f`, `c` and others.
    pub kind: char,
    /// Bytes of an element.
    pub size: u64,
    /// All of them.
    pub bytes: Vec<u8>,
}

impl Plain {
    /// Reads a file of little-endian elements.
    ///
    /// # Errors
    /// [`Error`], naming the file; [`Error::Format`] where it goes column by column.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let (header, _, reader) = open(path)?;
        let format = |reason: &str| Error::Format { path: path.into(), reason: reason.into() };
        if header.order() == npyz::Order::Fortran && header.shape().len() > 1 {
            return Err(format("it goes column by column; save numpy.ascontiguousarray of it"));
        }
        let dtype = header.dtype();
        let plain = match &dtype {
            npyz::DType::Plain(plain) if plain.endianness() != npyz::Endianness::Big => plain,
            _ => {
                let (path, expected) = (path.into(), "one plain type");
                return Err(Error::Element { path, expected, found: dtype.descr() });
            }
        };
        let size = plain.size_field();
        let shape: Option<Vec<usize>> =
            header.shape().iter().map(|&extent| usize::try_from(extent).ok()).collect();
        let shape = shape.ok_or_else(|| format("an extent does not fit this machine"))?;
        let extents = shape.iter().map(|&extent| extent as u128);
        let expected = match shape.contains(&0) {
            true => 0,
            false => extents.fold(size.into(), u128::saturating_mul),
        };
        let mut bytes = Vec::new();
        let wanted = u64::try_from(expected).unwrap_or(u64::MAX);
        let io = |source| Error::Io { path: path.into(), source };
        let found = reader.take(wanted).read_to_end(&mut bytes).map_err(io)? as u64;
        if u128::from(found) < expected {
            let shape = Shape::from(shape);
            return Err(Error::Truncated { path: path.into(), shape, expected, found });
        }
        Ok(Plain { kind: plain.type_char().to_str().chars().next().unwrap_or(' '), size, bytes })
    }
}

/// An array as a file holds it; of real elements, unless it is one of [`Numbers`].
#[derive(Debug, Clone, PartialEq)]
pub struct Array<D = Data> {
    /// The extents.
    pub shape: Shape,
    /// Whether the first axis is the contiguous one.
    pub fortran: bool,
    /// The elements.
    pub data: D,
}

impl<D: Elements> Array<D> {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error`], naming the file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.into(), source };
        let (head, reader) = Header::begin::<D>(path)?;
        let expected = head.expected();
        let mut bytes = Vec::new();
        let wanted = u64::try_from(expected).unwrap_or(u64::MAX);
        let found = reader.take(wanted).read_to_end(&mut bytes).map_err(io)? as u64;
        let Header { shape, fortran, dtype, .. } = head;
        if u128::from(found) < expected {
            return Err(Error::Truncated { path: path.into(), shape, expected, found });
        }
        let data = D::of(dtype, &bytes);
        Ok(Array { shape, fortran, data })
    }

    /// Strides in elements.
    pub fn strides(&self) -> Vec<usize> {
        if !self.fortran {
            return self.shape.strides();
        }
        let mut step = 1_usize;
        let stride = |&extent: &usize| {
            let stride = step;
            step = step.saturating_mul(extent.max(1));
            stride
        };
        self.shape.dims().iter().map(stride).collect()
    }
}

impl Array {
    /// The elements row by row, rounded once where this type is narrower than the file's.
    pub fn dense<T: Float>(self) -> Vec<T> {
        let strides = self.strides();
        let data = T::take(self.data);
        if !self.fortran || data.is_empty() {
            return data;
        }
        let dims = self.shape.dims();
        let mut index = vec![0; dims.len()];
        let mut dense = Vec::with_capacity(data.len());
        for _ in 0..data.len() {
            dense.push(data[index.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>()]);
            if let Some(axis) = (0..dims.len()).rev().find(|&axis| index[axis] + 1 < dims[axis]) {
                index[axis] += 1;
                index[axis + 1..].fill(0);
            }
        }
        dense
    }
}

/// Writes a row-major array into a file that has been begun; the caller finishes it.
///
/// # Errors
/// Those of writing.
pub fn write<T: Element + npyz::AutoSerialize>(
    file: &mut impl io::Write,
    shape: &Shape,
    data: &[T],
) -> io::Result<()> {
    let dims: Vec<u64> = shape.dims().iter().map(|&extent| extent as u64).collect();
    let options = npyz::WriteOptions::<T>::new().default_dtype().shape(&dims);
    let mut writer = options.writer(file).begin_nd()?;
    writer.extend(data.iter().copied())?;
    writer.finish()
}

/// Elements of a file as another type.
#[derive(Debug)]
pub struct Converted<F, T> {
    source: FileSource<F>,
    convert: fn(F) -> T,
}

impl<F: Element, T> Converted<F, T> {
    /// The elements of this file, each as `convert` makes it.
    ///
    /// # Errors
    /// As [`FileSource::open`].
    pub fn open(head: &Header, convert: fn(F) -> T) -> gvpie_core::Result<Self> {
        Ok(Converted { source: FileSource::open(&head.path, head.offset)?, convert })
    }
}

impl<F: Element, T: Element> Source<T> for Converted<F, T> {
    fn read_at(&self, first: usize, out: &mut [T]) -> gvpie_core::Result<()> {
        let mut read = vec![F::default(); out.len()];
        self.source.read_at(first, &mut read)?;
        out.iter_mut().zip(read).for_each(|(to, from)| *to = (self.convert)(from));
        Ok(())
    }
}

/// An [`Array`] on a device, as it lies in the file.
#[derive(Debug)]
pub struct Uploaded<T> {
    tensor: Tensor<T>,
    shape: Shape,
    strides: Vec<usize>,
}

impl<T: Element> Uploaded<T> {
    /// Uploads the elements of an array.
    ///
    /// # Errors
    /// As [`Context::upload`].
    pub fn new(
        ctx: &Context,
        shape: &Shape,
        strides: Vec<usize>,
        data: &[T],
    ) -> gvpie_core::Result<Self> {
        let tensor = ctx.upload([data.len()], data)?;
        Ok(Uploaded { tensor, shape: shape.clone(), strides })
    }

    /// The array with its shape.
    ///
    /// # Errors
    /// As [`TensorView::strided`].
    pub fn view(&self) -> gvpie_core::Result<TensorView<'_, T>> {
        self.tensor.view().strided(&self.shape, &self.strides, 0)
    }
}

fn element(dtype: &npyz::DType) -> Option<DType> {
    let npyz::DType::Plain(plain) = dtype else { return None };
    let little = plain.endianness() == npyz::Endianness::Little;
    match (plain.type_char(), plain.size_field()) {
        (npyz::TypeChar::Float, 2) if little => Some(DType::F16),
        (npyz::TypeChar::Float, 4) if little => Some(DType::F32),
        (npyz::TypeChar::Float, 8) if little => Some(DType::F64),
        (npyz::TypeChar::Complex, 8) if little => Some(DType::C64),
        (npyz::TypeChar::Complex, 16) if little => Some(DType::C128),
        _ => None,
    }
}
