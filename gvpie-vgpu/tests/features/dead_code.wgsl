// out: 1
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
fn never() -> u32 { loop {} return 1u; }
fn unused(t: ptr<private, u32>) {}
@compute @workgroup_size(1)
fn main() {
    out[0] = 1u;
    if false { out[0] = 2u; }
    return;
}
