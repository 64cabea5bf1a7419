//! WAV files: sound of any number of channels, made one.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// Why a file is not a sound that can be used; each names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no WAV file, or one whose samples are not numbers that can be read here.
    #[error("{}: not a WAV file that can be read: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file ends before its last sample.
    #[error("{}: cut short: expected {expected} samples, found {found}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Samples of all channels, as the header says.
        expected: u64,
        /// Samples there are.
        found: u64,
    },
    /// The file has a header and no sound.
    #[error("{}: there are no samples in it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A sample is infinite or no number at all.
    #[error("{}: sample {index} is {value}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which one, of all channels.
        index: u64,
        /// What it is.
        value: f32,
    },
}

/// A sound of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// Samples a second.
    pub rate: u32,
    /// The channels of the file, of which the samples are the mean.
    pub channels: u16,
    /// Samples; full scale is -1 to 1.
    pub samples: Vec<f32>,
}

impl Sound {
    /// Reads a file of 8 to 32-bit integers or 32-bit floating-point numbers.
    ///
    /// # Errors
    /// [`Error`], naming the file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.into(), source };
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.is_dir() {
            return Err(io(io::ErrorKind::IsADirectory.into()));
        }
        let reason = |error| match error {
            hound::Error::IoError(cause) if is_end(&cause) => "its header is cut short".into(),
            other => other.to_string(),
        };
        let format = |error| Error::Format { path: path.into(), reason: reason(error) };
        let reader = hound::WavReader::new(BufReader::new(file)).map_err(format)?;
        let spec = reader.spec();
        let (expected, channels) = (u64::from(reader.len()), spec.channels);
        if channels == 0 || spec.sample_rate == 0 {
            let reason = format!("{channels} channels of {} samples a second", spec.sample_rate);
            return Err(Error::Format { path: path.into(), reason });
        }
        let mut mix = Mix { path, channels, sum: 0.0, count: 0, samples: Vec::new() };
        match spec.sample_format {
            hound::SampleFormat::Float => {
                mix.all(reader.into_samples::<f32>(), expected, |sample| sample)?;
            }
            hound::SampleFormat::Int => {
                // Full scale of an integer of b bits is 2^(b-1).
                let scale = (1.0 - f32::from(spec.bits_per_sample)).exp2();
                mix.all(reader.into_samples::<i32>(), expected, |sample| sample as f32 * scale)?;
            }
        }
        if mix.samples.is_empty() {
            return Err(Error::Empty { path: path.into() });
        }
        Ok(Sound { rate: spec.sample_rate, channels, samples: mix.samples })
    }

    /// How long it lasts, in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}

/// Whether a failure to read is that there is no more: the reader's own, not the system's.
fn is_end(cause: &io::Error) -> bool {
    cause.raw_os_error().is_none()
}

/// Channels, sample by sample in turn, on their way to their mean.
struct Mix<'a> {
    path: &'a Path,
    channels: u16,
    sum: f32,
    count: u64,
    samples: Vec<f32>,
}

impl Mix<'_> {
    fn all<S>(
        &mut self,
        samples: impl Iterator<Item = hound::Result<S>>,
        expected: u64,
        value: impl Fn(S) -> f32,
    ) -> Result<(), Error> {
        let path = || self.path.into();
        for sample in samples {
            let value = match sample {
                Ok(sample) => value(sample),
                Err(hound::Error::IoError(cause)) if is_end(&cause) => break,
                Err(hound::Error::IoError(source)) => {
                    return Err(Error::Io { path: path(), source });
                }
                Err(other) => {
                    return Err(Error::Format { path: path(), reason: other.to_string() });
                }
            };
            if !value.is_finite() {
                return Err(Error::Value { path: path(), index: self.count, value });
            }
            self.sum += value;
            self.count += 1;
            if self.count.is_multiple_of(u64::from(self.channels)) {
                self.samples.push(self.sum / f32::from(self.channels));
                self.sum = 0.0;
            }
        }
        if self.count < expected {
            return Err(Error::Truncated { path: path(), expected, found: self.count });
        }
        Ok(())
    }
}
