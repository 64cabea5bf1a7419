//! From a screen of texels to a frame of pixels: the expansion, the camera, and the frame itself
//! on the host, as `present.wgsl` draws it on the GPU.

use crate::Failure;
use glam::{UVec2, Vec2};
use gvpie_core::glyph::{Cell, GlyphPlan, Glyphs, rom};
use gvpie_core::{Context, Result, Tensor};
use std::io::Write;
use std::path::Path;

/// Pixels of a cell before magnification.
pub const CELL: UVec2 = UVec2::new(6, 8);

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
/// Frame pixel p shows pixel ⌊(p − origin) / zoom⌋ of the picture, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Camera {
    /// Pixels of the frame.
    pub frame: UVec2,
    /// Frame pixels left of and above the picture.
    pub origin: UVec2,
    /// Columns and rows of the machine texture: as many cells as fit, at least one.
    pub grid: UVec2,
    /// Frame pixels a picture's pixel covers, each way.
    pub zoom: u32,
}

impl Camera {
    /// For a frame of this many pixels on a display of this scale factor.
    pub fn new(frame: UVec2, scale_factor: f64) -> Self {
        let zoom = (ZOOM * scale_factor).round().clamp(1.0, 64.0) as u32;
        let cell = CELL * zoom;
        let grid = (frame / cell).max(UVec2::ONE);
        let origin = frame.saturating_sub(grid * cell) / 2;
        Camera { frame, origin, grid, zoom }
    }

    /// Rows of cells that a distance of so many frame pixels is.
    pub fn rows_in(&self, distance: Vec2) -> f32 {
        distance.y / (CELL.y * self.zoom) as f32
    }

    /// The frame: packed RGBA8, from a machine texture and its picture.
    pub fn compose(&self, view: View, machine: &[u32], picture: &[u32]) -> Vec<u32> {
        let size = self.grid * CELL;
        let pixel = |p: UVec2| {
            // Left of and above the picture the difference wraps to beyond its other edges.
            let at = p.wrapping_sub(self.origin) / self.zoom;
            if at.cmpge(size).any() {
                return rom::BLACK;
            }
            let cell = at / CELL;
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
    plan: GlyphPlan,
    grid: UVec2,
    /// rows × columns texels.
    pub machine: Tensor<u32>,
    /// What they expand to.
    pub picture: Tensor<u32>,
}

impl Stage {
    /// For a machine texture of this many columns and rows.
    pub fn new(ctx: &Context, grid: UVec2) -> Result<Self> {
        let problem = Glyphs::new(grid.x as usize, grid.y as usize).cell(Cell::C6x8);
        Ok(Stage {
            plan: problem.plan(ctx)?,
            grid,
            machine: ctx.zeros(problem.machine_shape())?,
            picture: ctx.zeros(problem.picture_shape())?,
        })
    }

    /// Columns and rows.
    pub fn grid(&self) -> UVec2 {
        self.grid
    }

    /// Draws a screen of as many texels.
    pub fn draw(&mut self, screen: &[u32]) -> Result<()> {
        self.machine.write(screen)?;
        self.plan.run(&self.machine, &mut self.picture)
    }

    /// The frame as it stands; waits for the device.
    pub fn snapshot(&self, camera: &Camera, view: View) -> Result<Vec<u32>> {
        Ok(camera.compose(view, &self.machine.download()?, &self.picture.download()?))
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
        let camera = Camera::new(UVec2::new(963, 517), 1.0);
        assert_eq!((camera.grid, camera.zoom), (UVec2::new(80, 32), 2));
        assert_eq!(camera.origin, UVec2::new(1, 2));
        let fine = Camera::new(UVec2::new(1920, 1024), 2.0);
        assert_eq!((fine.grid, fine.zoom), (UVec2::new(80, 32), 4));
        assert_eq!(Camera::new(UVec2::new(960, 512), 1.25).zoom, 3);
        let tiny = Camera::new(UVec2::new(5, 3), 1.0);
        assert_eq!((tiny.grid, tiny.origin), (UVec2::ONE, UVec2::ZERO));
        assert_eq!(camera.rows_in(Vec2::new(0.0, 32.0)), 2.0);
    }

    #[test]
    fn frames_are_black_around_the_picture() {
        let camera = Camera::new(UVec2::new(17, 21), 1.0);
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
        let mut stage = Stage::new(&ctx, UVec2::new(2, 1)).unwrap();
        stage.draw(&[0xFF00_007F, 0xFF00_0020]).unwrap();
        let camera = Camera::new(UVec2::new(24, 16), 1.0);
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
        assert!(source.contains(&format!("CELL = vec2<u32>({}u, {}u)", CELL.x, CELL.y)));
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
