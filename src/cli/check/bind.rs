//! What is bound: `--bind` as it is written, and the bytes that come of it.

use gvpie_core::f16;
use gvpie_vgpu::ir::Type;
use gvpie_vgpu::{Bindings, Buffer, Extent, Format, RunError, Texture};
use std::path::PathBuf;

/// A `--bind`.
#[derive(Debug, Clone, PartialEq)]
pub struct Bind {
    pub(super) group: u32,
    pub(super) binding: u32,
    pub(super) what: What,
    /// As it was written, without the place.
    pub(super) text: String,
}

/// What is to be bound.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// An array of a file.
    File(PathBuf),
    /// So many numbers.
    Numbers(Fill, Type, u64),
    /// A texture of so many texels.
    Texels(Fill, Vec<u32>),
    /// Numbers as they were written, and their types.
    Given(Vec<u8>, Vec<Type>),
    /// Bytes as they were written.
    Bytes(Vec<u8>),
}

/// What numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fill {
    Zeros,
    Iota,
    Random,
}

/// Bytes that were written in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// What a kernel is given at a binding.
#[derive(Debug)]
pub(super) struct Bound {
    pub group: u32,
    pub binding: u32,
    /// As the source calls it.
    pub name: String,
    /// In words.
    pub what: String,
    /// Whether nothing was said of it.
    pub assumed: bool,
    pub resource: Resource,
}

#[derive(Debug)]
pub(super) enum Resource {
    Buffer(Vec<u8>),
    Texture(Texture),
}

impl Bound {
    /// Adds it to what is bound.
    pub fn give(&self, bindings: Bindings) -> Result<Bindings, RunError> {
        Ok(match &self.resource {
            Resource::Buffer(bytes) => {
                bindings.buffer(self.group, self.binding, &Buffer::with(bytes)?)
            }
            Resource::Texture(texture) => bindings.texture(self.group, self.binding, texture),
        })
    }
}

/// The types of numbers, by their names.
const TYPES: [Type; 7] =
    [Type::I32, Type::U32, Type::F32, Type::F16, Type::I64, Type::U64, Type::F64];

fn named(name: &str) -> Option<Type> {
    TYPES.into_iter().find(|ty| ty.to_string() == name)
}

/// `[GROUP:]N=WHAT`.
pub(super) fn parse(text: &str) -> Result<Bind, String> {
    let example = "expected a binding and what is bound there, as in 0=x.npy or 1=zeros:f32:1024";
    let (place, what) = text.split_once('=').ok_or(example)?;
    let (group, binding) = place.split_once(':').unwrap_or(("0", place));
    let number = |text: &str| text.trim().parse::<u32>().map_err(|_| example.to_string());
    let (group, binding) = (number(group)?, number(binding)?);
    Ok(Bind { group, binding, what: read(what.trim())?, text: what.trim().into() })
}

fn read(text: &str) -> Result<What, String> {
    let (word, rest) = text.split_once(':').unwrap_or((text, ""));
    let fill = match word {
        "zeros" => Fill::Zeros,
        "iota" => Fill::Iota,
        "random" => Fill::Random,
        "hex" => return hex(rest).map(|Bytes(bytes)| What::Bytes(bytes)),
        word if named(word).is_some() => return given(text),
        _ if text.to_ascii_lowercase().ends_with(".npy") => return Ok(What::File(text.into())),
        _ => {
            return Err(
                "expected a file that ends in .npy, zeros:f32:1024, iota, random, u32:1,2,3 or \
                 hex:0a0b; gvpie help check tells them all"
                    .into(),
            );
        }
    };
    let sizes =
        |text: &str| text.split('x').map(|n| n.parse::<u32>().ok()).collect::<Option<Vec<_>>>();
    if fill != Fill::Iota
        && let Some(size) = sizes(rest)
    {
        let shown = format!("expected 1 to 3 extents from 1, as in {word}:640x480");
        return match size.len() <= 3 && !size.contains(&0) {
            true => Ok(What::Texels(fill, size)),
            false => Err(shown),
        };
    }
    let example = || format!("expected a type and how many, as in {word}:f32:1024");
    let (ty, count) = rest.split_once(':').ok_or_else(example)?;
    let ty = named(ty).ok_or_else(|| {
        let names = TYPES.map(|ty| ty.to_string()).join(", ");
        format!("expected one of the types {names}, found '{ty}'")
    })?;
    let count = sizes(count).ok_or_else(example)?;
    let count = count.iter().try_fold(1_u64, |n, extent| n.checked_mul((*extent).into()));
    Ok(What::Numbers(fill, ty, count.ok_or_else(example)?))
}

/// Numbers after their types: `u32:1024,7,f32:0.5`.
fn given(text: &str) -> Result<What, String> {
    let (mut bytes, mut types) = (Vec::new(), Vec::new());
    let mut ty = Type::U32;
    for part in text.split(',') {
        let number = match part.split_once(':') {
            Some((name, number)) => {
                ty = named(name.trim()).ok_or_else(|| format!("'{name}' is no type of numbers"))?;
                number
            }
            None => part,
        };
        types.push(ty);
        let number = number.trim();
        push(&mut bytes, ty, number).ok_or_else(|| format!("'{number}' is no {ty}"))?;
    }
    Ok(What::Given(bytes, types))
}

/// Adds a number as it is written, if it is one of its type.
fn push(bytes: &mut Vec<u8>, ty: Type, number: &str) -> Option<()> {
    let float = || number.parse::<f64>().ok();
    match ty {
        Type::I32 => bytes.extend(number.parse::<i32>().ok()?.to_le_bytes()),
        Type::I64 => bytes.extend(number.parse::<i64>().ok()?.to_le_bytes()),
        Type::U64 => bytes.extend(number.parse::<u64>().ok()?.to_le_bytes()),
        Type::F16 => bytes.extend(f16::from_f64(float()?).to_le_bytes()),
        Type::F32 => bytes.extend(number.parse::<f32>().ok()?.to_le_bytes()),
        Type::F64 => bytes.extend(float()?.to_le_bytes()),
        Type::Bool | Type::U32 => bytes.extend(number.parse::<u32>().ok()?.to_le_bytes()),
    }
    Some(())
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(text: &str) -> Result<Bytes, String> {
    let text = text.trim_start_matches("0x");
    let bytes = (0..text.len()).step_by(2).map(|at| {
        let pair =
            text.get(at..at + 2).filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    bytes.map(Bytes).ok_or_else(|| "expected hexadecimal digits, two to a byte, as in 0a0b".into())
}

/// So many numbers, the same ones each time for one seed.
pub(super) fn numbers(fill: Fill, ty: Type, count: u64, seed: u64) -> Vec<u8> {
    if fill == Fill::Zeros {
        return vec![0; (count * u64::from(ty.bytes())) as usize];
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = Vec::with_capacity((count * u64::from(ty.bytes())) as usize);
    for n in 0..count {
        let float = match fill {
            Fill::Random => 2.0 * random.f64() - 1.0,
            _ => n as f64,
        };
        let integer = if fill == Fill::Random { random.u64(..) } else { n };
        match ty {
            Type::F16 => bytes.extend(f16::from_f64(float).to_le_bytes()),
            Type::F32 => bytes.extend((float as f32).to_le_bytes()),
            Type::F64 => bytes.extend(float.to_le_bytes()),
            Type::I64 | Type::U64 => bytes.extend(integer.to_le_bytes()),
            Type::Bool | Type::I32 | Type::U32 => bytes.extend((integer as u32).to_le_bytes()),
        }
    }
    bytes
}

/// A texture of these texels.
pub(super) fn texels(
    fill: Fill,
    format: Format,
    extent: Extent,
    seed: u64,
) -> Result<Texture, RunError> {
    let texture = Texture::zeroed(format, extent)?;
    if fill == Fill::Zeros {
        return Ok(texture);
    }
    let mut bytes = texture.read(0)?;
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    Texture::with(format, extent, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str) -> What {
        parse(text).unwrap().what
    }

    #[test]
    fn what_is_bound_is_read() {
        let bind = parse("3:1=zeros:f32:4x8").unwrap();
        assert_eq!((bind.group, bind.binding), (3, 1));
        assert_eq!(bind.what, What::Numbers(Fill::Zeros, Type::F32, 32));
        assert_eq!(what("0=iota:u64:3"), What::Numbers(Fill::Iota, Type::U64, 3));
        assert_eq!(what("0=random:640x480"), What::Texels(Fill::Random, vec![640, 480]));
        assert_eq!(what("0=C:\\x.npy"), What::File("C:\\x.npy".into()));
        assert_eq!(what("0=hex:0aFF"), What::Bytes(vec![10, 255]));
        let numbers = [1_u32.to_le_bytes(), 2_u32.to_le_bytes(), 0.5_f32.to_le_bytes()].concat();
        let types = vec![Type::U32, Type::U32, Type::F32];
        assert_eq!(what("0=u32:1,2,f32:0.5"), What::Given(numbers, types));
        for (text, words) in [
            ("0", "0=x.npy"),
            ("x=zeros:f32:1", "0=x.npy"),
            ("0=x.txt", ".npy"),
            ("0=zeros:f31:1", "i32, u32"),
            ("0=zeros:f32", "zeros:f32:1024"),
            ("0=zeros:f32:-1", "zeros:f32:1024"),
            ("0=zeros:4294967295x4294967295x4294967295", "zeros"),
            ("0=zeros:f32:4294967295x4294967295x4294967295", "zeros:f32:1024"),
            ("0=zeros:0x4", "extents"),
            ("0=u32:1,-2", "'-2' is no u32"),
            ("0=u32:1,f31:2", "'f31'"),
            ("0=hex:0", "two to a byte"),
            ("0=hex:+1", "two to a byte"),
            ("0=hex:0ä", "two to a byte"),
        ] {
            match parse(text) {
                Err(message) => assert!(message.contains(words), "{text}: {message}"),
                Ok(bind) => assert!(text.contains("4294967295x"), "{text}: {bind:?}"),
            }
        }
    }

    #[test]
    fn numbers_are_what_they_are_called() {
        assert_eq!(numbers(Fill::Iota, Type::U32, 3, 0), [0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(numbers(Fill::Zeros, Type::F16, 3, 0), [0; 6]);
        let random = numbers(Fill::Random, Type::F32, 1000, 7);
        assert_eq!(random, numbers(Fill::Random, Type::F32, 1000, 7));
        let floats: Vec<f32> = bytemuck::pod_collect_to_vec(&random);
        assert!(floats.iter().all(|x| (-1.0..=1.0).contains(x)));
        assert!(floats.iter().any(|x| *x < -0.9) && floats.iter().any(|x| *x > 0.9));
    }
}
