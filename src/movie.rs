//! Moving pictures of bodies: their mass over the plane of x and y, seen along z.

use crate::output::PendingFile;
use crate::png;
use std::io;
use std::path::{Path, PathBuf};

/// Pixels each way.
pub const SIZE: usize = 512;

/// From the darkest colour to the lightest, in tenfolds of mass over area.
const DECADES: f32 = 3.5;

/// Hundredths of a second that a frame is shown: 25 a second.
const DELAY: u16 = 4;

/// A density is averaged about so many bodies' worth of pixels, so that few look like a fluid too.
const BODIES_A_SPOT: f64 = 0.7;

/// What is seen: a square, and how light which density is. It stays as the first frame needs it.
#[derive(Debug, Clone, PartialEq)]
struct View {
    centre: [f64; 2],
    half: f64,
    /// Pixels that a body is spread over, each way from its own; three times in a row.
    blur: usize,
    /// The density that is drawn lightest.
    top: f32,
}

impl View {
    /// The view that holds nearly all of the mass, with as much again around it.
    fn new(positions: &[[f32; 4]]) -> Self {
        let mass: f64 = positions.iter().map(|x| f64::from(x[3])).sum();
        let mean = |axis: usize| {
            let sum: f64 = positions.iter().map(|x| f64::from(x[3] * x[axis])).sum();
            if mass > 0.0 { sum / mass } else { 0.0 }
        };
        let centre = [mean(0), mean(1)];
        let reach = |x: &[f32; 4]| {
            let away = |axis: usize| (f64::from(x[axis]) - centre[axis]).abs();
            away(0).max(away(1))
        };
        let mut reaches: Vec<f64> = positions.iter().map(reach).collect();
        reaches.sort_unstable_by(f64::total_cmp);
        let most = reaches.get(reaches.len() * 97 / 100).copied().unwrap_or(0.0);
        let half = if most > 0.0 { 1.35 * most } else { 1.0 };
        let spot = BODIES_A_SPOT * (SIZE * SIZE) as f64 / positions.len().max(1) as f64;
        let blur = (spot.sqrt() / 2.0).round().clamp(0.0, 6.0) as usize;
        let mut view = View { centre, half, blur, top: 1.0 };
        let mut densities = view.densities(positions);
        densities.sort_unstable_by(f32::total_cmp);
        // A few pixels may be lighter than the lightest colour; a centre is not all there is to see.
        let light = densities[densities.len() - densities.len() / 2000 - 1];
        let brightest = densities[densities.len() - 1];
        view.top = if light > 0.0 { light } else { brightest.max(f32::MIN_POSITIVE) };
        view
    }

    /// Mass of each pixel, the highest y first.
    fn densities(&self, positions: &[[f32; 4]]) -> Vec<f32> {
        let mut grid = vec![0.0_f32; SIZE * SIZE];
        let scale = SIZE as f64 / (2.0 * self.half);
        for x in positions {
            // Shared among the four nearest pixels, so that motion is smooth.
            let across = (f64::from(x[0]) - self.centre[0] + self.half) * scale - 0.5;
            let down = (self.centre[1] + self.half - f64::from(x[1])) * scale - 0.5;
            let (column, row) = (across.floor(), down.floor());
            let (right, lower) = ((across - column) as f32, (down - row) as f32);
            for (i, j, part) in [
                (0.0, 0.0, (1.0 - right) * (1.0 - lower)),
                (1.0, 0.0, right * (1.0 - lower)),
                (0.0, 1.0, (1.0 - right) * lower),
                (1.0, 1.0, right * lower),
            ] {
                let inside = 0.0..SIZE as f64;
                if inside.contains(&(column + i)) && inside.contains(&(row + j)) {
                    grid[(row + j) as usize * SIZE + (column + i) as usize] += part * x[3];
                }
            }
        }
        // Three averages over a box are nearly a Gaussian.
        for _ in 0..if self.blur > 0 { 3 } else { 0 } {
            grid.chunks_exact_mut(SIZE).for_each(|row| average(row, self.blur));
            let mut column = vec![0.0; SIZE];
            for x in 0..SIZE {
                (0..SIZE).for_each(|y| column[y] = grid[y * SIZE + x]);
                average(&mut column, self.blur);
                (0..SIZE).for_each(|y| grid[y * SIZE + x] = column[y]);
            }
        }
        grid
    }

    /// Colours by number, 0 where there is nothing to 255.
    fn shades(&self, positions: &[[f32; 4]]) -> Vec<u8> {
        let shade = |density: f32| {
            let level = 1.0 + (density / self.top).log10() / DECADES;
            (level.clamp(0.0, 1.0) * 255.0) as u8 // of nothing −∞, which is 0
        };
        self.densities(positions).into_iter().map(shade).collect()
    }
}

/// Each element becomes the mean of those up to `reach` away; beyond the ends there is nothing.
fn average(line: &mut [f32], reach: usize) {
    let old = line.to_vec();
    let share = 1.0 / (2 * reach + 1) as f64;
    let mut sum: f64 = old[..reach].iter().map(|&x| f64::from(x)).sum();
    for (i, element) in line.iter_mut().enumerate() {
        sum += old.get(i + reach).map_or(0.0, |&x| f64::from(x));
        sum -= i.checked_sub(reach + 1).map_or(0.0, |left| f64::from(old[left]));
        *element = (sum * share).max(0.0) as f32;
    }
}

/// The colours: black through violet and orange to light yellow, each lighter than the last.
fn palette() -> [[u8; 3]; 256] {
    std::array::from_fn(|step| {
        let colour = colorous::INFERNO.eval_rational(step, 256);
        [colour.r, colour.g, colour.b]
    })
}

/// A movie that is being made.
#[derive(Debug)]
pub struct Movie {
    kind: Kind,
    view: Option<View>,
    frames: usize,
}

enum Kind {
    Gif(Box<gif::Encoder<PendingFile>>),
    Folder(PathBuf),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Gif(_) => f.write_str("Gif"),
            Kind::Folder(path) => write!(f, "Folder({})", path.display()),
        }
    }
}

/// Whether a path is that of an animation, and not of a folder of pictures.
pub fn is_gif(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gif"))
}

impl Movie {
    /// Begins a GIF, or a folder of pictures.
    ///
    /// # Errors
    /// Those of creating them.
    pub fn create(path: &Path) -> io::Result<Self> {
        let kind = if is_gif(path) {
            let (file, size) = (PendingFile::create(path)?, SIZE as u16);
            let mut encoder = gif::Encoder::new(file, size, size, palette().as_flattened())
                .map_err(io::Error::other)?;
            encoder.set_repeat(gif::Repeat::Infinite).map_err(io::Error::other)?;
            Kind::Gif(Box::new(encoder))
        } else {
            std::fs::create_dir_all(path)?;
            Kind::Folder(path.into())
        };
        Ok(Movie { kind, view: None, frames: 0 })
    }

    /// Adds the picture of bodies (rows x, y, z, m) after so many steps.
    ///
    /// # Errors
    /// Those of writing.
    pub fn add(&mut self, positions: &[[f32; 4]], step: u64) -> io::Result<()> {
        let view = self.view.get_or_insert_with(|| View::new(positions));
        let shades = view.shades(positions);
        self.frames += 1;
        match &mut self.kind {
            Kind::Gif(encoder) => {
                let size = SIZE as u16;
                let frame = gif::Frame {
                    delay: DELAY,
                    ..gif::Frame::from_indexed_pixels(size, size, shades, None)
                };
                encoder.write_frame(&frame).map_err(io::Error::other)
            }
            Kind::Folder(folder) => {
                let mut file = PendingFile::create(&folder.join(format!("{step:08}.png")))?;
                let colours = palette().map(|[r, g, b]| u32::from_le_bytes([r, g, b, 255]));
                let pixels: Vec<u32> =
                    shades.into_iter().map(|shade| colours[usize::from(shade)]).collect();
                png::write::<io::Error>(&mut file, SIZE as u32, SIZE as u32, |add| add(&pixels))?;
                file.finish()
            }
        }
    }

    /// Gives the GIF its name; how many pictures there are.
    ///
    /// # Errors
    /// Those of writing the rest.
    pub fn finish(self) -> io::Result<usize> {
        if let Kind::Gif(encoder) = self.kind {
            encoder.into_inner().map_err(io::Error::other)?.finish()?;
        }
        Ok(self.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_drawn_where_they_are() {
        let one = |x: f32, y: f32| [x, y, 0.0, 1.0];
        let mut positions = vec![one(0.0, 0.0); 500];
        positions.extend(vec![one(1.0, 0.0); 100]);
        positions.extend(vec![one(0.0, 1.0); 100]);
        let view = View::new(&positions);
        let mass: f32 = view.densities(&positions).iter().sum();
        assert!((mass - 700.0).abs() < 0.1, "{mass}");
        let shades = view.shades(&positions);
        let scale = SIZE as f64 / (2.0 * view.half);
        let at = |x: f64, y: f64| {
            let column = (x - view.centre[0] + view.half) * scale;
            let row = (view.centre[1] + view.half - y) * scale;
            shades[row as usize * SIZE + column as usize]
        };
        assert_eq!(at(0.0, 0.0), 255);
        assert!(at(1.0, 0.0) > 150 && at(0.0, 1.0) > 150);
        assert_eq!((at(1.0, 1.0), at(-0.5, 0.0)), (0, 0));
    }

    #[test]
    fn averages_keep_their_sum() {
        let mut line = vec![0.0_f32; 32];
        line[10] = 7.0;
        average(&mut line, 3);
        assert!((line.iter().sum::<f32>() - 7.0).abs() < 1e-6);
        assert!(line[7..=13].iter().all(|x| (x - 1.0).abs() < 1e-6) && line[6] == 0.0);
    }

    #[test]
    fn no_bodies_and_one_have_a_picture() {
        for positions in [&[][..], &[[3.0, 4.0, 5.0, 0.0]]] {
            let shades = View::new(positions).shades(positions);
            assert!(shades.iter().all(|&shade| shade == 0));
        }
        let one = [[3.0, 4.0, 5.0, 2.0]];
        assert!(View::new(&one).shades(&one).contains(&255));
    }
}
