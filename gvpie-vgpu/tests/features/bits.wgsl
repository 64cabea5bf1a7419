// out: 13 3 2147483648 2 30 12 255 4294967295
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    let x = out[9] + 3u;
    out[0] = insertBits(1u, x, 2u, 2u);
    out[1] = extractBits(out[0] * 4u, 4u, 3u);
    out[2] = reverseBits(x - 2u);
    out[3] = countOneBits(x);
    out[4] = countLeadingZeros(x);
    out[5] = firstLeadingBit(x << 11u);
    out[6] = pack4xU8(vec4<u32>(x * 85u, 0u, 256u, 512u));
    out[7] = firstTrailingBit(out[9]);
}
