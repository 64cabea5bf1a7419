// refused: 16
enable wgpu_int16;
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let x = i16(5);
    out[0] = u32(x);
}
