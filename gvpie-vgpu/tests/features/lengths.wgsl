// out: 256 16
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
@group(0) @binding(1) var<storage, read_write> any_number: array<u32>;
@compute @workgroup_size(1)
fn main() {
    out[0] = arrayLength(&any_number);
    let all = &any_number;
    out[1] = arrayLength(all) / 16u;
}
