//! Texel formats: how up to four channels become bytes, as WGSL's table of channel formats has it.

use crate::ir::Type;
use half::f16;

/// What a channel's bits mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// v / (2ⁿ − 1), within 0 and 1.
    Unorm,
    /// The same, but for alpha along the sRGB curve.
    Srgb,
    /// max(v / (2ⁿ⁻¹ − 1), −1).
    Snorm,
    Uint,
    Sint,
    /// 32 or 16 bits; 11 or 10 without a sign.
    Float,
    /// Three significands of 9 bits, and an exponent of 5 that they share.
    Shared,
}

macro_rules! formats {
    ($($format:ident $name:literal $coding:ident $bits:tt,)*) => {
        /// What a texel is in memory: channels from the lowest bits up, least byte first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        #[non_exhaustive]
        pub enum Format {
            $($format,)*
        }

        impl Format {
            /// All there are.
            pub const ALL: &[Format] = &[$(Format::$format,)*];

            /// Its name, as WGSL and WebGPU write it.
            pub fn name(self) -> &'static str {
                match self { $(Format::$format => $name,)* }
            }

            /// The meaning of its channels, and their bits; 0 for those that it has not.
            fn layout(self) -> (Coding, [u32; 4]) {
                match self { $(Format::$format => (Coding::$coding, $bits),)* }
            }
        }
    };
}

formats! {
    R8Unorm "r8unorm" Unorm [8, 0, 0, 0],
    R8Snorm "r8snorm" Snorm [8, 0, 0, 0],
    R8Uint "r8uint" Uint [8, 0, 0, 0],
    R8Sint "r8sint" Sint [8, 0, 0, 0],
    Rg8Unorm "rg8unorm" Unorm [8, 8, 0, 0],
    Rg8Snorm "rg8snorm" Snorm [8, 8, 0, 0],
    Rg8Uint "rg8uint" Uint [8, 8, 0, 0],
    Rg8Sint "rg8sint" Sint [8, 8, 0, 0],
    Rgba8Unorm "rgba8unorm" Unorm [8, 8, 8, 8],
    Rgba8UnormSrgb "rgba8unorm-srgb" Srgb [8, 8, 8, 8],
    Rgba8Snorm "rgba8snorm" Snorm [8, 8, 8, 8],
    Rgba8Uint "rgba8uint" Uint [8, 8, 8, 8],
    Rgba8Sint "rgba8sint" Sint [8, 8, 8, 8],
    Bgra8Unorm "bgra8unorm" Unorm [8, 8, 8, 8],
    Bgra8UnormSrgb "bgra8unorm-srgb" Srgb [8, 8, 8, 8],
    R16Unorm "r16unorm" Unorm [16, 0, 0, 0],
    R16Snorm "r16snorm" Snorm [16, 0, 0, 0],
    R16Uint "r16uint" Uint [16, 0, 0, 0],
    R16Sint "r16sint" Sint [16, 0, 0, 0],
    R16Float "r16float" Float [16, 0, 0, 0],
    Rg16Unorm "rg16unorm" Unorm [16, 16, 0, 0],
    Rg16Snorm "rg16snorm" Snorm [16, 16, 0, 0],
    Rg16Uint "rg16uint" Uint [16, 16, 0, 0],
    Rg16Sint "rg16sint" Sint [16, 16, 0, 0],
    Rg16Float "rg16float" Float [16, 16, 0, 0],
    Rgba16Unorm "rgba16unorm" Unorm [16, 16, 16, 16],
    Rgba16Snorm "rgba16snorm" Snorm [16, 16, 16, 16],
    Rgba16Uint "rgba16uint" Uint [16, 16, 16, 16],
    Rgba16Sint "rgba16sint" Sint [16, 16, 16, 16],
    Rgba16Float "rgba16float" Float [16, 16, 16, 16],
    R32Uint "r32uint" Uint [32, 0, 0, 0],
    R32Sint "r32sint" Sint [32, 0, 0, 0],
    R32Float "r32float" Float [32, 0, 0, 0],
    Rg32Uint "rg32uint" Uint [32, 32, 0, 0],
    Rg32Sint "rg32sint" Sint [32, 32, 0, 0],
    Rg32Float "rg32float" Float [32, 32, 0, 0],
    Rgba32Uint "rgba32uint" Uint [32, 32, 32, 32],
    Rgba32Sint "rgba32sint" Sint [32, 32, 32, 32],
    Rgba32Float "rgba32float" Float [32, 32, 32, 32],
    Rgb10a2Uint "rgb10a2uint" Uint [10, 10, 10, 2],
    Rgb10a2Unorm "rgb10a2unorm" Unorm [10, 10, 10, 2],
    Rg11b10Ufloat "rg11b10ufloat" Float [11, 11, 10, 0],
    Rgb9e5Ufloat "rgb9e5ufloat" Shared [9, 9, 9, 5],
    Depth16Unorm "depth16unorm" Unorm [16, 0, 0, 0],
    Depth32Float "depth32float" Float [32, 0, 0, 0],
}

impl Format {
    /// The format of this name.
    ///
    /// ```
    /// use gvpie_vgpu::Format;
    /// assert_eq!(Format::named("rgba8unorm"), Some(Format::Rgba8Unorm));
    /// ```
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.iter().copied().find(|format| format.name() == name)
    }

    /// Bytes of a texel: 1, 2, 4, 8 or 16.
    pub fn bytes(self) -> u32 {
        self.layout().1.iter().sum::<u32>() / 8
    }

    /// The type of its channels in a kernel: f32, i32 or u32.
    pub fn channel(self) -> Type {
        match self.layout().0 {
            Coding::Uint => Type::U32,
            Coding::Sint => Type::I32,
            Coding::Unorm | Coding::Srgb | Coding::Snorm | Coding::Float | Coding::Shared => {
                Type::F32
            }
        }
    }

    /// Whether blue comes first.
    fn is_swapped(self) -> bool {
        matches!(self, Format::Bgra8Unorm | Format::Bgra8UnormSrgb)
    }

    /// Red, green, blue and alpha of a texel's bits, as bits of [`Format::channel`]; 0, and of alpha 1, for
    /// those that it has not.
    pub(super) fn unpack(self, texel: u128) -> [u32; 4] {
        let (coding, bits) = self.layout();
        let one = if self.channel() == Type::F32 { 1.0_f32.to_bits() } else { 1 };
        let mut channels = [0, 0, 0, one];
        let mut shift = 0;
        let part = |shift: u32, bits: u32| (texel >> shift) as u32 & (u32::MAX >> (32 - bits));
        if coding == Coding::Shared {
            // 15 is the exponent's bias, and 9 bits of the significand are its fraction.
            let scale = (f64::from(part(27, 5)) - 24.0).exp2() as f32;
            for (k, channel) in channels.iter_mut().take(3).enumerate() {
                *channel = (part(9 * k as u32, 9) as f32 * scale).to_bits();
            }
            return channels;
        }
        for (k, (channel, bits)) in channels.iter_mut().zip(bits).enumerate() {
            if bits > 0 {
                *channel = decode(curve(coding, k), part(shift, bits), bits);
                shift += bits;
            }
        }
        if self.is_swapped() {
            channels.swap(0, 2);
        }
        channels
    }

    /// The bits of a texel of these channels.
    pub(super) fn pack(self, mut channels: [u32; 4]) -> u128 {
        let (coding, bits) = self.layout();
        if coding == Coding::Shared {
            return shared(channels).into();
        }
        if self.is_swapped() {
            channels.swap(0, 2);
        }
        let (mut texel, mut shift) = (0, 0);
        for (k, (channel, bits)) in channels.into_iter().zip(bits).enumerate() {
            if bits > 0 {
                texel |= u128::from(encode(curve(coding, k), channel, bits)) << shift;
                shift += bits;
            }
        }
        texel
    }
}

/// Alpha has no curve.
fn curve(coding: Coding, channel: usize) -> Coding {
    match coding {
        Coding::Srgb if channel == 3 => Coding::Unorm,
        coding => coding,
    }
}

/// The largest value of so many bits.
fn largest(bits: u32) -> u32 {
    u32::MAX >> (32 - bits)
}

fn decode(coding: Coding, part: u32, bits: u32) -> u32 {
    let extended = (part << (32 - bits)) as i32 >> (32 - bits);
    match coding {
        Coding::Uint => part,
        Coding::Sint => extended as u32,
        Coding::Unorm => (part as f32 / largest(bits) as f32).to_bits(),
        Coding::Snorm => (extended as f32 / largest(bits - 1) as f32).max(-1.0).to_bits(),
        Coding::Srgb => {
            let part = f64::from(part) / f64::from(largest(bits));
            let linear =
                if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
            (linear as f32).to_bits()
        }
        Coding::Float | Coding::Shared => match bits {
            32 => part,
            16 => f16::from_bits(part as u16).to_f32().to_bits(),
            // The sign and the lower bits of the significand are those of f16 that are not there.
            _ => f16::from_bits((part << (15 - bits)) as u16).to_f32().to_bits(),
        },
    }
}

/// Values out of range become the nearest within; a NaN of a norm is 0.
fn encode(coding: Coding, channel: u32, bits: u32) -> u32 {
    let float = f32::from_bits(channel);
    // Products of 24 and 16 bits are exact in f64, so that they are rounded once.
    let scaled = |low: f32, most: u32| {
        (f64::from(float.clamp(low, 1.0)) * f64::from(most)).round_ties_even() as i32 as u32
    };
    let kept = match coding {
        Coding::Uint => channel.min(largest(bits)),
        Coding::Sint => {
            let most = largest(bits - 1) as i32;
            (channel as i32).clamp(-most - 1, most) as u32
        }
        Coding::Unorm => scaled(0.0, largest(bits)),
        Coding::Snorm => scaled(-1.0, largest(bits - 1)),
        Coding::Srgb => {
            let linear = f64::from(float.clamp(0.0, 1.0));
            let curved = if linear <= 0.003_130_8 {
                linear * 12.92
            } else {
                1.055 * linear.powf(1.0 / 2.4) - 0.055
            };
            (curved * f64::from(largest(bits))).round_ties_even() as u32
        }
        Coding::Float | Coding::Shared => match bits {
            32 => channel,
            16 => f16::from_f32(float).to_bits().into(),
            _ => unsigned(float, bits),
        },
    };
    kept & largest(bits)
}

/// A float of 5 bits of exponent and the rest significand, without a sign: rounded to the nearest, negative
/// ones to 0, finite ones past the largest to the largest.
fn unsigned(float: f32, bits: u32) -> u32 {
    let fraction = bits - 5;
    let infinity = 0x1f << fraction;
    if float.is_nan() {
        return infinity | 1 << (fraction - 1);
    }
    if float == f32::INFINITY {
        return infinity;
    }
    if float <= 0.0 {
        return 0;
    }
    let float = f64::from(float);
    // Of the smallest exponent, numbers are as far apart as of the one below it.
    let exponent = (((float.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(-14);
    let unit = f64::from(exponent - fraction as i32).exp2();
    let steps = (float / unit).round_ties_even();
    // Steps of 1.0 are the exponent's lowest bit: a significand that is rounded up to 2 carries over.
    let code = steps + f64::from(exponent + 14) * f64::from(1_u32 << fraction);
    (code as u32).min(infinity - 1)
}

/// Three floats with one exponent, as D3D and Vulkan have it.
fn shared(channels: [u32; 4]) -> u32 {
    const MOST: f64 = 65408.0;
    // A NaN is 0, as it is not above it.
    let [red, green, blue] = [0, 1, 2].map(|k| {
        let float = f64::from(f32::from_bits(channels[k]));
        if float > 0.0 { float.min(MOST) } else { 0.0 }
    });
    let most = red.max(green).max(blue);
    let power = ((most.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let mut exponent = power.max(-16) + 16;
    let unit = |exponent: i32| f64::from(exponent - 24).exp2();
    if (most / unit(exponent) + 0.5).floor() >= 512.0 {
        exponent += 1;
    }
    let part = |channel: f64| (channel / unit(exponent) + 0.5).floor() as u32;
    part(red) | part(green) << 9 | part(blue) << 18 | (exponent as u32) << 27
}
