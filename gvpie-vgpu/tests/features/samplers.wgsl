// refused: a sampler
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
@group(0) @binding(1) var t: texture_2d<f32>;
@group(0) @binding(2) var s: sampler;
@compute @workgroup_size(1)
fn main() {
    out[0] = u32(textureSampleLevel(t, s, vec2(0.5), 0.0).x);
}
