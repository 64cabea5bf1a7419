// out: 3 3
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    for (var i = 0u; i < 3u; i++) { var fresh: u32; fresh += 1u; out[0] += fresh; var list: array<u32, 2>; list[i % 2u] += 1u; out[1] += list[i % 2u]; }
}
