//! Pictures that a person has looked at, and that must not change.
//!
//! `GVPIE_BLESS=1` rewrites them. A test that fails leaves what it drew beside the reference, as
//! `NAME.actual.png`.

use gvpie_core::glyph::text::Layout;
use gvpie_core::glyph::{Cell, Style, Texel};
use gvpie_core::{Backend, Context};
use std::path::PathBuf;

/// So large may a reference be, in bytes.
const LARGEST: usize = 4096;

/// Holds a picture of packed RGBA8 pixels against the reference of this name.
pub fn check(name: &str, width: usize, pixels: &[u32]) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let reference = folder.join(format!("{name}.png"));
    let actual = folder.join(format!("{name}.actual.png"));
    let encoded = encode(width, pixels);
    if std::env::var("GVPIE_BLESS").is_ok_and(|bless| bless == "1") {
        assert!(encoded.len() <= LARGEST, "{name}: {} bytes", encoded.len());
        std::fs::write(&reference, &encoded).unwrap();
    }
    let expected = std::fs::read(&reference)
        .unwrap_or_else(|error| panic!("{name}: {error}; GVPIE_BLESS=1 draws it"));
    if decode(&expected) != (width, pixels.to_vec()) {
        std::fs::write(&actual, &encoded).unwrap();
        panic!("{name} is not as it was: see {}", actual.display());
    }
    let _ = std::fs::remove_file(actual); // of a failure before; mostly there is none
}

/// A picture of at most 256 colours, indexed.
fn encode(width: usize, pixels: &[u32]) -> Vec<u8> {
    let mut colours = pixels.to_vec();
    colours.sort_unstable();
    colours.dedup();
    let index = |pixel: &u32| colours.binary_search(pixel).unwrap() as u8;
    let mut file = Vec::new();
    let height = pixels.len() / width;
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_compression(png::Compression::High);
    encoder.set_palette(
        colours.iter().flat_map(|c| c.to_le_bytes().into_iter().take(3)).collect::<Vec<_>>(),
    );
    let indices: Vec<u8> = pixels.iter().map(index).collect();
    encoder.write_header().unwrap().write_image_data(&indices).unwrap();
    file
}

/// Width and packed RGBA8 pixels of a PNG.
pub fn decode(file: &[u8]) -> (usize, Vec<u32>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let samples = info.color_type.samples();
    let pixel = |p: &[u8]| match samples {
        1 | 2 => u32::from_le_bytes([p[0], p[0], p[0], 255]),
        _ => u32::from_le_bytes([p[0], p[1], p[2], 255]),
    };
    let pixels = bytes[..info.buffer_size()].chunks_exact(samples).map(pixel).collect();
    (info.width as usize, pixels)
}

fn draw(texels: &[u32], columns: usize, cell: Cell) -> Vec<u32> {
    let ctx = Context::on(Backend::Cpu).unwrap();
    let machine = ctx.upload([texels.len() / columns, columns], texels).unwrap();
    ctx.glyphs(&machine, cell).unwrap().download().unwrap()
}

#[test]
fn every_glyph_is_drawn_as_it_was() {
    let sheet: Vec<u32> = (0..=255_u8)
        .map(|code| {
            let paper = if (code ^ code >> 4) & 1 == 0 { 0 } else { 1 };
            Texel { paper, ..Texel::new(code) }.pack()
        })
        .collect();
    for cell in Cell::ALL {
        check(&format!("glyphs-{cell}"), 16 * cell.width(), &draw(&sheet, 16, cell));
    }
}

#[test]
fn every_attribute_is_drawn_as_it_was() {
    let mut texels = Vec::new();
    for flags in 0..8_u8 {
        let style = Style {
            bold: flags & 1 != 0,
            underline: flags & 2 != 0,
            inverse: flags & 4 != 0,
            blink: false,
        };
        let page = Layout::new().columns(16).page("Quartz, Jig: ╔═█").unwrap();
        let dressed = |texel: &u32| {
            let plain = Texel::unpack(*texel);
            Texel { ink: 8 + flags, paper: flags % 4, style, ..plain }.pack()
        };
        texels.extend(page.texels.iter().map(dressed));
    }
    for cell in Cell::ALL {
        check(&format!("styles-{cell}"), 16 * cell.width(), &draw(&texels, 16, cell));
    }
}
