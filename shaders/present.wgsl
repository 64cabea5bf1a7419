// The window's frame: the picture, magnified by a whole number and centred, on black.
//
// One triangle covers the frame; each of its pixels looks up the one it shows. No filtering, so
// that present.rs computes the same frame on the host, bit for bit.
// One pass: cover, present. Called by gvpie-bootstrap/src/surface.rs.

struct Camera {
    // Frame pixels left of and above the picture.
    origin: vec2<u32>,
    // The machine texture's columns and rows.
    grid: vec2<u32>,
    // Picture pixels of a texel.
    cell: vec2<u32>,
    // Frame pixels a picture pixel covers, each way.
    zoom: u32,
    // Picture pixels from one that is shown to the next; 1 unless the frame has no room for all.
    step: u32,
    // 0 shows the picture (human view), 1 the texels it is made of (machine view).
    view: u32,
}

@group(0) @binding(0) var<uniform> camera: Camera;
@group(0) @binding(1) var<storage, read> machine: array<u32>;
@group(0) @binding(2) var<storage, read> picture: array<u32>;

@vertex
fn cover(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(f32(index & 1u), f32(index >> 1u));
    return vec4<f32>(corner * 4.0 - 1.0, 0.0, 1.0);
}

@fragment
fn present(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    // Left of and above the picture the difference wraps to beyond its right and lower edges.
    let at = (vec2<u32>(position.xy) - camera.origin) / camera.zoom * camera.step;
    let size = camera.grid * camera.cell;
    if (any(at >= size)) {
        return vec4<f32>(0.0, 0.0, 0.0, 1.0);
    }
    var colour: u32;
    if (camera.view == 0u) {
        colour = picture[at.y * size.x + at.x];
    } else {
        let cell = at / camera.cell;
        colour = machine[cell.y * camera.grid.x + cell.x];
    }
    return vec4<f32>(unpack4x8unorm(colour).rgb, 1.0);
}
