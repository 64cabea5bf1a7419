// out: 0
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;

@compute @workgroup_size(1)
fn main() {
    _ = out[0];
    {}
    ;
}

fn nothing() {}
