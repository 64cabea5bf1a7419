//! Pictures in terminals: the protocol of kitty or sixels where a terminal is known to have them,
//! else half blocks in 24-bit colours.

use base64::Engine;
use std::fmt::Write;

/// How a terminal shows pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Graphics {
    /// PNGs in escapes, as kitty has defined.
    Kitty,
    /// Six rows of pixels a line, as the VT340 had.
    Sixel,
    /// Two pixels a character.
    HalfBlocks,
}

/// Bytes of base64 in an escape, as kitty's protocol allows.
const PIECE: usize = 4096;

/// Pixels of the longer side to which small pictures are enlarged for terminals that show pixels.
const SHOWN: usize = 512;

/// What a terminal of this environment has; `None` if no colours are wanted, or it has none.
pub fn graphics(variable: impl Fn(&str) -> Option<String>) -> Option<Graphics> {
    if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return None;
    }
    let term = variable("TERM").unwrap_or_default();
    let program = variable("TERM_PROGRAM").unwrap_or_default().to_ascii_lowercase();
    if term.is_empty() || term == "dumb" {
        return None;
    }
    // A multiplexer passes neither on.
    if term.starts_with("screen") || term.starts_with("tmux") {
        return Some(Graphics::HalfBlocks);
    }
    let kitty = term.contains("kitty") || term.contains("ghostty");
    if kitty || matches!(program.as_str(), "ghostty" | "wezterm") {
        return Some(Graphics::Kitty);
    }
    let sixel = ["foot", "mlterm", "sixel", "contour", "yaft"];
    if sixel.iter().any(|name| term.starts_with(name) || term.ends_with(name)) {
        return Some(Graphics::Sixel);
    }
    Some(Graphics::HalfBlocks)
}

/// A picture of packed RGBA8 pixels, red lowest, as what to print, in this many columns at most.
pub fn show(graphics: Graphics, width: usize, pixels: &[u32], columns: usize) -> String {
    if width == 0 || pixels.len() < width {
        return String::new();
    }
    match graphics {
        Graphics::HalfBlocks => {
            // Every n-th pixel of what is too wide.
            let step = width.div_ceil(columns.max(1));
            half_blocks(width, pixels, step)
        }
        Graphics::Kitty => {
            let (width, pixels) = enlarged(width, pixels);
            kitty(width, &pixels)
        }
        Graphics::Sixel => {
            let (width, pixels) = enlarged(width, pixels);
            sixel(width, &pixels)
        }
    }
}

/// A picture as many times as large as makes it well seen.
fn enlarged(width: usize, pixels: &[u32]) -> (usize, Vec<u32>) {
    let height = pixels.len() / width;
    let times = (SHOWN / width.max(height)).max(1);
    let row = |y: usize| pixels[y / times * width..][..width].iter();
    let rows = (0..height * times).flat_map(row);
    (width * times, rows.flat_map(|&pixel| std::iter::repeat_n(pixel, times)).collect())
}

fn half_blocks(width: usize, pixels: &[u32], step: usize) -> String {
    let mut out = String::new();
    let colour = |x: usize, y: usize| {
        let [r, g, b, _] = pixels.get(y * width + x).copied().unwrap_or(0).to_le_bytes();
        format!("{r};{g};{b}")
    };
    let height = pixels.len() / width;
    for y in (0..height).step_by(2 * step) {
        let mut last = String::new();
        for x in (0..width).step_by(step) {
            let colours = match y + step < height {
                true => format!("\x1b[38;2;{};48;2;{}m", colour(x, y), colour(x, y + step)),
                false => format!("\x1b[0;38;2;{}m", colour(x, y)),
            };
            if colours != last {
                out += &colours;
                last = colours;
            }
            out.push('▀');
        }
        out += "\x1b[0m\n";
    }
    out
}

fn kitty(width: usize, pixels: &[u32]) -> String {
    let height = pixels.len() / width;
    let mut file = Vec::new();
    let written =
        crate::png::write::<std::io::Error>(&mut file, width as u32, height as u32, |add| {
            add(&pixels[..width * height])
        });
    if written.is_err() {
        return String::new();
    }
    let text = base64::engine::general_purpose::STANDARD.encode(file);
    let mut out = String::new();
    let mut rest = text.as_str();
    let mut first = "a=T,f=100,";
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(PIECE));
        // Writing to a String cannot fail.
        let _ = write!(out, "\x1b_G{first}m={};{piece}\x1b\\", u8::from(!after.is_empty()));
        (rest, first) = (after, "");
    }
    out + "\n"
}

/// Levels of red, green and blue in sixels: 6³ registers, which all terminals have.
const LEVELS: u32 = 6;

fn sixel(width: usize, pixels: &[u32]) -> String {
    let height = pixels.len() / width;
    let register = |pixel: u32| {
        let level = |shift: u32| ((pixel >> shift & 255) * (LEVELS - 1) + 127) / 255;
        (level(0) * LEVELS + level(8)) * LEVELS + level(16)
    };
    let mut out = format!("\x1bPq\"1;1;{width};{height}");
    for colour in 0..LEVELS.pow(3) {
        let percent = |level: u32| level % LEVELS * 100 / (LEVELS - 1);
        let (r, g) = (percent(colour / LEVELS / LEVELS), percent(colour / LEVELS));
        let _ = write!(out, "#{colour};2;{r};{g};{}", percent(colour));
    }
    for band in pixels[..width * height].chunks(6 * width) {
        let registers: Vec<u32> = band.iter().map(|&pixel| register(pixel)).collect();
        let mut used = registers.clone();
        used.sort_unstable();
        used.dedup();
        for colour in used {
            let _ = write!(out, "#{colour}");
            let column = |x: usize| {
                let rows = registers.iter().skip(x).step_by(width).enumerate();
                let bits: u8 = rows.map(|(row, &r)| u8::from(r == colour) << row).sum();
                char::from(b'?' + bits)
            };
            let mut x = 0;
            while x < width {
                let run = (x..width).take_while(|&next| column(next) == column(x)).count();
                let _ = write!(out, "!{run}{}", column(x));
                x += run;
            }
            out.push('$');
        }
        out.push('-');
    }
    out + "\x1b\\\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_told_apart() {
        let of = |pairs: &[(&str, &str)]| {
            graphics(|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string())
            })
        };
        assert_eq!(of(&[("TERM", "xterm-256color")]), Some(Graphics::HalfBlocks));
        assert_eq!(of(&[("TERM", "xterm-kitty")]), Some(Graphics::Kitty));
        assert_eq!(of(&[("TERM", "xterm"), ("TERM_PROGRAM", "WezTerm")]), Some(Graphics::Kitty));
        let inside = [("TERM", "tmux-256color"), ("TERM_PROGRAM", "ghostty")];
        assert_eq!(of(&inside), Some(Graphics::HalfBlocks));
        assert_eq!(of(&[("TERM", "foot")]), Some(Graphics::Sixel));
        assert_eq!(of(&[("TERM", "dumb")]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("TERM", "xterm"), ("NO_COLOR", "1")]), None);
    }

    #[test]
    fn pictures_are_written_in_each_way() {
        let pixels = [0xff00_00ff, 0xff00_ff00, 0xffff_0000, 0xff00_00ff, 0xff00_ff00, 0xffff_0000];
        let blocks = show(Graphics::HalfBlocks, 2, &pixels, 80);
        let expected = "\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[38;2;0;255;0;48;2;255;0;0m▀\x1b[0m\n\
                        \x1b[0;38;2;0;255;0m▀\x1b[0;38;2;0;0;255m▀\x1b[0m\n";
        assert_eq!(blocks, expected);
        assert_eq!(show(Graphics::HalfBlocks, 6, &pixels, 3).matches('▀').count(), 3);
        let kitty = show(Graphics::Kitty, 2, &pixels, 80);
        assert!(kitty.starts_with("\x1b_Ga=T,f=100,m=") && kitty.ends_with("\x1b\\\n"));
        // Two pixels wide and three high: one band, a column each.
        let sixels = sixel(2, &pixels);
        assert!(sixels.contains("#180!1@!1A$"), "{sixels}");
        assert!(sixels.ends_with("$-\x1b\\\n"));
        for graphics in [Graphics::Kitty, Graphics::Sixel, Graphics::HalfBlocks] {
            assert_eq!(show(graphics, 0, &[], 80), "");
        }
    }
}
