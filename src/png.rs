//! PNG pictures of packed RGBA8 pixels, red lowest: written strip by strip, and read.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

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

/// Width, height and pixels of a picture of any kind, of so many pixels at most.
///
/// # Errors
/// Those of reading; [`io::ErrorKind::InvalidData`] for what is no PNG or too large.
pub fn read(path: &Path, most: usize) -> io::Result<([usize; 2], Vec<u32>)> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let mut decoder = png::Decoder::new(BufReader::new(File::open(path)?));
    // So that every picture has 8 bits a sample and at most four samples a pixel.
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let unread = |error: png::DecodingError| invalid(format!("this PNG cannot be read: {error}"));
    let info = decoder.read_header_info().map_err(unread)?;
    let (width, height) = (info.width as usize, info.height as usize);
    if width.checked_mul(height).is_none_or(|pixels| pixels > most) {
        return Err(invalid(format!("{width} x {height} pixels, {most} at most")));
    }
    let mut reader = decoder.read_info().map_err(unread)?;
    let size = reader.output_buffer_size().ok_or_else(|| invalid("too large".into()))?;
    let mut bytes = vec![0; size];
    let samples = reader.next_frame(&mut bytes).map_err(unread)?.color_type.samples();
    let pixel = |p: &[u8]| match *p {
        [grey] | [grey, _] => [grey, grey, grey, 255],
        _ => [p[0], p[1], p[2], 255],
    };
    let pixels = bytes.chunks_exact(samples).map(|p| u32::from_le_bytes(pixel(p))).collect();
    Ok(([width, height], pixels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_read_within_a_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = png::Encoder::new(file.as_file(), 2, 1);
        encoder.set_color(png::ColorType::GrayscaleAlpha);
        encoder.set_depth(png::BitDepth::Sixteen);
        let bytes = [7, 0, 0, 0, 9, 0, 255, 255];
        encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
        let pixels = vec![0xff07_0707, 0xff09_0909];
        assert_eq!(read(file.path(), 2).unwrap(), ([2, 1], pixels));
        assert_eq!(read(file.path(), 1).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

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
