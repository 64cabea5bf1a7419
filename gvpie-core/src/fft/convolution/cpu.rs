//! Convolutions on the host: what lies between their FFTs, under the names that shaders have.

use super::plan::Step;
use crate::element::DType;
use crate::fft::strided::{Lines, Side};
use bytemuck::Pod;
use num_complex::Complex;
use rustfft::FftNum;

/// Element `index` of the line that begins here.
fn at(side: &Side, begin: usize, index: usize) -> usize {
    begin.wrapping_add_signed(side.axis.wrapping_mul(index as isize))
}

/// y = a·b of complex numbers, from bytes to bytes.
pub(super) fn product(step: Step, lines: &Lines<2>, inputs: [&[u8]; 2], y: &mut [u8]) {
    match step.element() {
        DType::F64 => products::<f64>(lines, inputs, y),
        _ => products::<f32>(lines, inputs, y),
    }
}

fn products<T: FftNum>(lines: &Lines<2>, inputs: [&[u8]; 2], y: &mut [u8])
where
    Complex<T>: Pod,
{
    let [a, b] = inputs.map(bytemuck::cast_slice::<u8, Complex<T>>);
    let [side_a, side_b] = &lines.inputs;
    lines.each(bytemuck::cast_slice_mut(y), |index, [begin_a, begin_b]| {
        a[at(side_a, begin_a, index)] * b[at(side_b, begin_b, index)]
    });
}

/// y = x, or conj x, from bytes to bytes.
pub(super) fn copy(step: Step, lines: &Lines<1>, [x]: [&[u8]; 1], y: &mut [u8]) {
    let conjugates = matches!(step, Step::Conjugate(_));
    match step.element() {
        DType::F32 => copies(lines, x, y, |x: f32| x),
        DType::F64 => copies(lines, x, y, |x: f64| x),
        DType::C128 if conjugates => copies(lines, x, y, |x: Complex<f64>| x.conj()),
        DType::C128 => copies(lines, x, y, |x: Complex<f64>| x),
        _ if conjugates => copies(lines, x, y, |x: Complex<f32>| x.conj()),
        _ => copies(lines, x, y, |x: Complex<f32>| x),
    }
}

fn copies<T: Pod + Send + Sync>(
    lines: &Lines<1>,
    x: &[u8],
    y: &mut [u8],
    f: impl Fn(T) -> T + Sync,
) {
    let x: &[T] = bytemuck::cast_slice(x);
    let [side] = &lines.inputs;
    lines.each(bytemuck::cast_slice_mut(y), |index, [begin]| f(x[at(side, begin, index)]));
}
