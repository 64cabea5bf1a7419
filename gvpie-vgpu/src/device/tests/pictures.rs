//! Textures: their formats, and kernels that read and write them.

use crate::device::{Bindings, Device, Extent, Format, Options, Texture};
use crate::interp::RunError;
use crate::ir::Type;
use crate::sanitize::Kind;
use crate::sketch::{device, executors};
use crate::{Module, Report};

fn floats(channels: [f32; 4]) -> [u32; 4] {
    channels.map(f32::to_bits)
}

/// Writes channels to a texture of one texel, and gives its bytes.
fn bytes_of(format: Format, channels: [u32; 4]) -> Vec<u8> {
    let texture = Texture::zeroed(format, Extent::D1(1)).unwrap();
    texture.store([0; 3], channels);
    texture.read(0).unwrap()
}

fn channels_of(format: Format, bytes: &[u8]) -> [u32; 4] {
    Texture::with(format, Extent::D1(1), bytes).unwrap().load([0; 3], 0)
}

#[test]
fn texels_are_what_webgpu_says() {
    use Format::*;
    let f = floats;
    for (format, bytes, channels) in [
        (R8Unorm, &[51][..], f([0.2, 0.0, 0.0, 1.0])),
        (Rg8Unorm, &[51, 255], f([0.2, 1.0, 0.0, 1.0])),
        (Rgba8Unorm, &[0, 51, 255, 102], f([0.0, 0.2, 1.0, 0.4])),
        (Bgra8Unorm, &[0, 51, 255, 102], f([1.0, 0.2, 0.0, 0.4])),
        (Rgba8Snorm, &[0x81, 0x80, 127, 0], f([-1.0, -1.0, 1.0, 0.0])),
        (R8Uint, &[200], [200, 0, 0, 1]),
        (Rg8Sint, &[0x80, 3], [-128_i32 as u32, 3, 0, 1]),
        (R16Float, &[0x00, 0x3e], f([1.5, 0.0, 0.0, 1.0])),
        (R16Unorm, &[0xff, 0xff], f([1.0, 0.0, 0.0, 1.0])),
        (Rg16Snorm, &[0x01, 0x80, 0xff, 0x7f], f([-1.0, 1.0, 0.0, 1.0])),
        (Rg16Sint, &[0xff, 0xff, 2, 0], [u32::MAX, 2, 0, 1]),
        (R32Sint, &[0xff, 0xff, 0xff, 0xff], [u32::MAX, 0, 0, 1]),
        (Rg32Float, &[0, 0, 0x20, 0x40, 0, 0, 0x80, 0xbf], f([2.5, -1.0, 0.0, 1.0])),
        // 1, 2 and 4 from the lowest bits up, and 3 in the highest two.
        (Rgb10a2Uint, &[0x01, 0x08, 0x40, 0xc0], [1, 2, 4, 3]),
        (Rgb10a2Unorm, &[0xff, 0x03, 0x00, 0xc0], f([1.0, 0.0, 0.0, 1.0])),
        // 1.0 is exponent 15: 15 << 6 twice, and 15 << 5.
        (Rg11b10Ufloat, &[0xc0, 0x03, 0x1e, 0x78], f([1.0, 1.0, 1.0, 1.0])),
        // 256 · 2^(16 − 24) = 1 in all three.
        (Rgb9e5Ufloat, &[0x00, 0x01, 0x02, 0x84], f([1.0, 1.0, 1.0, 1.0])),
    ] {
        assert_eq!(channels_of(format, bytes), channels, "{}", format.name());
        if bytes[..2.min(bytes.len())] != [0x81, 0x80] {
            assert_eq!(bytes_of(format, channels), bytes, "{}", format.name());
        }
    }
    let linear = channels_of(Rgba8UnormSrgb, &[0, 128, 255, 128]).map(f32::from_bits);
    assert!((linear[1] - 0.215_860_5).abs() < 1e-6 && (linear[0], linear[2]) == (0.0, 1.0));
    assert_eq!(linear[3], 128.0 / 255.0);
}

#[test]
fn stores_round_to_the_nearest_and_clamp() {
    let of = |format, channels: [f32; 4]| bytes_of(format, floats(channels));
    // 127.5 is between 127 and 128, of which the latter is even; 0.1 · 255 = 25.5 and a little.
    assert_eq!(of(Format::Rgba8Unorm, [0.5, 0.1, 2.0, -1.0]), [128, 26, 255, 0]);
    assert_eq!(of(Format::Rgba8Unorm, [f32::NAN, f32::INFINITY, 0.998, 0.999]), [0, 255, 254, 255]);
    assert_eq!(of(Format::Rgba8Snorm, [-2.0, 2.0, -0.5, f32::NAN]), [0x81, 127, 0xc0, 0]);
    assert_eq!(of(Format::R16Float, [65520.0, 0.0, 0.0, 0.0]), [0x00, 0x7c]);
    let ints = |format, channels: [i32; 4]| bytes_of(format, channels.map(|c| c as u32));
    assert_eq!(ints(Format::Rgba8Sint, [-129, 128, -1, 5]), [0x80, 127, 255, 5]);
    assert_eq!(ints(Format::Rgba8Uint, [-1, 256, 255, 5]), [255, 255, 255, 5]);
    assert_eq!(ints(Format::Rgb10a2Uint, [1024, 0, 0, 4]), [0xff, 0x03, 0x00, 0xc0]);
}

/// Of every bit pattern of a byte and many of more.
#[test]
fn what_is_read_is_written_back() {
    let mut random = fastrand::Rng::with_seed(7);
    for format in Format::ALL {
        let bits = format.bytes() * 8;
        for number in 0..if bits == 8 { 256 } else { 4000 } {
            let texel = if bits == 8 { number } else { random.u128(..) >> (128 - bits) };
            let read = format.unpack(texel);
            let again = format.unpack(format.pack(read));
            // One NaN is as good as another.
            let kept = |channels: [u32; 4]| match format.channel() {
                Type::F32 => channels.map(|c| if f32::from_bits(c).is_nan() { !0 } else { c }),
                _ => channels,
            };
            assert_eq!(kept(again), kept(read), "{} of {texel:x}", format.name());
        }
    }
}

#[test]
fn small_floats_are_the_nearest() {
    let unpacked =
        |code: u32| f32::from_bits(channels_of(Format::Rg11b10Ufloat, &code.to_le_bytes())[0]);
    let all: Vec<f32> = (0..31 << 6).map(unpacked).collect();
    assert!(all.is_sorted() && all[all.len() - 1] == 65024.0);
    let mut random = fastrand::Rng::with_seed(8);
    for _ in 0..20_000 {
        let value = random.f32() * (f32::from(random.u8(..34)) - 17.0).exp2();
        let packed = bytes_of(Format::Rg11b10Ufloat, floats([value, 0.0, 0.0, 0.0]));
        let code = u32::from_le_bytes(packed.try_into().unwrap()) as usize;
        let error = |code: usize| all.get(code).map_or(f32::INFINITY, |a| (a - value).abs());
        let below = code.checked_sub(1).map_or(f32::INFINITY, error);
        assert!(error(code) <= below && error(code) <= error(code + 1), "{value}: {code}");
    }
    let of = |value: f32| {
        let packed = bytes_of(Format::Rg11b10Ufloat, floats([value, 0.0, 0.0, 0.0]));
        f32::from_bits(channels_of(Format::Rg11b10Ufloat, &packed)[0])
    };
    assert_eq!((of(-1.0), of(1e9), of(f32::INFINITY)), (0.0, 65024.0, f32::INFINITY));
    assert!(of(f32::NAN).is_nan());
}

#[test]
fn boxes_levels_and_views_are_parts() {
    let texture = Texture::with_levels(Format::R8Uint, Extent::D2Array(4, 4, 3), 3).unwrap();
    texture.write(0, &(0..48).collect::<Vec<u8>>()).unwrap();
    assert_eq!(
        texture.read_part(0, [1, 2, 1], [2, 2, 2]).unwrap(),
        [25, 26, 29, 30, 41, 42, 45, 46]
    );
    texture.write_part(1, [1, 0, 2], [1, 2, 1], &[7, 8]).unwrap();
    assert_eq!(texture.read(1).unwrap(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 8]);
    assert_eq!((texture.size(2), texture.size(3)), ([1, 1, 3], [0; 3]));
    let view = texture.view(1..2, 2..3, false).unwrap();
    assert_eq!((view.extent(), view.levels()), (Extent::D2(2, 2), 1));
    assert_eq!((view.load([1, 1, 0], 0), view.load([1, 1, 0], 1)), ([8, 0, 0, 1], [0; 4]));
    let deep = Texture::with_levels(Format::Rgba32Float, Extent::D3(4, 2, 8), 4).unwrap();
    assert_eq!(
        [0, 1, 2, 3].map(|level| deep.size(level)),
        [[4, 2, 8], [2, 1, 4], [1, 1, 2], [1; 3]]
    );
    let past = RunError::Levels { expected: 3, found: 3 };
    assert_eq!(texture.read(3), Err(past.clone()));
    assert_eq!(
        texture.view(1..4, 0..1, true).unwrap_err(),
        RunError::Levels { expected: 3, found: 4 }
    );
    let layers = |found: std::ops::Range<u32>, expected| RunError::Layers { expected, found };
    assert_eq!(texture.view(0..1, 1..4, true).unwrap_err(), layers(1..4, 3));
    assert_eq!(texture.view(0..1, 1..3, false).unwrap_err(), layers(1..3, 1));
    assert_eq!(deep.view(0..1, 0..1, true).unwrap_err(), layers(0..1, 1));
    let part = RunError::Part { expected: [2, 2, 3], at: [1, 0, 2], size: [2, 1, 1] };
    assert_eq!(texture.read_part(1, [1, 0, 2], [2, 1, 1]), Err(part));
    assert_eq!(texture.write(0, &[1]), Err(RunError::Texels { expected: 48, found: 1 }));
    let zeroed = |extent| Texture::zeroed(Format::Rgba8Unorm, extent).unwrap_err();
    assert_eq!(zeroed(Extent::D2(4, 0)), RunError::Extent { found: [4, 0, 1] });
    let huge = Extent::D3(u32::MAX, u32::MAX, u32::MAX);
    assert!(matches!(zeroed(huge), RunError::Memory { what: "a texture", .. }));
    let levels = Texture::with_levels(Format::R8Uint, Extent::D2(4, 4), 4).unwrap_err();
    assert_eq!(levels, RunError::Levels { expected: 3, found: 4 });
}

const INVERTS: &str = "
@group(0) @binding(0) var picture: texture_2d<f32>;
@group(0) @binding(1) var inverse: texture_storage_2d<rgba8unorm, write>;
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
    // Past the edges too: what is read there is zero, and nothing is written.
    let texel = textureLoad(picture, id.xy, 0);
    textureStore(inverse, vec2i(id.xy), vec4f(1.0 - texel.rgb, texel.a));
}";

#[test]
fn kernels_read_and_write_pictures() {
    let kernel = Module::new(INVERTS, &[]).unwrap().kernel("main").unwrap();
    let mut random = fastrand::Rng::with_seed(9);
    let (width, height) = (37, 21);
    let texels: Vec<u8> = (0..width * height * 4).map(|_| random.u8(..)).collect();
    let extent = Extent::D2(width, height);
    let picture = Texture::with(Format::Rgba8Unorm, extent, &texels).unwrap();
    for (name, device) in executors(Options::default()) {
        let inverse = Texture::zeroed(Format::Rgba8Unorm, extent).unwrap();
        let bindings = Bindings::new().texture(0, 0, &picture).texture(0, 1, &inverse);
        device.dispatch(&kernel, &bindings, [5, 3, 1]).unwrap();
        let found = inverse.read(0).unwrap();
        for (at, (found, given)) in found.into_iter().zip(&texels).enumerate() {
            assert_eq!(found, if at % 4 == 3 { *given } else { 255 - given }, "{name}: {at}");
        }
    }
}

#[test]
fn layers_levels_depths_and_lines() {
    let source = "
@group(0) @binding(0) var layers: texture_2d_array<u32>;
@group(0) @binding(1) var deep: texture_3d<i32>;
@group(0) @binding(2) var line: texture_storage_1d<r32uint, read_write>;
@group(0) @binding(3) var depth: texture_depth_2d;
@group(0) @binding(4) var stack: texture_storage_2d_array<rg16sint, write>;
@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) lane: u32) {
    let size = textureDimensions(layers, 1);
    let all = textureDimensions(deep);
    let sum = textureLoad(layers, vec2u(lane % size.x, lane / size.x), 2, 1).g * 1000u
        + u32(textureLoad(deep, vec3u(1, 0, lane), 0).r + 5) + textureNumLayers(layers)
        + all.x * all.y * all.z;
    let before = textureLoad(line, i32(lane)).r;
    textureStore(line, lane, vec4u(sum + before + u32(textureLoad(depth, vec2u(0), 0) * 2.0)));
    textureStore(stack, vec2u(lane % 2, lane / 2), lane % 3, vec4i(-1, i32(lane), 0, 0));
}";
    let kernel = Module::new(source, &[]).unwrap().kernel("main").unwrap();
    let layers = Texture::with_levels(Format::Rg8Uint, Extent::D2Array(4, 4, 3), 2).unwrap();
    layers.write_part(1, [0, 0, 2], [2, 2, 1], &[0, 1, 0, 2, 0, 3, 0, 4]).unwrap();
    let deep: Vec<u8> = (0..8_u8).map(|n| n.wrapping_sub(4)).collect();
    let deep = Texture::with(Format::R8Sint, Extent::D3(2, 1, 4), &deep).unwrap();
    let depth =
        Texture::with(Format::Depth32Float, Extent::D2(1, 1), &1.5_f32.to_le_bytes()).unwrap();
    for (name, device) in executors(Options::default()) {
        let line = Texture::with(Format::R32Uint, Extent::D1(4), &[9; 16]).unwrap();
        let stack = Texture::zeroed(Format::Rg16Sint, Extent::D2Array(2, 2, 3)).unwrap();
        let list = [&layers, &deep, &line, &depth, &stack];
        let bindings = (0..).zip(list).fold(Bindings::new(), |b, (k, t)| b.texture(0, k, t));
        device.dispatch(&kernel, &bindings, [1, 1, 1]).unwrap();
        for lane in 0..4 {
            // The depth's 3 are in the sum, as are 3 layers and 8 texels.
            let sum = (lane + 1) * 1000 + (2 * lane + 1 + 5 - 4) + 3 + 8 + 3;
            let found = line.load([lane, 0, 0], 0)[0];
            assert_eq!(found, 0x0909_0909 + sum, "{name}: {lane}");
            let there = stack.load([lane % 2, lane / 2, lane % 3], 0);
            assert_eq!(there, [u32::MAX, lane, 0, 1], "{name}");
        }
    }
}

#[test]
fn threads_write_different_texels_of_a_word() {
    let source = "
@group(0) @binding(0) var picture: texture_storage_1d<r8unorm, write>;
@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) id: vec3u) {
    textureStore(picture, id.x, vec4f(f32(id.x % 256u) / 255.0));
}";
    let kernel = Module::new(source, &[]).unwrap().kernel("main").unwrap();
    let device = Device::new(Options { threads: 4, ..Options::default() }).unwrap();
    let picture = Texture::zeroed(Format::R8Unorm, Extent::D1(20_000)).unwrap();
    device.dispatch(&kernel, &Bindings::new().texture(0, 0, &picture), [20_000, 1, 1]).unwrap();
    let texels = picture.read(0).unwrap();
    assert!(texels.iter().enumerate().all(|(at, texel)| *texel == at as u8));
}

#[test]
fn textures_are_checked_one_by_one() {
    let kernel = Module::new(INVERTS, &[]).unwrap().kernel("main").unwrap();
    let texture = |format, extent| Texture::zeroed(format, extent).unwrap();
    let (flat, rgba) = (Extent::D2(4, 4), Format::Rgba8Unorm);
    let (good, other) = (texture(rgba, flat), texture(rgba, flat));
    let of = |a: &Texture, b: &Texture| {
        let bindings = Bindings::new().texture(0, 0, a).texture(0, 1, b);
        device().dispatch(&kernel, &bindings, [1, 1, 1])
    };
    assert_eq!(of(&good, &other), Ok(()));
    let (group, binding) = (0, 0);
    let picture = || "picture".to_string();
    let layered = RunError::Dimensions {
        group,
        binding,
        name: picture(),
        expected: "2 dimensions",
        found: "2 dimensions and layers",
    };
    assert_eq!(of(&texture(rgba, Extent::D2Array(4, 4, 1)), &other), Err(layered));
    let line = of(&texture(rgba, Extent::D1(4)), &other).unwrap_err();
    assert!(
        line.to_string().contains("expected a texture of 2 dimensions, found one of 1 dimension")
    );
    let (expected, found) = ("channels of f32".into(), "channels of u32".into());
    let channels = RunError::Format { group, binding, name: picture(), expected, found };
    assert_eq!(of(&texture(Format::Rgba8Uint, flat), &other), Err(channels));
    let format = of(&good, &texture(Format::Bgra8Unorm, flat)).unwrap_err();
    let text = "@group(0) @binding(1) inverse: expected a texture of rgba8unorm, found bgra8unorm";
    assert_eq!(format.to_string(), text);
    let overlap = RunError::Overlap { first: picture(), second: "inverse".into() };
    assert_eq!(of(&good, &good), Err(overlap));
    let levels = Texture::with_levels(rgba, flat, 2).unwrap();
    let view = |level| levels.view(level..level + 1, 0..1, false).unwrap();
    assert_eq!(of(&view(0), &view(1)), Ok(()));
    let missing = Bindings::new().texture(0, 1, &good);
    let missing = device().dispatch(&kernel, &missing, [1, 1, 1]);
    assert_eq!(missing, Err(RunError::Missing { group, binding, name: picture() }));
    let buffer = crate::Buffer::zeroed(64).unwrap();
    let wrong = Bindings::new().buffer(0, 0, &buffer).texture(0, 1, &good);
    let wrong = device().dispatch(&kernel, &wrong, [1, 1, 1]);
    let (expected, found) = ("a texture", "a buffer");
    assert_eq!(wrong, Err(RunError::Resource { group, binding, name: picture(), expected, found }));
    let twice = Bindings::new().texture(0, 0, &good).texture(0, 0, &good);
    let twice = device().dispatch(&kernel, &twice, [1, 1, 1]);
    assert_eq!(twice, Err(RunError::Twice { group, binding }));
}

/// What the sanitizer tells of a kernel of 64 lanes with a storage texture of 8 by 8 texels.
fn checked(body: &str) -> (String, Report) {
    let source = format!(
        "@group(0) @binding(0) var cells: texture_storage_2d<r32uint, read_write>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {{
    let at = vec2u(lane % 8u, lane / 8u);
{body}
}}"
    );
    let kernel = Module::new(&source, &[]).unwrap().kernel("main").unwrap();
    let cells = Texture::zeroed(Format::R32Uint, Extent::D2(8, 8)).unwrap();
    let report = device().check(&kernel, &Bindings::new().texture(0, 0, &cells), [2, 1, 1]);
    (source, report.unwrap())
}

#[test]
fn races_and_bounds_of_texels_are_told() {
    for clean in [
        "if group.x == 0u { textureStore(cells, at, vec4u(lane)); }",
        "if group.x == 0u { textureStore(cells, at, vec4u(lane)); }
         textureBarrier();
         if group.x == 0u { let a = textureLoad(cells, 7u - at); }",
        "let a = textureLoad(cells, at.yx);",
    ] {
        assert_eq!(checked(clean).1.findings, [], "{clean}");
    }
    let one = |body: &str| {
        let (source, report) = checked(body);
        let [finding] = &report.findings[..] else { panic!("{body}: {report:?}") };
        (finding.clone(), source)
    };
    let (race, source) = one("    if group.x == 0u {
        textureStore(cells, at, vec4u(lane));
        let a = textureLoad(cells, 7u - at);
    }");
    let Kind::Race { memory, address: 252, writes: false, other } = &race.kind else {
        panic!("{race:?}");
    };
    let lines = (race.span.line(&source), other.span.line(&source));
    assert_eq!((memory.as_str(), race.lane, other.lane, lines), ("cells", 0, 63, (7, 6)));
    let (race, _) = one("textureStore(cells, at, vec4u(lane));");
    assert!(matches!(race.kind, Kind::Race { other, .. } if other.workgroup != race.workgroup));

    let (outside, source) = one("    let off = vec2i(at) - vec2i(1, 0);
    if group.x == 0u && lane < 9u && lane > 0u {
        textureStore(cells, off, vec4u(lane));
    }");
    let (at, size) = ([-1, 1, 0], [8, 8, 1]);
    let kind = Kind::OutsideTexture { texture: "cells".into(), at, level: 0, size };
    assert_eq!((outside.kind.clone(), outside.lane, outside.span.line(&source)), (kind, 8, 7));
    let text = outside.text(&source);
    assert!(
        text.ends_with("is at texel [-1, 1, 0] of cells, whose level 0 has [8, 8, 1]"),
        "{text}"
    );
}
