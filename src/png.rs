//! PNG pictures of packed RGBA8 pixels, written strip by strip.

use std::io::{self, Write};

/// Writes a picture of this size: `draw` is handed a function that takes the next pixels, row by
/// row, red in the lowest byte.
///
/// # Errors
/// Those of `draw` and of writing; a picture that is not full.
pub fn write<E: From<io::Error>>(
    out: impl Write,
    width: u32,
    height: u32,
    draw: impl FnOnce(&mut dyn FnMut(&[u32]) -> io::Result<()>) -> Result<(), E>,
) -> Result<(), E> {
    let mut encoder = png::Encoder::new(out, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(io::Error::from)?;
    let mut stream = writer.stream_writer().map_err(io::Error::from)?;
    draw(&mut |pixels| {
        // In parts, so that the bytes never take as much memory again as the pixels.
        for part in pixels.chunks(1 << 14) {
            let bytes: Vec<u8> = part.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
            stream.write_all(&bytes)?;
        }
        Ok(())
    })?;
    stream.finish().map_err(io::Error::from)?;
    Ok(writer.finish().map_err(io::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_come_back_and_short_pictures_are_refused() {
        let pixels = [0xFF00_00FF_u32, 0xFF00_FF00, 0xFFFF_0000, 0x8012_3456, 0, 1];
        let mut file = Vec::new();
        write::<io::Error>(&mut file, 3, 2, |add| {
            add(&pixels[..4]).and_then(|()| add(&pixels[4..]))
        })
        .unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(&file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        let expected: Vec<u8> = pixels.iter().flat_map(|p| p.to_le_bytes()).collect();
        assert_eq!(bytes, expected);
        assert!(write::<io::Error>(Vec::new(), 3, 2, |add| add(&pixels[..4])).is_err());
    }
}
