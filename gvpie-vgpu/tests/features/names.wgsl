// out: 1 2 3
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct in_ { x: u32 }
fn main_(u32_: u32) -> u32 { return u32_; }
const ångström = 3u;
@compute @workgroup_size(1)
fn main() {
    let out_ = in_(1u); let vec = 2u;
    out[0] = main_(out_.x); out[1] = vec;
    { let out_ = ångström; out[2] = out_; }
}
