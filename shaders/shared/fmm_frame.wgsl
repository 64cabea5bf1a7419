// The cube that the tree divides. Points are kept multiplied by `scale`: a power of two that brings the cube's edge
// near 1, so that no square of a distance over- or underflows. `base` is taken from them before: for points far from
// the origin one of their corners, from which each differs without an error; else 0.
struct Frame {
    low: vec3<f32>,
    side: f32,
    scale: f32,
    base: vec3<f32>,
}
