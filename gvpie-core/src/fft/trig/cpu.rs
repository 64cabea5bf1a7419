//! Cosine and sine transforms on the host: what comes before and after their FFTs, under the names
//! that the steps have in fft_trig.wgsl.jinja.

use super::Wave;
use super::plan::{Pass, Step};
use crate::element::DType;
use bytemuck::Pod;
use num_complex::Complex;
use rustfft::FftNum;

/// Lines of elements of one type, by index along the line.
struct Input<'a, X> {
    x: &'a [X],
    step: usize,
}

impl<X: Copy> Input<'_, X> {
    /// Element j of the line that begins here.
    fn at(&self, begin: usize, j: usize) -> X {
        self.x[begin + j * self.step]
    }
}

/// Computes a pass from bytes to bytes.
pub(super) fn run(pass: &Pass, x: &[u8], roots: &[u8], y: &mut [u8]) {
    match pass.precision {
        DType::F64 => typed::<f64>(pass, x, roots, y),
        _ => typed::<f32>(pass, x, roots, y),
    }
}

fn typed<T: FftNum + Pod>(pass: &Pass, x: &[u8], roots: &[u8], y: &mut [u8])
where
    Complex<T>: Pod,
{
    let step = pass.lines.inputs[0].axis.unsigned_abs();
    // Only the slices of a step's own types are looked at.
    let real = || Input { x: bytemuck::cast_slice::<u8, T>(x), step };
    let complex = || Input { x: bytemuck::cast_slice::<u8, Complex<T>>(x), step };
    let roots = || bytemuck::cast_slice::<u8, Complex<T>>(roots);
    match pass.step {
        Step::Dct2Before => dct2_before(pass, real(), bytemuck::cast_slice_mut(y)),
        Step::Dct2After => dct2_after(pass, complex(), roots(), bytemuck::cast_slice_mut(y)),
        Step::Dct3Before => dct3_before(pass, real(), roots(), bytemuck::cast_slice_mut(y)),
        Step::Dct3After => dct3_after(pass, real(), bytemuck::cast_slice_mut(y)),
        Step::Dct4EvenBefore => {
            dct4_even_before(pass, real(), roots(), bytemuck::cast_slice_mut(y));
        }
        Step::Dct4EvenAfter => {
            dct4_even_after(pass, complex(), roots(), bytemuck::cast_slice_mut(y));
        }
        Step::Dct4OddBefore => dct4_odd_before(pass, real(), bytemuck::cast_slice_mut(y)),
        Step::Dct4OddAfter => dct4_odd_after(pass, complex(), bytemuck::cast_slice_mut(y)),
    }
}

/// For a sine transform every second element has its sign changed.
fn alternate<T: FftNum>(wave: Wave, value: T, k: usize) -> T {
    if wave == Wave::Sine && !k.is_multiple_of(2) { -value } else { value }
}

/// Input j, for a sine transform from the end.
fn signal<T: Copy>(pass: &Pass, x: &Input<'_, T>, begin: usize, j: usize) -> T {
    x.at(begin, if pass.wave == Wave::Sine { pass.n - 1 - j } else { j })
}

/// Even elements forward, then odd ones backward.
fn dct2_before<T: FftNum>(pass: &Pass, x: Input<'_, T>, y: &mut [T]) {
    let n = pass.n;
    pass.lines.each(y, |i, [begin]| {
        let j = if i < n.div_ceil(2) { 2 * i } else { 2 * (n - 1 - i) + 1 };
        alternate(pass.wave, x.at(begin, j), j)
    });
}

/// Re V\[k\]·r\[k\], and at n − k of the same product the negative imaginary part.
fn dct2_after<T: FftNum>(pass: &Pass, v: Input<'_, Complex<T>>, roots: &[Complex<T>], y: &mut [T]) {
    let n = pass.n;
    pass.lines.each(y, |i, [begin]| {
        let k = if pass.wave == Wave::Sine { n - 1 - i } else { i };
        match k <= n / 2 {
            true => (v.at(begin, k) * roots[k]).re,
            false => -(v.at(begin, n - k) * roots[n - k]).im,
        }
    });
}

/// V\[k\] = (x\[k\] − i·x\[n − k\])·r\[k\], with x\[n\] = 0.
fn dct3_before<T: FftNum>(
    pass: &Pass,
    x: Input<'_, T>,
    roots: &[Complex<T>],
    y: &mut [Complex<T>],
) {
    pass.lines.each(y, |i, [begin]| {
        let a = signal(pass, &x, begin, i);
        let b = if i > 0 { signal(pass, &x, begin, pass.n - i) } else { T::zero() };
        Complex::new(a, -b) * roots[i]
    });
}

/// The order of [`dct2_before`] undone.
fn dct3_after<T: FftNum>(pass: &Pass, v: Input<'_, T>, y: &mut [T]) {
    pass.lines.each(y, |i, [begin]| {
        let from = if i.is_multiple_of(2) { i / 2 } else { pass.n - 1 - i / 2 };
        alternate(pass.wave, v.at(begin, from), i)
    });
}

/// z\[j\] = (x\[2j\] + i·x\[n − 1 − 2j\])·r\[j\].
fn dct4_even_before<T: FftNum>(
    pass: &Pass,
    x: Input<'_, T>,
    roots: &[Complex<T>],
    y: &mut [Complex<T>],
) {
    pass.lines.each(y, |i, [begin]| {
        let a = signal(pass, &x, begin, 2 * i);
        let b = signal(pass, &x, begin, pass.n - 1 - 2 * i);
        Complex::new(a, b) * roots[i]
    });
}

/// At 2k Re Z\[k\]·r\[k\], and at n − 1 − 2k the negative imaginary part.
fn dct4_even_after<T: FftNum>(
    pass: &Pass,
    z: Input<'_, Complex<T>>,
    roots: &[Complex<T>],
    y: &mut [T],
) {
    pass.lines.each(y, |i, [begin]| {
        let value = if i.is_multiple_of(2) {
            (z.at(begin, i / 2) * roots[i / 2]).re
        } else {
            let k = (pass.n - 1 - i) / 2;
            -(z.at(begin, k) * roots[k]).im
        };
        alternate(pass.wave, value, i)
    });
}

/// Element n/2 + 4j of the signal continued as its cosines are: negated past n and again past 3n,
/// backward in every second stretch of n.
fn dct4_odd_before<T: FftNum>(pass: &Pass, x: Input<'_, T>, y: &mut [T]) {
    let n = pass.n;
    pass.lines.each(y, |i, [begin]| {
        let m = n / 2 + 4 * i;
        let (stretch, rest) = (m / n, m % n);
        let backward = !stretch.is_multiple_of(2);
        let value = signal(pass, &x, begin, if backward { n - 1 - rest } else { rest });
        if matches!(stretch, 1 | 2) { -value } else { value }
    });
}

/// Re exp(iπ(2k + 1)/4)·conj V\[(2k + 1) mod n\]·√2; V\[n − q\] = conj V\[q\].
fn dct4_odd_after<T: FftNum>(pass: &Pass, v: Input<'_, Complex<T>>, y: &mut [T]) {
    let n = pass.n;
    pass.lines.each(y, |i, [begin]| {
        let q = (2 * i + 1) % n;
        let direct = q <= n / 2;
        let value = v.at(begin, if direct { q } else { n - q });
        let re = if matches!(i % 4, 1 | 2) { -value.re } else { value.re };
        let im = if matches!(i % 4, 2 | 3) == direct { -value.im } else { value.im };
        alternate(pass.wave, re + im, i)
    });
}
