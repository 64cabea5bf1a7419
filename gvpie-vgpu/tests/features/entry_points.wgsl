// out: 2
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
fn shared_function() -> u32 { return 2u; }
@fragment fn colour() -> @location(0) vec4<f32> { return vec4(1.0); }
@vertex fn place() -> @builtin(position) vec4<f32> { return vec4(0.0); }
@compute @workgroup_size(2) fn other() { out[0] = 5u; }
@compute @workgroup_size(1)
fn main() {
    out[0] = shared_function();
}
