// refused: cooperative
enable wgpu_cooperative_matrix;
@group(0) @binding(0) var<storage, read_write> out: array<u32, 16>;
var<workgroup> tile: array<f32, 64>;
@compute @workgroup_size(32)
fn main() {
    var c = coopLoadT<coop_mat8x8<f32, C>>(&tile[0], 8u);
    coopStore(c, &tile[0], 8u);
}
