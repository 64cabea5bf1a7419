//! Regions as tensors of another floating-point type, each element rounded once.

use super::Paged;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use half::f16;
use rayon::prelude::*;
use std::ops::Range;

/// Elements that a task converts.
const TASK: usize = 1 << 16;

impl<T: Element> Paged<T> {
    /// The region into the first elements of a tensor of another floating-point type.
    pub(crate) fn load_as<W: Element>(
        &self,
        region: &[Range<usize>],
        into: &mut Tensor<W>,
    ) -> Result<()> {
        let window = self.window(region)?;
        let count = window.bytes as usize / size_of::<T>();
        self.check(count, into, "the tensor to load into")?;
        if W::DTYPE == T::DTYPE {
            return self.load_window(&window, into.buffer());
        }
        let mut read: Vec<T> = Vec::new();
        into.buffer().fill(0..(count * size_of::<W>()) as u64, |part, mut memory| {
            let part = elements::<W>(part);
            read.resize(part.len(), T::default());
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut read);
            let pieces = window.pieces(bytes_of::<T>(part), self.blocks.page);
            self.blocks.gather(&pieces, bytes.into())?;
            memory.copy_from_slice(bytemuck::cast_slice(&convert::<T, W>(&read)?));
            Ok(())
        })
    }

    /// Puts the first elements of a tensor of another floating-point type into the region.
    pub(crate) fn put_as<W: Element>(
        &self,
        region: &[Range<usize>],
        from: &Tensor<W>,
    ) -> Result<()> {
        let window = self.window(region)?;
        let count = window.bytes as usize / size_of::<T>();
        self.check(count, from, "the tensor to store")?;
        if W::DTYPE == T::DTYPE {
            return self.put_window(&window, from.buffer());
        }
        from.buffer().drain(0..(count * size_of::<W>()) as u64, |part, memory| {
            let converted = match bytemuck::try_cast_slice(memory) {
                Ok(elements) => convert::<W, T>(elements)?,
                Err(_) => convert::<W, T>(&bytemuck::pod_collect_to_vec(memory))?,
            };
            let pieces = window.pieces(bytes_of::<T>(elements::<W>(part)), self.blocks.page);
            self.blocks.scatter(&pieces, bytemuck::cast_slice(&converted))
        })
    }
}

fn elements<W>(bytes: Range<u64>) -> Range<usize> {
    bytes.start as usize / size_of::<W>()..bytes.end as usize / size_of::<W>()
}

fn bytes_of<T>(elements: Range<usize>) -> Range<u64> {
    (elements.start * size_of::<T>()) as u64..(elements.end * size_of::<T>()) as u64
}

fn convert<X: Element, Y: Element>(from: &[X]) -> Result<Vec<Y>> {
    let wrong = |found: DType| Error::Element {
        operand: "a paged tensor".into(),
        expected: "f16, f32 or f64",
        found: found.name(),
    };
    let mut to = vec![Y::default(); from.len()];
    let wide = |x: &X| -> f64 {
        let bytes = bytemuck::bytes_of(x);
        match X::DTYPE {
            DType::F16 => bytemuck::pod_read_unaligned::<f16>(bytes).into(),
            DType::F32 => bytemuck::pod_read_unaligned::<f32>(bytes).into(),
            _ => bytemuck::pod_read_unaligned(bytes),
        }
    };
    if !matches!(X::DTYPE, DType::F16 | DType::F32 | DType::F64) {
        return Err(wrong(X::DTYPE));
    }
    let tasks = to.par_chunks_mut(TASK).zip(from.par_chunks(TASK));
    match Y::DTYPE {
        DType::F16 => tasks.for_each(|(to, from)| {
            let to: &mut [f16] = bytemuck::cast_slice_mut(to);
            to.iter_mut().zip(from).for_each(|(y, x)| *y = f16::from_f64(wide(x)));
        }),
        DType::F32 => tasks.for_each(|(to, from)| {
            let to: &mut [f32] = bytemuck::cast_slice_mut(to);
            to.iter_mut().zip(from).for_each(|(y, x)| *y = wide(x) as f32);
        }),
        DType::F64 => tasks.for_each(|(to, from)| {
            let to: &mut [f64] = bytemuck::cast_slice_mut(to);
            to.iter_mut().zip(from).for_each(|(y, x)| *y = wide(x));
        }),
        other => return Err(wrong(other)),
    }
    Ok(to)
}
