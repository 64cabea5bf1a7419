// refused: texture
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
@group(0) @binding(1) var t: texture_storage_2d<r32uint, atomic>;
@compute @workgroup_size(1)
fn main() {
    textureAtomicMax(t, vec2(0), 1u);
}
