//! Sizes as people write them.

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not a number with a unit.
    #[error("expected bytes, as in 4096, 512MiB or 1.5GB, found '{0}'")]
    Malformed(String),
    /// It is more than can be counted.
    #[error("'{0}' is more than 2^64 bytes")]
    Large(String),
}

/// The units, longest first where one ends another.
const UNITS: [(&str, u64); 13] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("b", 1),
];

/// The bytes that a text names: a number, with a fraction or not, and a unit, in any case: `KiB`,
/// `MiB`, `GiB`, `TiB` and `K`, `M`, `G`, `T` are powers of 1024, `kB`, `MB`, `GB`, `TB` of 1000.
///
/// ```
/// assert_eq!(gvpie::bytes::parse("512MiB"), Ok(512 << 20));
/// assert_eq!(gvpie::bytes::parse("1.5 GB"), Ok(1_500_000_000));
/// assert_eq!(gvpie::bytes::parse("4096"), Ok(4096));
/// assert!(gvpie::bytes::parse("many").is_err());
/// ```
///
/// # Errors
/// [`Error`], with the text.
pub fn parse(text: &str) -> Result<u64, Error> {
    let malformed = || Error::Malformed(text.into());
    let lower = text.trim().to_ascii_lowercase();
    let named = UNITS.iter().find_map(|&(unit, bytes)| Some((lower.strip_suffix(unit)?, bytes)));
    let (number, unit) = named.unwrap_or((&lower, 1));
    let number = number.trim_end();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 18 {
        return Err(malformed());
    }
    let large = || Error::Large(text.into());
    let whole = whole.parse::<u64>().map_err(|_| large())?.checked_mul(unit).ok_or_else(large)?;
    let numerator: u128 =
        if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| malformed())? };
    // At most 18 digits of a unit below 2^41: 2^101.
    let part = numerator * u128::from(unit) / 10_u128.pow(fraction.len() as u32);
    whole.checked_add(part as u64).ok_or_else(large)
}

/// Bytes in the largest unit of 1024 that leaves a number of at least 1: `512.0 MiB`.
pub fn show(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", 0),
            ("17b", 17),
            ("64KiB", 65536),
            ("64k", 65536),
            (" 2 mib ", 2 << 20),
            ("1GB", 1_000_000_000),
            ("0.5GiB", 1 << 29),
            ("1.T", 1 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "+1", "1e6", "1,5GB", "1 XB", "½", ".5", "0x10", "1.2.3"] {
            assert!(matches!(parse(text), Err(Error::Malformed(_))), "{text}");
        }
        for text in ["18446744073709551616", "99999999999 GiB", "16777216TiB"] {
            assert!(matches!(parse(text), Err(Error::Large(_))), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown() {
        assert_eq!(
            [show(0), show(1023), show(1536), show(8 << 30)],
            ["0 B", "1023 B", "1.5 KiB", "8.0 GiB"]
        );
    }
}
