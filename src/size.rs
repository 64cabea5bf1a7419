//! Sizes in bytes on the command line: `2GiB`, `512MiB`, `1.5GB`, `4096`.

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not begin with a number.
    #[error("expected a number of bytes, as in 4096, 512MiB or 1.5GB, found '{0}'")]
    Number(String),
    /// The number has another unit.
    #[error("unknown unit '{0}': expected B, kB, MB, GB, TB, KiB, MiB, GiB or TiB")]
    Unit(String),
    /// More bytes than can be counted.
    #[error("'{0}' is more than can be counted")]
    TooLarge(String),
}

const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("b", 1),
    ("kb", 1000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// The bytes that a text says; a part of one is left out.
///
/// # Errors
/// [`Error`].
pub fn parse(text: &str) -> Result<u64, Error> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start();
    let known = UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name));
    let wrong = || Error::Number(text.into());
    let large = || Error::TooLarge(text.into());
    if number.is_empty() {
        return Err(wrong());
    }
    let &(_, factor) = known.ok_or_else(|| Error::Unit(unit.into()))?;
    if number.bytes().all(|b| b.is_ascii_digit()) {
        return number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(large);
    }
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * factor as f64;
    if bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(large()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_or_refused() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("2GiB", 2 << 30),
            ("2 gib", 2 << 30),
            ("512MiB", 512 << 20),
            ("1.5kB", 1500),
            (".5MiB", 1 << 19),
            ("18446744073709551615", u64::MAX),
            ("16777215TiB", 16_777_215 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "-1", "1e9", "x", "1..5GB"] {
            assert!(matches!(parse(text), Err(Error::Number(_) | Error::Unit(_))), "{text}");
        }
        assert_eq!(parse("3Gb/s"), Err(Error::Unit("Gb/s".into())));
        for text in ["16777216TiB", "18446744073709551616", "1.9e", "99999999999.5TiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
