//! From a screen of texels to a frame of pixels: the expansion, the camera, and the frame itself
//! on the host, as `present.wgsl` draws it on the GPU.

use crate::Failure;
use glam::{UVec2, Vec2};
use gvpie_core::glyph::{Cell, GlyphPlan, Glyphs, rom};
use gvpie_core::{Context, Result, Tensor};
use std::io::Write;
use std::path::Path;

/// Pixels of a cell before magnification.
const CELL: UVec2 = UVec2::new(6, 8);

/// Frame pixels to a picture's pixel at scale factor 1.
const ZOOM: f64 = 2.0;

/// What the window shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// The picture.
    #[default]
    Human,
    /// The texels it is made of, as colours.
    Machine,
}

/// Where the picture lies in the frame: magnified by a whole number, centred.
///
/// Frame pixel p shows pixel step ⌊(p − origin) / zoom⌋ of the picture, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Camera {
    /// Pixels of the frame.
    pub frame: UVec2,
    /// Frame pixels left of and above the picture.
    pub origin: UVec2,
    /// Columns and rows of the machine texture.
    pub grid: UVec2,
    /// Picture pixels of a texel: a glyph's, or one where a texel is a pixel.
    pub cell: UVec2,
    /// Frame pixels a picture's pixel covers, each way.
    pub zoom: u32,
    /// Picture pixels from one that is shown to the next; 1 unless the frame has no room for all.
    pub step: u32,
}

impl Camera {
    /// As many cells of text as fit, at least one, in a frame of this many pixels on a display of
    /// this scale factor.
    pub fn of_text(frame: UVec2, scale_factor: f64) -> Self {
        let zoom = (ZOOM * scale_factor).round().clamp(1.0, 64.0) as u32;
        let cell = CELL * zoom;
        let grid = (frame / cell).max(UVec2::ONE);
        let origin = frame.saturating_sub(grid * cell) / 2;
        Camera { frame, origin, grid, cell: CELL, zoom, step: 1 }
    }

    /// All of a canvas, as large as fits; of one larger than the frame, every step-th pixel.
    pub fn of_canvas(frame: UVec2, canvas: UVec2) -> Self {
        let room = frame.max(UVec2::ONE);
        let zoom = (room / canvas).min_element().max(1);
        let needed = UVec2::new(canvas.x.div_ceil(room.x), canvas.y.div_ceil(room.y));
        let step = needed.max_element();
        let seen = UVec2::new(canvas.x.div_ceil(step), canvas.y.div_ceil(step)) * zoom;
        let origin = frame.saturating_sub(seen) / 2;
        Camera { frame, origin, grid: canvas, cell: UVec2::ONE, zoom, step }
    }

    /// Pixels of the picture.
    fn size(&self) -> UVec2 {
        self.grid * self.cell
    }

    /// Rows of cells that a distance of so many frame pixels is.
    pub fn rows_in(&self, distance: Vec2) -> f32 {
        distance.y / (self.cell.y * self.zoom) as f32
    }

    /// The picture's pixel at a place of the frame, or the one nearest to it.
    pub fn pixel_at(&self, place: Vec2) -> [i32; 2] {
        let at = ((place - self.origin.as_vec2()) / self.zoom as f32).floor() * self.step as f32;
        at.clamp(Vec2::ZERO, (self.size() - 1).as_vec2()).as_ivec2().into()
    }

    /// The frame: packed RGBA8, from a machine texture and its picture.
    pub fn compose(&self, view: View, machine: &[u32], picture: &[u32]) -> Vec<u32> {
        let size = self.size();
        let pixel = |p: UVec2| {
            // Left of and above the picture the difference wraps to beyond its other edges.
            let at = p.wrapping_sub(self.origin) / self.zoom;
            let at = at.wrapping_mul(UVec2::splat(self.step));
            if at.cmpge(size).any() {
                return rom::BLACK;
            }
            let cell = at / self.cell;
            let colour = match view {
                View::Human => picture[(at.y * size.x + at.x) as usize],
                View::Machine => machine[(cell.y * self.grid.x + cell.x) as usize],
            };
            colour | rom::BLACK
        };
        let UVec2 { x: width, y: height } = self.frame;
        (0..height).flat_map(|y| (0..width).map(move |x| pixel(UVec2::new(x, y)))).collect()
    }
}

/// Machine texture and picture on a device.
#[derive(Debug)]
pub struct Stage {
    grid: UVec2,
    /// rows × columns texels.
    pub machine: Tensor<u32>,
    /// What they expand to, unless they are pixels themselves.
    expansion: Option<(GlyphPlan, Tensor<u32>)>,
}

impl Stage {
    /// For what this camera shows.
    pub fn new(ctx: &Context, camera: &Camera) -> Result<Self> {
        let grid = camera.grid;
        let problem = Glyphs::new(grid.x as usize, grid.y as usize).cell(Cell::C6x8);
        let machine = ctx.zeros(problem.machine_shape())?;
        let expansion = if camera.cell == CELL {
            Some((problem.plan(ctx)?, ctx.zeros(problem.picture_shape())?))
        } else {
            None
        };
        Ok(Stage { grid, machine, expansion })
    }

    /// Whether it is for what this camera shows.
    pub fn fits(&self, camera: &Camera) -> bool {
        self.grid == camera.grid && self.expansion.is_some() == (camera.cell == CELL)
    }

    /// Draws a screen of as many texels.
    pub fn draw(&mut self, screen: &[u32]) -> Result<()> {
        self.machine.write(screen)?;
        match &mut self.expansion {
            Some((plan, picture)) => plan.run(&self.machine, picture),
            None => Ok(()),
        }
    }

    /// The pixels that are shown.
    pub fn picture(&self) -> &Tensor<u32> {
        self.expansion.as_ref().map_or(&self.machine, |(_, picture)| picture)
    }

    /// The frame as it stands; waits for the device.
    pub fn snapshot(&self, camera: &Camera, view: View) -> Result<Vec<u32>> {
        Ok(camera.compose(view, &self.machine.download()?, &self.picture().download()?))
    }
}

/// Writes packed RGBA8 pixels as a PNG, which appears whole or not at all.
pub fn save(path: &Path, size: UVec2, pixels: &[u32]) -> Result<(), Failure> {
    let rgb: Vec<u8> = pixels.iter().flat_map(|p| p.to_le_bytes().into_iter().take(3)).collect();
    let written = write_png(path, size, &rgb);
    written.map_err(|error| {
        let words = format!("cannot write '{}': {error}", path.display());
        Failure::new(words, "name a file in a folder that can be written")
    })
}

fn write_png(path: &Path, size: UVec2, rgb: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gvpie-").suffix(".png");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file; the user's mask takes from it.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    if path.is_dir() {
        return Err("it is a folder".into());
    }
    let mut file = builder.tempfile_in(folder)?;
    {
        let mut encoder = png::Encoder::new(std::io::BufWriter::new(&mut file), size.x, size.y);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(rgb)?;
        writer.finish()?;
    }
    file.flush()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gvpie_core::{Backend, wgpu::naga};

    #[test]
    fn the_grid_fills_the_frame_and_is_centred() {
        let camera = Camera::of_text(UVec2::new(963, 517), 1.0);
        assert_eq!((camera.grid, camera.zoom), (UVec2::new(80, 32), 2));
        assert_eq!(camera.origin, UVec2::new(1, 2));
        let fine = Camera::of_text(UVec2::new(1920, 1024), 2.0);
        assert_eq!((fine.grid, fine.zoom), (UVec2::new(80, 32), 4));
        assert_eq!(Camera::of_text(UVec2::new(960, 512), 1.25).zoom, 3);
        let tiny = Camera::of_text(UVec2::new(5, 3), 1.0);
        assert_eq!((tiny.grid, tiny.origin), (UVec2::ONE, UVec2::ZERO));
        assert_eq!(camera.rows_in(Vec2::new(0.0, 32.0)), 2.0);
    }

    #[test]
    fn canvases_are_magnified_by_whole_numbers_or_thinned() {
        let of = |frame: [u32; 2], canvas: [u32; 2]| Camera::of_canvas(frame.into(), canvas.into());
        let camera = of([960, 512], [128, 64]);
        assert_eq!((camera.zoom, camera.step, camera.origin), (7, 1, UVec2::new(32, 32)));
        assert_eq!(camera.pixel_at(Vec2::new(32.0, 38.9)), [0, 0]);
        assert_eq!(camera.pixel_at(Vec2::new(39.0, 39.0)), [1, 1]);
        assert_eq!(camera.pixel_at(Vec2::new(-5.0, 9999.0)), [0, 63]);
        let small = of([50, 50], [128, 64]);
        assert_eq!((small.zoom, small.step, small.origin), (1, 3, UVec2::new(3, 14)));
        assert_eq!(small.pixel_at(Vec2::new(4.0, 15.0)), [3, 3]);
        assert_eq!(of([0, 0], [9, 9]).step, 9); // minimised

        let picture: Vec<u32> = (0..12).collect();
        let shown = of([9, 6], [4, 3]).compose(View::Human, &picture, &picture);
        let row = |y: usize| shown[9 * y..9 * y + 9].iter().map(|p| p & 255).collect::<Vec<_>>();
        assert_eq!(row(2), [4, 4, 5, 5, 6, 6, 7, 7, 0]);
        let thinned = of([3, 2], [4, 3]).compose(View::Human, &picture, &picture);
        let black = rom::BLACK;
        assert_eq!(thinned, [0, 2, 0, 8, 10, 0].map(|p| p | black));
    }

    #[test]
    fn frames_are_black_around_the_picture() {
        let camera = Camera::of_text(UVec2::new(17, 21), 1.0);
        assert_eq!((camera.grid, camera.origin), (UVec2::ONE, UVec2::new(2, 2)));
        let picture: Vec<u32> = (1..=48).collect();
        let frame = camera.compose(View::Human, &[0x41], &picture);
        assert_eq!(frame.len(), 17 * 21);
        let at = |x: usize, y: usize| frame[y * 17 + x];
        assert_eq!(
            (at(1, 2), at(2, 1), at(14, 2), at(2, 18)),
            (rom::BLACK, rom::BLACK, rom::BLACK, rom::BLACK)
        );
        assert_eq!(
            (at(2, 2), at(3, 3), at(4, 2), at(13, 17)),
            (0xFF00_0001, 0xFF00_0001, 0xFF00_0002, 0xFF00_0030)
        );
        let texels = camera.compose(View::Machine, &[0xFF00_0041], &picture);
        assert_eq!((texels[2 * 17 + 2], texels[0]), (0xFF00_0041, rom::BLACK));
    }

    #[test]
    fn a_stage_draws_what_it_is_given() {
        let ctx = Context::on(Backend::Cpu).unwrap();
        let camera = Camera::of_text(UVec2::new(24, 16), 1.0);
        let mut stage = Stage::new(&ctx, &camera).unwrap();
        stage.draw(&[0xFF00_007F, 0xFF00_0020]).unwrap();
        let frame = stage.snapshot(&camera, View::Human).unwrap();
        assert!(frame.chunks(12).step_by(2).all(|left| left.iter().all(|&p| p == u32::MAX)));
        assert!(stage.draw(&[0]).is_err());
    }

    #[test]
    fn the_shader_validates() {
        let source = include_str!("../shaders/present.wgsl");
        let module = naga::front::wgsl::parse_str(source).unwrap();
        let all = naga::valid::Capabilities::all();
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), all)
            .validate(&module)
            .unwrap();
    }

    #[test]
    fn pictures_appear_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        save(&path, UVec2::new(2, 1), &[0xFF00_00FF, 0xFFFF_FFFF]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap()[1..4], *b"PNG");
        let nowhere = folder.path().join("missing/a.png");
        let error = save(&nowhere, UVec2::ONE, &[0]).unwrap_err();
        assert!(error.to_string().contains("missing/a.png"), "{error}");
        assert!(save(folder.path(), UVec2::ONE, &[0]).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
