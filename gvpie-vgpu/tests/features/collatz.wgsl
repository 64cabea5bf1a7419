// out: 0 0 1 7 2 5 8 16 3 19 6 14 9 9 17 17
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(16)
fn main(@builtin(local_invocation_index) lane: u32) {
    var n = lane;
    var steps = 0u;
    while n > 1u { if n % 2u == 0u { n /= 2u; } else { n = 3u * n + 1u; } steps++; }
    out[lane] = steps;
}
