//! Tables of roots of unity, made in f64.

use num_complex::Complex;
use std::f64::consts::FRAC_PI_2;

/// exp(−2πi·k/n), to an ulp: the angle is reduced to an eighth of a turn, in integers.
pub(super) fn root(k: usize, n: usize) -> Complex<f64> {
    let k = k % n;
    // Quarters of a turn in k, and the rest in units of a quarter / n.
    let (quarter, rest) = (4 * k / n, 4 * k % n);
    let angle = |units: usize| FRAC_PI_2 * units as f64 / n as f64;
    let (sin, cos) = if 2 * rest <= n {
        angle(rest).sin_cos()
    } else {
        let (sin, cos) = angle(n - rest).sin_cos();
        (cos, sin)
    };
    match quarter {
        0 => Complex::new(cos, -sin),
        1 => Complex::new(-sin, -cos),
        2 => Complex::new(-cos, sin),
        _ => Complex::new(sin, cos),
    }
}

/// One run of numbers in a pass's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Run {
    /// W^(k·j), W = exp(−2πi/(before·radix)): k in 1..radix outside, j in 0..before inside.
    Stage { before: usize, radix: usize },
    /// exp(−2πi·m·step/n) for `count` values of m.
    Roots { n: usize, step: usize, count: usize },
    /// exp(−πi·j²/n) for j in 0..n.
    Chirp { n: usize },
    /// The transform of m points of the chirp's conjugate, of length 2n − 1 wrapped around, times
    /// 1/m: what Bluestein's convolution multiplies by.
    ChirpSpectrum { n: usize, m: usize },
    /// The transform of the n − 1 points exp(−2πi·g⁻ᵖ/n), g the [`generator`] of the prime n, times
    /// 1/(n − 1): what Rader's convolution multiplies by.
    PrimeSpectrum { n: usize },
}

impl Run {
    pub fn len(&self) -> usize {
        match *self {
            Run::Stage { before, radix } => before * (radix - 1),
            Run::Roots { count, .. } => count,
            Run::Chirp { n } => n,
            Run::ChirpSpectrum { m, .. } => m,
            Run::PrimeSpectrum { n } => n - 1,
        }
    }

    pub fn values(&self) -> Vec<Complex<f64>> {
        match *self {
            Run::Stage { before, radix } => (1..radix)
                .flat_map(|k| (0..before).map(move |j| root(k * j, before * radix)))
                .collect(),
            Run::Roots { n, step, count } => (0..count).map(|m| root(m * step, n)).collect(),
            Run::Chirp { n } => (0..n).map(|j| chirp(j, n)).collect(),
            Run::ChirpSpectrum { n, m } => {
                let mut wave = vec![Complex::new(0.0, 0.0); m];
                for j in 0..n {
                    let value = chirp(j, n).conj() / m as f64;
                    wave[j] = value;
                    wave[(m - j) % m] = value;
                }
                spectrum(wave)
            }
            Run::PrimeSpectrum { n } => {
                let scale = (n - 1) as f64;
                let mut wave: Vec<_> =
                    powers(n).iter().map(|&k| root(k as usize, n) / scale).collect();
                // Powers of 1/g are those of g backwards.
                wave[1..].reverse();
                spectrum(wave)
            }
        }
    }
}

fn spectrum(mut wave: Vec<Complex<f64>>) -> Vec<Complex<f64>> {
    rustfft::FftPlanner::new().plan_fft_forward(wave.len()).process(&mut wave);
    wave
}

/// The smallest number whose powers are all of 1..n modulo n, a prime above 2 and below 2³².
pub(super) fn generator(n: usize) -> usize {
    let power = |base: usize, mut exponent: usize| {
        let (mut product, mut square) = (1, base);
        while exponent > 0 {
            if exponent % 2 == 1 {
                product = product * square % n;
            }
            square = square * square % n;
            exponent /= 2;
        }
        product
    };
    let mut primes = Vec::new();
    let mut rest = n - 1;
    for p in 2.. {
        if p * p > rest {
            primes.extend((rest > 1).then_some(rest));
            break;
        }
        if rest.is_multiple_of(p) {
            primes.push(p);
            while rest.is_multiple_of(p) {
                rest /= p;
            }
        }
    }
    // A number whose powers come back to 1 sooner does so after (n − 1)/p of them, p a prime.
    (2..n).find(|&g| primes.iter().all(|p| power(g, (n - 1) / p) != 1)).unwrap_or(1)
}

/// gᵖ modulo n for p in 0..n − 1, g the [`generator`] of the prime n.
pub(super) fn powers(n: usize) -> Vec<u32> {
    let g = generator(n);
    let next = |&power: &usize| Some(power * g % n);
    std::iter::successors(Some(1), next).take(n - 1).map(|power| power as u32).collect()
}

/// exp(−πi·j²/n); j² is reduced in integers, where 128 bits are enough for any j.
fn chirp(j: usize, n: usize) -> Complex<f64> {
    let square = (j as u128 * j as u128 % (2 * n as u128)) as usize;
    root(square, 2 * n)
}
