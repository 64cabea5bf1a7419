// out: 5 9 14 7
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
struct Cell { m: mat3x2<f32>, list: array<vec2<u32>, 3> }
fn second(cells: ptr<function, array<vec2<u32>, 3>>, at: u32) -> u32 { (*cells)[at].y += 5u; return (*cells)[at].y; }
fn whole(cells: ptr<function, Cell>) -> u32 { return second(&(*cells).list, 2u); }
@compute @workgroup_size(1)
fn main() {
    var cell: Cell;
    cell.list[2] = vec2(1u, 4u);
    let part = &cell.list[2];
    (*part).x = 5u;
    out[0] = cell.list[2].x;
    out[1] = whole(&cell);
    let again = whole(&cell);
    out[2] = again;
    let column = &cell.m[1];
    *column = vec2(3.0, 4.0);
    out[3] = u32(cell.m[1].x + cell.m[1].y);
}
