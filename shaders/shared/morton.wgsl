// The bits of three numbers of ten bits each, interleaved: x lowest.
fn morton(v: vec3<u32>) -> u32 {
    var w = v & vec3(0x3ffu);
    w = (w | (w << vec3(16u))) & vec3(0x030000ffu);
    w = (w | (w << vec3(8u))) & vec3(0x0300f00fu);
    w = (w | (w << vec3(4u))) & vec3(0x030c30c3u);
    w = (w | (w << vec3(2u))) & vec3(0x09249249u);
    return w.x | (w.y << 1u) | (w.z << 2u);
}
