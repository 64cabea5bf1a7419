struct A { a: u32, b: vec2<f32> }
struct B { a: A, b: A, c: array<A, 3> }
const T = array(1u, 2u, 3u);
const U = array(T, T);
fn f(b: B, p: ptr<function, u32>) -> u32 { *p += b.c[*p].a; return U[1][*p]; }
@group(0) @binding(0) var<storage, read_write> out: array<u32, 4>;
@compute @workgroup_size(1)
fn main() { var k = out[1]; var b: B; out[0] = f(b, &k) + f(b, &k); }
