//! Transforms of f32 done in f64, on the host, for lengths where f32 would err by too much.
//!
//! rustfft sums the thirteen terms of its largest butterfly one by one. Once in a transform that is
//! within the bound of [`super`]; twice, it errs by up to 1.3 times as much.

use num_complex::Complex;
use realfft::{ComplexToReal, FftError, RealToComplex};
use rustfft::{Direction, Fft, FftDirection, Length};
use std::sync::Arc;

/// Whether lengths are to be done in f64.
pub(super) fn errs(n: usize) -> bool {
    n.is_multiple_of(13 * 13)
}

/// A transform in f64 behind the traits of f32. It allocates at each call, which takes little beside
/// lengths that are multiples of 169.
pub(super) struct Wide<F: ?Sized>(pub Arc<F>);

fn widened(x: &[Complex<f32>]) -> Vec<Complex<f64>> {
    x.iter().map(|x| Complex::new(x.re.into(), x.im.into())).collect()
}

fn narrow(wide: &[Complex<f64>], x: &mut [Complex<f32>]) {
    for (x, wide) in x.iter_mut().zip(wide) {
        *x = Complex::new(wide.re as f32, wide.im as f32);
    }
}

impl<F: Fft<f64> + ?Sized> Length for Wide<F> {
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl<F: Fft<f64> + ?Sized> Direction for Wide<F> {
    fn fft_direction(&self) -> FftDirection {
        self.0.fft_direction()
    }
}

impl<F: Fft<f64> + ?Sized> Fft<f32> for Wide<F> {
    fn process_with_scratch(&self, buffer: &mut [Complex<f32>], _: &mut [Complex<f32>]) {
        let mut wide = widened(buffer);
        self.0.process(&mut wide);
        narrow(&wide, buffer);
    }

    fn process_outofplace_with_scratch(
        &self,
        input: &mut [Complex<f32>],
        output: &mut [Complex<f32>],
        scratch: &mut [Complex<f32>],
    ) {
        self.process_immutable_with_scratch(input, output, scratch);
    }

    fn process_immutable_with_scratch(
        &self,
        input: &[Complex<f32>],
        output: &mut [Complex<f32>],
        scratch: &mut [Complex<f32>],
    ) {
        output.copy_from_slice(input);
        self.process_with_scratch(output, scratch);
    }

    fn get_inplace_scratch_len(&self) -> usize {
        0
    }

    fn get_outofplace_scratch_len(&self) -> usize {
        0
    }

    fn get_immutable_scratch_len(&self) -> usize {
        0
    }
}

impl<F: RealToComplex<f64> + ?Sized> RealToComplex<f32> for Wide<F> {
    fn process(&self, input: &mut [f32], output: &mut [Complex<f32>]) -> Result<(), FftError> {
        let mut wide: Vec<f64> = input.iter().map(|&x| x.into()).collect();
        let mut half = self.0.make_output_vec();
        let done = self.0.process(&mut wide, &mut half);
        narrow(&half, output);
        done
    }

    fn process_with_scratch(
        &self,
        input: &mut [f32],
        output: &mut [Complex<f32>],
        _: &mut [Complex<f32>],
    ) -> Result<(), FftError> {
        self.process(input, output)
    }

    fn get_scratch_len(&self) -> usize {
        0
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn make_input_vec(&self) -> Vec<f32> {
        vec![0.0; self.0.len()]
    }

    fn make_output_vec(&self) -> Vec<Complex<f32>> {
        vec![Complex::default(); self.0.complex_len()]
    }

    fn make_scratch_vec(&self) -> Vec<Complex<f32>> {
        Vec::new()
    }
}

impl<F: ComplexToReal<f64> + ?Sized> ComplexToReal<f32> for Wide<F> {
    fn process(&self, input: &mut [Complex<f32>], output: &mut [f32]) -> Result<(), FftError> {
        let mut wide = self.0.make_output_vec();
        let done = self.0.process(&mut widened(input), &mut wide);
        output.iter_mut().zip(&wide).for_each(|(x, &wide)| *x = wide as f32);
        done
    }

    fn process_with_scratch(
        &self,
        input: &mut [Complex<f32>],
        output: &mut [f32],
        _: &mut [Complex<f32>],
    ) -> Result<(), FftError> {
        self.process(input, output)
    }

    fn get_scratch_len(&self) -> usize {
        0
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn make_input_vec(&self) -> Vec<Complex<f32>> {
        vec![Complex::default(); self.0.complex_len()]
    }

    fn make_output_vec(&self) -> Vec<f32> {
        vec![0.0; self.0.len()]
    }

    fn make_scratch_vec(&self) -> Vec<Complex<f32>> {
        Vec::new()
    }
}
