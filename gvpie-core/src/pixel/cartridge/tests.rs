//! Every rule of the loader, broken; and files that are nearly right.

use super::*;
use crate::pixel::{Diagnostic, assemble};
use png::text_metadata::ITXtChunk;

fn sample() -> Cartridge {
    let source = ".meta id sample\n.meta name A sample\n.meta parents one two\n.seed 7\n\
                  .canvas 200 100\nTXT 1 2 Hello\n.data 9 8 7\n";
    let program =
        assemble(source).map_err(|faults: Vec<Diagnostic>| faults[0].to_string()).unwrap();
    let source = Some(source.to_string());
    Cartridge { source, max_cycles: 1 << 40, ..Cartridge::new(program) }
}

/// The pixels of a file as bytes.
fn picture(file: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut bytes).unwrap();
    bytes
}

/// A file of these pixels and chunks.
fn file(bytes: &[u8], chunks: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, WIDTH, (bytes.len() / 4) as u32 / WIDTH);
    encoder.set_color(png::ColorType::Rgba);
    for (keyword, text) in chunks {
        encoder.add_itxt_chunk((*keyword).into(), (*text).into()).unwrap();
    }
    encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    out
}

/// The sample with one byte of a row changed, three a pixel.
fn changed(row: usize, byte: usize, value: u8) -> CartridgeError {
    let mut bytes = picture(&sample().encode().unwrap());
    bytes[4 * (WIDTH as usize * row + byte / 3) + byte % 3] = value;
    Cartridge::decode(&file(&bytes, &[])).unwrap_err()
}

/// The sample with fields of its header changed, and a hash that fits them.
fn rehashed(change: impl FnOnce(&mut Vec<u8>)) -> Result<Cartridge, CartridgeError> {
    use sha2::{Digest, Sha256};
    let mut bytes = picture(&sample().encode().unwrap());
    let pixels = bytes.split_off(4 * LABEL[0] * LABEL[1]);
    let mut body: Vec<u8> = pixels.chunks(4).flat_map(|pixel| pixel[..3].to_vec()).collect();
    change(&mut body);
    body[40..72].fill(0);
    let hash = Sha256::new()
        .chain_update(&body[..ROW_BYTES])
        .chain_update(&body[ROW_BYTES..ROW_BYTES + 12])
        .chain_update(&body[2 * ROW_BYTES..2 * ROW_BYTES + 8])
        .finalize();
    body[40..72].copy_from_slice(&hash);
    bytes.extend(body.chunks(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]));
    Cartridge::decode(&file(&bytes, &[]))
}

#[test]
fn cartridges_come_back() {
    let cartridge = sample();
    let encoded = cartridge.encode().unwrap();
    assert_eq!(Cartridge::decode(&encoded).as_ref(), Ok(&cartridge));
    let bare = Cartridge::new(Program::default());
    assert_eq!(Cartridge::decode(&bare.encode().unwrap()), Ok(bare));
    // The largest there is.
    let random = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as u8;
    let full = Program {
        code: (0..4096).map(|i| [0, 1, 2, 3, 4, 5].map(|j| random(6 * i + j))).collect(),
        data: (0..16384).map(random).collect(),
        mode: Mode::Total,
        canvas: [1024, 1],
        ..Program::default()
    };
    let full = Cartridge { source: Some("é".repeat(MAX_SOURCE / 2)), ..Cartridge::new(full) };
    assert_eq!(Cartridge::decode(&full.encode().unwrap()), Ok(full));
}

#[test]
fn stripped_chunks_do_no_harm() {
    let cartridge = sample();
    let stripped = Cartridge::decode(&file(&picture(&cartridge.encode().unwrap()), &[])).unwrap();
    let program = Program { meta: Vec::new(), ..cartridge.program.clone() };
    let expected = Cartridge { program, meta: Meta::default(), source: None, ..cartridge.clone() };
    assert_eq!(stripped, expected);
    assert_eq!(stripped.hash(), cartridge.hash());
}

#[test]
fn pictures_of_other_kinds_are_refused() {
    let refused = |width: u32, height: u32, color, depth, animated: bool| {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if animated {
            encoder.set_animated(1, 0).unwrap();
        }
        let bytes = width * height * color.samples() as u32 * depth as u32 / 8;
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&vec![255; bytes as usize]).unwrap();
        writer.finish().unwrap();
        Cartridge::decode(&out).unwrap_err()
    };
    use png::{BitDepth::Eight, BitDepth::Sixteen, ColorType::Rgb, ColorType::Rgba};
    for (width, height, color, depth, animated, place) in [
        (127, 66, Rgba, Eight, false, "width"),
        (128, 65, Rgba, Eight, false, "height"),
        (128, 513, Rgba, Eight, false, "height"),
        (128, 66, Rgb, Eight, false, "pixels"),
        (128, 66, Rgba, Sixteen, false, "pixels"),
        (128, 66, Rgba, Eight, true, "pictures"),
    ] {
        match refused(width, height, color, depth, animated) {
            CartridgeError::Picture { what, .. } => assert_eq!(what, place),
            other => panic!("{other}"),
        }
    }
    // Interlaced: the flag of the header chunk, and its check sum.
    let mut interlaced = sample().encode().unwrap();
    interlaced[28] = 1;
    let sum = crc32fast::hash(&interlaced[12..29]).to_be_bytes();
    interlaced[29..33].copy_from_slice(&sum);
    let error = Cartridge::decode(&interlaced).unwrap_err();
    assert!(matches!(error, CartridgeError::Picture { what: "order of pixels", .. }), "{error}");
}

#[test]
fn files_that_are_no_whole_png_are_refused() {
    let encoded = sample().encode().unwrap();
    assert_eq!(
        Cartridge::decode(&vec![0; MAX_FILE + 1]),
        Err(CartridgeError::Large { bytes: MAX_FILE + 1 })
    );
    for part in [&b""[..], b"GIF89a", &encoded[..8], &encoded[..33], &encoded[..encoded.len() - 20]]
    {
        assert!(matches!(Cartridge::decode(part), Err(CartridgeError::Png { .. })));
    }
}

#[test]
fn pixels_that_are_wrong_are_named() {
    let mut bytes = picture(&sample().encode().unwrap());
    bytes[4 * (128 * 70 / 2 + 3) + 3] = 254;
    let error = Cartridge::decode(&file(&bytes, &[])).unwrap_err();
    assert_eq!(error, CartridgeError::Alpha { x: 3, y: 35, alpha: 254 });
    for (byte, value, named) in [
        (0, 0, "magic"),
        (8, 2, "version"),
        (10, 2, "flags"),
        (11, 1, "flags"),
        (14, 1, "instructions"),
        (18, 1, "bytes of data"),
        (22, 1, "width of the canvas"),
        (26, 1, "height of the canvas"),
        (72, 1, "bytes 72 to 383"),
        (383, 1, "bytes 72 to 383"),
    ] {
        match changed(64, byte, value) {
            CartridgeError::Header { field, .. } => assert_eq!(field, named),
            other => panic!("{named}: {other}"),
        }
    }
    // 2 instructions and 8 bytes of data.
    assert_eq!(changed(65, 12, 1), CartridgeError::Padding { x: 4, y: 65, part: "code" });
    assert_eq!(changed(65, 383, 1), CartridgeError::Padding { x: 127, y: 65, part: "code" });
    assert_eq!(changed(66, 8, 1), CartridgeError::Padding { x: 2, y: 66, part: "data" });
    // The seed, the limit, the hash itself, code and data are what is hashed.
    for (row, byte) in [(64, 28), (64, 32), (64, 40), (64, 71), (65, 1), (66, 0)] {
        assert!(matches!(changed(row, byte, 99), CartridgeError::Hash { .. }), "{row} {byte}");
    }
}

#[test]
fn what_a_right_hash_cannot_excuse() {
    let width = |bytes: &mut Vec<u8>| bytes[20..24].fill(0);
    let error = rehashed(width).unwrap_err();
    assert!(
        matches!(error, CartridgeError::Header { field: "width of the canvas", .. }),
        "{error}"
    );
    let unknown = |bytes: &mut Vec<u8>| bytes[ROW_BYTES + 6] = 0xfe;
    let error = CartridgeError::Operation { instruction: 1, x: 2, y: 65, code: 0xfe };
    assert_eq!(rehashed(unknown), Err(error));
    let total = rehashed(|bytes| {
        bytes[10] = 1;
        bytes[ROW_BYTES + 6] = 0xfe;
    });
    assert_eq!(total.unwrap().program.mode, Mode::Total);
    let rows = |bytes: &mut Vec<u8>| bytes[12..14].copy_from_slice(&[65, 0]);
    let error = rehashed(rows).unwrap_err();
    assert!(matches!(error, CartridgeError::Picture { what: "height", .. }), "{error}");
}

#[test]
fn chunks_are_bounded_and_checked() {
    let pixels = picture(&sample().encode().unwrap());
    let long = "x".repeat(MAX_SOURCE + 1);
    for (chunks, keyword) in [
        (&[(SOURCE, &long[..])][..], SOURCE),
        (&[(META, &long[..MAX_META + 1])], META),
        (&[(META, "{")], META),
        (&[(META, "{\"name\": 1}")], META),
        (&[(META, "[]")], META),
        (&[(SOURCE, "a"), (SOURCE, "a")], SOURCE),
    ] {
        match Cartridge::decode(&file(&pixels, chunks)) {
            Err(CartridgeError::Chunk { keyword: found, .. }) => assert_eq!(found, keyword),
            other => panic!("{other:?}"),
        }
    }
    let chunks = [("other", &long[..]), (META, "{\"id\": \"a\", \"later\": [1]}")];
    assert_eq!(Cartridge::decode(&file(&pixels, &chunks)).unwrap().meta.id.as_deref(), Some("a"));
    for (json, field) in [("{\"id\": \"\"}", "id"), ("{\"parents\": [\"a\", \"B\"]}", "parents")] {
        match Cartridge::decode(&file(&pixels, &[(META, json)])) {
            Err(CartridgeError::Id { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{other:?}"),
        }
    }
    // A few compressed bytes that would become many.
    let mut bomb = ITXtChunk::new(SOURCE, "x".repeat(50 << 20));
    bomb.compressed = true;
    bomb.compress_text().unwrap();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, WIDTH, pixels.len() as u32 / 4 / WIDTH);
    encoder.set_color(png::ColorType::Rgba);
    let mut writer = encoder.write_header().unwrap();
    writer.write_text_chunk(&bomb).unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    let error = Cartridge::decode(&out).unwrap_err();
    assert!(matches!(error, CartridgeError::Chunk { keyword: SOURCE, .. }), "{error}");
}

#[test]
fn what_cannot_be_read_is_not_written() {
    let with = |change: &dyn Fn(&mut Cartridge)| {
        let mut cartridge = sample();
        change(&mut cartridge);
        cartridge.encode().unwrap_err().to_string()
    };
    for (said, word) in [
        (with(&|c| c.program.code = vec![[0; 6]; 4097]), "instructions"),
        (with(&|c| c.program.code[0][0] = 0xfe), "instruction 0"),
        (with(&|c| c.label.truncate(9)), "label"),
        (with(&|c| c.source = Some("x".repeat(MAX_SOURCE + 1))), "source"),
        (with(&|c| c.meta.id = Some("A b".into())), "id"),
        (with(&|c| c.meta.name = "x".repeat(MAX_META)), META),
    ] {
        assert!(said.contains(word), "{said}");
    }
    for (id, right) in [("a", true), ("0_-z", true), ("-a", false), ("", false), ("é", false)] {
        assert_eq!(is_id(id), right, "{id}");
    }
    assert!(is_id(&"a".repeat(64)) && !is_id(&"a".repeat(65)));
}

#[test]
fn labels_are_as_large_as_fits() {
    let square = art([2, 2], &[1, 2, 3, 4]);
    assert_eq!(
        (square[31], square[32], square[95], square[96]),
        (BLANK, BLANK | 1, BLANK | 2, BLANK)
    );
    let thin = art([1024, 1], &[7; 1024]);
    assert_eq!(thin.iter().filter(|&&pixel| pixel == BLANK | 7).count(), 128);
    for (size, count) in [([0, 0], 0), ([2, 2], 3), ([usize::MAX, 2], 5)] {
        assert!(art(size, &vec![9; count]).iter().all(|&pixel| pixel == BLANK));
    }
    assert_ne!(title("A", &Program::default()), title("B", &Program::default()));
}

const BLANK: u32 = 0xff00_0000;
