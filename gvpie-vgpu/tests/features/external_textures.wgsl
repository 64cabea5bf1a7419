// refused: texture
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
@group(0) @binding(1) var t: texture_external;
@compute @workgroup_size(1)
fn main() {
    out[0] = textureDimensions(t).x;
}
