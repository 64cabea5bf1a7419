@group(0) @binding(0) var<storage, read_write> out: array<u32>;
fn walk(start: u32) -> u32 {
    var n = start;
    loop {
        switch n % 4u {
            case 0u, 2u: { n /= 2u; continue; }
            case 1u: { if n > 50u { return n; } n = n * 3u + 1u; }
            default: { n += 7u; if n > 90u { break; } }
        }
        if n < 2u { break; }
        continuing { n ^= 1u; break if n > 200u; }
    }
    return n + 1000u;
}
@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32) { out[lane] = walk(lane * 5u); }
