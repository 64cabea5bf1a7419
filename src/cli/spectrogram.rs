//! `gvpie spectrogram`: the frequencies of a sound over time, as a picture.

use super::{Arguments, Failure};
use crate::output::{PendingFile, print};
use crate::png;
use crate::wav::Sound;
use clap::{Args, ValueEnum};
use gvpie_core::fft::Hooks;
use gvpie_core::{Complex, Context, Fft};
use std::f64::consts::TAU;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

/// Draw the spectrogram of a WAV file.
///
/// One column of pixels a frame: the magnitudes of the windowed frame's Fourier transform in dB,
/// low frequencies at the bottom, one row for each of size/2 + 1 frequencies. Integers of 8 to 32
/// bits and 32-bit floats; several channels are averaged. The last frame is filled up with zeros.
#[derive(Debug, Args)]
pub struct Options {
    /// The sound
    #[arg(value_name = "IN.wav")]
    pub input: PathBuf,
    /// Where to write the picture
    #[arg(short, long, value_name = "OUT.png")]
    pub output: PathBuf,
    /// What a frame is multiplied by
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        default_value = "hann",
        value_name = "hann|hamming|blackman|rect"
    )]
    pub window: Window,
    /// Samples in a frame
    #[arg(long, default_value = "2048", value_name = "N", value_parser = at_least_two)]
    pub size: usize,
    /// Samples from the beginning of a frame to that of the next
    #[arg(long, default_value = "512", value_name = "N", value_parser = super::at_least_one)]
    pub hop: usize,
    /// The level that is drawn darkest, in dB below the loudest of the picture
    #[arg(
        long,
        default_value = "-100",
        value_name = "DB",
        value_parser = below_zero,
        allow_hyphen_values = true
    )]
    pub floor: f32,
}

/// What a frame is multiplied by, so that its ends do not show as frequencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Window {
    Hann,
    Hamming,
    Blackman,
    Rect,
}

impl Window {
    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Window::Hann => "hann",
            Window::Hamming => "hamming",
            Window::Blackman => "blackman",
            Window::Rect => "rect",
        }
    }

    /// Its factors, a₀ − a₁·cos(2πi/n) + a₂·cos(4πi/n): of period n, as spectra want it.
    fn factors(self, n: usize) -> Vec<f64> {
        let [a0, a1, a2] = match self {
            Window::Hann => [0.5, 0.5, 0.0],
            Window::Hamming => [0.54, 0.46, 0.0],
            Window::Blackman => [0.42, 0.5, 0.08],
            Window::Rect => [1.0, 0.0, 0.0],
        };
        let factor = |i: usize| {
            let turn = TAU * i as f64 / n as f64;
            a0 - a1 * turn.cos() + a2 * (2.0 * turn).cos()
        };
        (0..n).map(factor).collect()
    }
}

fn at_least_two(text: &str) -> Result<usize, String> {
    match super::at_least_one(text)? {
        1 => Err("expected at least 2".into()),
        size => Ok(size),
    }
}

fn below_zero(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(level) if level < 0.0 && level.is_finite() => Ok(level),
        _ => Err("expected a number below 0, as in -80".into()),
    }
}

/// Pixels of a picture each way; what shows pictures often takes no more.
const MOST_PIXELS_EACH_WAY: usize = 65_535;

/// Pixels of a picture: its levels are held in memory, in four bytes each.
const MOST_PIXELS: usize = 1 << 28;

/// Elements of the spectra that are computed at a time, 32 MiB; and samples that go into them.
const MOST_AT_A_TIME: usize = 4 << 20;

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], naming the file.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let output = |source| Failure::Output { path: options.output.clone(), source };
    let sound = Sound::read(&options.input)?;
    let frames = Frames::new(options, sound.samples.len())?;
    let mut file = PendingFile::create(&options.output).map_err(output)?;
    let ctx = arguments.context()?;
    if sound.channels > 1 {
        eprintln!("gvpie: {} channels are averaged", sound.channels);
    }
    let start = Instant::now();
    let bar = super::progress(frames.count as u64).with_message("frames");
    let (levels, path) = frames.levels(&ctx, options.window, &sound.samples, &bar)?;
    let picture = Picture { levels: &levels, frames: frames.count, bins: frames.bins() };
    let loudest = picture.loudest();
    picture.draw(options.floor, &mut file).map_err(output)?;
    file.finish().map_err(output)?;
    bar.finish_and_clear();
    let elapsed = start.elapsed().as_secs_f64();

    let (width, height) = (frames.count, frames.bins());
    let rate = f64::from(sound.rate);
    let peak = loudest.map(|(frame, bin, level)| {
        let hertz = bin as f64 * rate / frames.size as f64;
        (level, hertz, (frame * frames.hop) as f64 / rate)
    });
    let name = options.output.display();
    let adapter = ctx.adapter();
    let report = if arguments.json {
        let report = serde_json::json!({
            "op": "spectrogram",
            "width": width,
            "height": height,
            "window": options.window.name(),
            "size": frames.size,
            "hop": frames.hop,
            "rate": sound.rate,
            "channels": sound.channels,
            "sound_seconds": sound.seconds(),
            "loudest": peak.map(|(db, hertz, seconds)| {
                serde_json::json!({ "db": db, "hertz": hertz, "seconds": seconds })
            }),
            "path": path,
            "adapter": adapter,
            "seconds": elapsed,
            "output": options.output,
        });
        format!("{report}\n")
    } else {
        let peak = match peak {
            Some((db, hertz, seconds)) => {
                format!("loudest {db:.1} dB of full scale at {hertz:.0} Hz in {seconds:.2} s")
            }
            None => "silence".into(),
        };
        let (length, top) = (sound.seconds(), rate / 2.0);
        format!(
            "{name}: {width}x{height} pixels, {length:.2} s, 0 to {top:.0} Hz; {peak}; {path} on \
             {adapter}, {elapsed:.3} s\n"
        )
    };
    Ok(print(&report)?)
}

/// How a sound is divided.
struct Frames {
    count: usize,
    size: usize,
    hop: usize,
}

impl Frames {
    /// The frames that cover so many samples, and a picture of them that can be drawn.
    fn new(options: &Options, samples: usize) -> Result<Self, Failure> {
        let Options { size, hop, .. } = *options;
        // As many as reach every sample, but none that begins past the last.
        let after_first = samples.saturating_sub(size).div_ceil(hop);
        let count = after_first.min(samples.saturating_sub(1) / hop) + 1;
        let frames = Frames { count, size, hop };
        let (width, height) = (frames.count, frames.bins());
        let fits = width.max(height) <= MOST_PIXELS_EACH_WAY
            && width.checked_mul(height).is_some_and(|pixels| pixels <= MOST_PIXELS);
        if fits {
            return Ok(frames);
        }
        let most_size = 2 * (MOST_PIXELS_EACH_WAY - 1);
        let size = size.min(most_size);
        let columns = MOST_PIXELS_EACH_WAY.min(MOST_PIXELS / (size / 2 + 1));
        let least_hop = samples.saturating_sub(size).div_ceil(columns - 1).max(1);
        let path = options.input.clone();
        Err(Failure::Picture { path, width, height, most_size, least_hop })
    }

    /// Frequencies of a frame.
    fn bins(&self) -> usize {
        self.size / 2 + 1
    }

    /// Levels in dB, the frames of the lowest frequency first: 0 is a sine of full scale; silence
    /// is −∞. And how they were computed.
    fn levels(
        &self,
        ctx: &Context,
        window: Window,
        samples: &[f32],
        bar: &indicatif::ProgressBar,
    ) -> Result<(Vec<f32>, String), Failure> {
        let (size, hop, bins) = (self.size, self.hop, self.bins());
        let most = (MOST_AT_A_TIME / bins).min(MOST_AT_A_TIME / hop);
        let each = most.clamp(1, self.count);
        let factors = window.factors(size);
        // A sine of amplitude 1 within the frame comes to half the sum of the window.
        let scale = 2.0 / factors.iter().sum::<f64>();
        let plan = Fft::real([each, size]).window().scale(scale).plan(ctx)?;
        let factors: Vec<f32> = factors.into_iter().map(|factor| factor as f32).collect();
        let factors = ctx.upload([size], &factors)?;
        let mut part = vec![0.0; (each - 1) * hop + size];
        let mut x = ctx.zeros::<f32>([part.len()])?;
        let mut y = ctx.zeros::<Complex<f32>>([each, bins])?;
        let mut levels = vec![0.0; self.count * bins];
        // The last part begins where it is full, if that repeats frames: one plan does for all.
        for first in (0..self.count).step_by(each).map(|first| first.min(self.count - each)) {
            let there = samples.get(first * hop..).unwrap_or_default();
            let there = &there[..there.len().min(part.len())];
            part[..there.len()].copy_from_slice(there);
            part[there.len()..].fill(0.0);
            x.write(&part)?;
            let overlapping = x.view().strided([each, size], &[hop, 1], 0)?;
            plan.run_with(overlapping, Hooks::new().window(&factors), &mut y)?;
            for (i, frame) in y.download()?.chunks_exact(bins).enumerate() {
                for (bin, value) in frame.iter().enumerate() {
                    levels[bin * self.count + first + i] = 10.0 * value.norm_sqr().log10();
                }
            }
            bar.set_position((first + each) as u64);
        }
        Ok((levels, super::fft::path(&plan)))
    }
}

/// Levels of frames, the lowest frequency first.
struct Picture<'a> {
    levels: &'a [f32],
    frames: usize,
    bins: usize,
}

impl Picture<'_> {
    /// Frame, frequency and level of the loudest; none of silence.
    fn loudest(&self) -> Option<(usize, usize, f32)> {
        let (at, &level) =
            self.levels.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        level.is_finite().then_some((at % self.frames, at / self.frames, level))
    }

    /// Draws the levels from `floor` below the loudest, dark, to the loudest, light.
    fn draw(&self, floor: f32, file: &mut PendingFile) -> io::Result<()> {
        let top = self.loudest().map_or(0.0, |(_, _, level)| level);
        let colours: Vec<u32> = (0..=255)
            .map(|step| {
                let colour = colorous::MAGMA.eval_rational(step, 256);
                u32::from_le_bytes([colour.r, colour.g, colour.b, 255])
            })
            .collect();
        // Silence, −∞, becomes 0.
        let shade =
            |level: &f32| colours[((1.0 - (level - top) / floor).max(0.0) * 255.0) as usize];
        let size = |pixels: usize| pixels as u32; // at most 65,535
        png::write(file, size(self.frames), size(self.bins), |add| {
            let rows = self.levels.chunks_exact(self.frames).rev();
            rows.map(|row| row.iter().map(shade).collect::<Vec<_>>()).try_for_each(|row| add(&row))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(size: usize, hop: usize) -> Options {
        Options {
            input: "in.wav".into(),
            output: "out.png".into(),
            window: Window::Hann,
            size,
            hop,
            floor: -100.0,
        }
    }

    #[test]
    fn frames_cover_the_sound() {
        let count = |samples| Frames::new(&options(8, 4), samples).unwrap().count;
        assert_eq!([1, 8, 9, 12, 13].map(count), [1, 1, 2, 2, 3]);
        let apart = |samples| Frames::new(&options(2, 4), samples).unwrap().count;
        assert_eq!([1, 4, 5, 8, 9].map(apart), [1, 1, 2, 2, 3]);
    }

    #[test]
    fn a_picture_too_large_names_what_would_do() {
        for (size, hop, samples) in [(2048, 1, 3_000_000), (200_000, 512, 50_000_000)] {
            let Err(Failure::Picture { most_size, least_hop, .. }) =
                Frames::new(&options(size, hop), samples)
            else {
                panic!("{size} {hop}");
            };
            assert!(Frames::new(&options(size.min(most_size), least_hop), samples).is_ok());
        }
    }

    #[test]
    fn windows_are_of_their_period() {
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-15);
        assert!(near(&Window::Hann.factors(4), &[0.0, 0.5, 1.0, 0.5]));
        assert!(near(&Window::Hamming.factors(4), &[0.08, 0.54, 1.0, 0.54]));
        assert!(near(&Window::Blackman.factors(4), &[0.0, 0.34, 1.0, 0.34]));
        assert_eq!(Window::Rect.factors(2), [1.0, 1.0]);
    }
}
