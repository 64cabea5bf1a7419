//! Fourier transforms: which tones a signal is made of, and the signal without the high one.
//!
//! `cargo run --release -p gvpie-core --example fft`
//! (`GVPIE_BACKEND=cpu` or `gpu` chooses where; otherwise a real GPU is taken if there is one.)

use gvpie_core::{Complex, Context, Fft, Result};
use std::f64::consts::TAU;

/// Samples a second, and a second of them.
const RATE: usize = 8000;

/// A tone of this frequency, in Hz.
fn tone(hertz: f64) -> impl Fn(usize) -> f32 {
    move |i| (TAU * hertz * i as f64 / RATE as f64).sin() as f32
}

fn main() -> Result<()> {
    let ctx = Context::new()?;
    println!("computing on {} ({})", ctx.adapter(), ctx.backend());

    let (low, high) = (tone(440.0), tone(1760.0));
    let signal: Vec<f32> = (0..RATE).map(|i| low(i) + 0.5 * high(i)).collect();
    let x = ctx.upload([RATE], &signal)?;

    // A real signal has half a spectrum: element k is the frequency of k periods a second.
    let mut spectrum = ctx.zeros::<Complex<f32>>([RATE / 2 + 1])?;
    let forward = Fft::real([RATE]).plan(&ctx)?;
    forward.run(&x, &mut spectrum)?;

    // A sine of amplitude a in n samples has a spectrum of magnitude a·n/2.
    let mut peaks: Vec<(usize, f32)> =
        spectrum.download()?.iter().map(|y| y.norm()).enumerate().collect();
    peaks.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    for &(hertz, magnitude) in &peaks[..2] {
        println!("{hertz} Hz, amplitude {:.3}", 2.0 * magnitude / RATE as f32);
    }
    assert_eq!([peaks[0].0, peaks[1].0], [440, 1760]);

    // A low-pass filter is a product with a mask: the plan multiplies while it writes the spectrum,
    // which saves a pass over memory. The inverse divides by n, so that the signal comes back.
    let mask: Vec<Complex<f32>> =
        (0..=RATE / 2).map(|hertz| Complex::from(if hertz <= 1000 { 1.0 } else { 0.0 })).collect();
    let mask = ctx.upload([RATE / 2 + 1], &mask)?;
    let masked = Fft::real([RATE]).spectrum().plan(&ctx)?;
    masked.run_with(&x, gvpie_core::fft::Hooks::new().spectrum(&mask), &mut spectrum)?;
    let mut filtered = ctx.zeros::<f32>([RATE])?;
    Fft::real([RATE]).inverse().plan(&ctx)?.run(&spectrum, &mut filtered)?;

    let filtered = filtered.download()?;
    let worst = (0..RATE).map(|i| (filtered[i] - low(i)).abs()).fold(0.0, f32::max);
    println!("without all above 1000 Hz the low tone is left, to {worst:.1e}");
    assert!(worst < 1e-5);
    Ok(())
}
