//! Bodies of files and models: rows of seven numbers, x, y, z, vx, vy, vz and mass.

use crate::npy::{self, Array, Float};
use gvpie_core::nbody::models;
use gvpie_core::{DType, Error, Shape};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where bodies come from, as on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A Plummer sphere of so many.
    Plummer(usize),
    /// Two galaxies of so many together.
    Galaxy(usize),
    /// A file of N×7 numbers.
    File(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let model = |name: &str| text.strip_prefix(name)?.strip_prefix(':');
        let count = |number: &str| match number.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err("expected a number of bodies from 1, as in plummer:10000".to_string()),
        };
        match (model("plummer"), model("galaxy")) {
            (Some(number), _) => count(number).map(Source::Plummer),
            (_, Some(number)) => count(number).map(Source::Galaxy),
            _ => Ok(Source::File(text.into())),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Plummer(count) => write!(f, "plummer:{count}"),
            Source::Galaxy(count) => write!(f, "galaxy:{count}"),
            Source::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Bodies as the library takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Bodies<T> {
    /// Rows x, y, z, m.
    pub positions: Vec<T>,
    /// Rows vx, vy, vz, 0.
    pub velocities: Vec<T>,
}

/// Bodies in the precision they are to be computed in.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    /// Of a model, or of a file of f16 or f32.
    Single(Bodies<f32>),
    /// Of a file of f64.
    Double(Bodies<f64>),
}

impl Source {
    /// Draws the model with this seed, or reads the file.
    ///
    /// # Errors
    /// [`npy::Error`]; [`Error::Shape`] and [`Error::Value`] naming the file and its row.
    pub fn load(&self, seed: u64) -> Result<Loaded, crate::cli::Failure> {
        let of = |model: models::Bodies| {
            let narrow = |rows: Vec<[f64; 4]>| {
                rows.as_flattened().iter().map(|&x| x as f32).collect::<Vec<_>>()
            };
            Bodies { positions: narrow(model.positions), velocities: narrow(model.velocities) }
        };
        match self {
            Source::Plummer(count) => Ok(Loaded::Single(of(models::plummer(*count, seed)))),
            Source::Galaxy(count) => Ok(Loaded::Single(of(models::galaxy(*count, seed)))),
            Source::File(path) => {
                let array: Array = Array::read(path)?;
                if array.data.dtype() == DType::F64 {
                    Ok(Loaded::Double(Bodies::of(array, path)?))
                } else {
                    Ok(Loaded::Single(Bodies::of(array, path)?))
                }
            }
        }
    }
}

impl<T: Float> Bodies<T> {
    fn of(array: Array, path: &Path) -> Result<Self, Error> {
        let [count, 7] = *array.shape.dims() else {
            return Err(Error::Shape {
                operand: path.display().to_string(),
                expected: "shape Nx7: x, y, z, vx, vy, vz, mass".into(),
                found: format!("shape {}", array.shape),
            });
        };
        if count == 0 {
            return Err(Error::Shape {
                operand: path.display().to_string(),
                expected: "at least 1 body".into(),
                found: format!("shape {}", array.shape),
            });
        }
        let rows: Vec<T> = array.dense();
        finite(&rows, 7, path)?;
        if let Some((row, mass)) =
            rows.chunks_exact(7).map(|row| row[6].into()).enumerate().find(|&(_, m)| m < 0.0)
        {
            let operand = format!("{}, mass of row {row}", path.display());
            let (expected, found) = ("a number from 0".into(), mass.to_string());
            return Err(Error::Value { operand, expected, found });
        }
        let pick = |columns: fn(&[T]) -> [T; 4]| -> Vec<T> {
            rows.chunks_exact(7).flat_map(columns).collect()
        };
        Ok(Bodies {
            positions: pick(|row| [row[0], row[1], row[2], row[6]]),
            velocities: pick(|row| [row[3], row[4], row[5], T::default()]),
        })
    }

    /// Writes the rows of seven into a file that has been begun.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, file: &mut impl io::Write) -> io::Result<()> {
        let rows = self.positions.chunks_exact(4).zip(self.velocities.chunks_exact(4));
        let flat: Vec<T> =
            rows.flat_map(|(x, v)| [x[0], x[1], x[2], v[0], v[1], v[2], x[3]]).collect();
        npy::write(file, &Shape::from([flat.len() / 7, 7]), &flat)
    }
}

/// An error naming the row that is not finite, in rows of so many numbers.
///
/// # Errors
/// [`Error::Value`].
pub fn finite<T: Float>(data: &[T], width: usize, path: &Path) -> Result<(), Error> {
    let bad = |x: &T| {
        let wide: f64 = (*x).into();
        !wide.is_finite()
    };
    let Some(at) = data.iter().position(bad) else { return Ok(()) };
    let wide: f64 = data[at].into();
    Err(Error::Value {
        operand: format!("{}, row {}", path.display(), at / width),
        expected: "finite numbers".into(),
        found: wide.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written() {
        for (text, source) in [
            ("plummer:100", Source::Plummer(100)),
            ("galaxy:7", Source::Galaxy(7)),
            ("plummer.npy", Source::File("plummer.npy".into())),
            ("a/b:c.npy", Source::File("a/b:c.npy".into())),
        ] {
            assert_eq!(text.parse(), Ok(source.clone()));
            assert_eq!(source.to_string(), text);
        }
        for bad in ["plummer:", "plummer:0", "galaxy:-1", "galaxy:many"] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }
}
