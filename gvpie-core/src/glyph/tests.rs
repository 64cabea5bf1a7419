use super::plan::choose;
use super::proof::{Content, hard_cases, oracle};
use super::*;
use crate::device::Backend;
use std::collections::HashMap;

#[test]
fn the_rom_holds_256_glyphs_that_differ() {
    let mut seen: HashMap<[u8; 7], Vec<usize>> = HashMap::new();
    for (code, glyph) in rom::GLYPHS.iter().enumerate() {
        seen.entry(*glyph).or_default().push(code);
    }
    let mut shared: Vec<_> = seen.into_values().filter(|codes| codes.len() > 1).collect();
    shared.sort();
    assert_eq!(shared, [vec![0x00, 0x20, 0xA0], vec![0x7F, 0x80]]);
    assert_eq!(rom::GLYPHS[0], [0; 7]);
    assert_eq!(rom::GLYPHS[0x7F], [0b11111; 7]);
    assert_eq!(rom::GLYPHS[usize::from(b'L')], [16, 16, 16, 16, 16, 16, 31]);
}

#[test]
fn ink_keeps_inside_the_cell() {
    assert!(rom::GLYPHS.iter().flatten().all(|row| row >> rom::COLUMNS == 0));
    for cell in Cell::ALL {
        let bits = rom::cells(cell);
        assert_eq!(bits.len(), 256);
        for (code, [upper, lower]) in bits.into_iter().enumerate() {
            let bytes = (u64::from(lower) << 32 | u64::from(upper)).to_le_bytes();
            assert!(bytes.iter().all(|row| u32::from(*row) >> cell.width() == 0), "{code:02x}");
            assert!(bytes[cell.height()..].iter().all(|row| *row == 0), "{code:02x}");
        }
    }
}

#[test]
fn characters_and_codes_agree() {
    for c in (0x20..0x7F_u8).chain(0xA0..=0xFF) {
        assert_eq!(rom::code(c.into()), Some(c));
        assert_eq!(rom::character(c), Some(c.into()));
    }
    for code in 0..=255 {
        assert!(rom::character(code).is_none_or(|c| rom::code(c) == Some(code)), "{code:02x}");
    }
    assert_eq!(rom::code('\u{FFFD}'), Some(rom::REPLACEMENT));
    assert_eq!(rom::character(rom::CURSOR), None);
    assert_eq!(rom::code('\n'), None);
}

#[test]
fn the_palette_has_its_defaults_and_its_cube() {
    assert_eq!(rom::PALETTE[0], 0xFFFF_FFFF);
    assert_eq!(rom::PALETTE[0x02], 0xFF5C_56D4); // #d4565c
    assert_eq!(rom::PALETTE[16 + 36 * 5], 0xFF00_00FF); // red
    assert!(rom::PALETTE.iter().all(|colour| colour >> 24 == 255));
}

#[test]
fn box_drawing_joins_its_neighbours() {
    let white = rom::PALETTE[0];
    for cell in Cell::ALL {
        let ink = |c: char, x: usize, y: usize| oracle(Texel::from(c).pack(), x, y, cell) == white;
        assert!((0..cell.width()).all(|x| ink('─', x, 3)), "{cell}");
        let column = (0..cell.width()).find(|&x| ink('│', x, 0)).unwrap();
        assert!((0..cell.height()).all(|y| ink('│', column, y)), "{cell}");
        let all = |y| (0..cell.width()).all(|x| ink('█', x, y));
        assert!((0..cell.height()).all(all), "{cell}");
    }
}

#[test]
fn texels_pack_what_they_hold() {
    for texel in [0, 0xFF00_0041, 0xFFA5_1234, u32::MAX] {
        assert_eq!(Texel::unpack(texel).pack(), texel | 0xFF00_0000);
    }
    assert_eq!(Texel::from('字'), Texel::new(rom::REPLACEMENT));
}

#[test]
fn the_choice_follows_the_width() {
    let chosen = |columns, cell, backend| {
        choose(&Glyphs::new(columns, 9).cell(cell), backend).unwrap().to_string()
    };
    assert_eq!(chosen(128, Cell::C6x8, Backend::Gpu), "quads-6x8");
    assert_eq!(chosen(127, Cell::C6x8, Backend::Gpu), "pixels-6x8");
    assert_eq!(chosen(126, Cell::C5x7, Backend::Gpu), "pixels-5x7");
    assert_eq!(chosen(127, Cell::C8x8, Backend::Gpu), "quads-8x8");
    assert_eq!(chosen(127, Cell::C8x8, Backend::Cpu), "cpu-8x8");
    let vast = choose(&Glyphs::new(1 << 20, 1 << 20), Backend::Gpu);
    assert!(matches!(vast, Err(Error::Limit { .. })));
    let beyond = choose(&Glyphs::new(usize::MAX, 2), Backend::Gpu);
    assert!(matches!(beyond, Err(Error::Limit { asked: u64::MAX, .. })));
    assert_eq!(kernels().len(), 5);
}

#[test]
fn the_host_passes_every_hard_case() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    for case in hard_cases() {
        case.check(&ctx, 7).unwrap_or_else(|error| panic!("{case:?}: {error}"));
    }
    assert!(hard_cases().iter().any(|case| case.content == Content::Coloured));
}

#[test]
fn mistaken_operands_are_named() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    let plan = Glyphs::new(3, 2).plan(&ctx).unwrap();
    let machine = ctx.zeros::<u32>([2, 3]).unwrap();
    let mut picture = ctx.zeros::<u32>([16, 18]).unwrap();
    plan.run(&machine, &mut picture).unwrap();
    let refused = |operand: &str, error: Error| match error {
        Error::Shape { operand: named, .. } => assert_eq!(named, operand),
        other => panic!("{other}"),
    };
    let turned = ctx.zeros::<u32>([3, 2]).unwrap();
    refused("machine", plan.run(&turned, &mut picture).unwrap_err());
    let mut small = ctx.zeros::<u32>([14, 15]).unwrap();
    refused("picture", plan.run(&machine, &mut small).unwrap_err());
    refused("machine", ctx.glyphs(&ctx.zeros([6]).unwrap(), Cell::C6x8).unwrap_err());
    let other = Context::on(Backend::Cpu).unwrap();
    let elsewhere = other.zeros::<u32>([2, 3]).unwrap();
    let error = plan.run(&elsewhere, &mut picture).unwrap_err();
    assert_eq!(error, Error::Foreign { operand: "machine".into() });
    let mut batch = other.batch("elsewhere");
    assert!(plan.record(&mut batch, &machine, &mut picture).is_err());
}

#[test]
fn cells_have_names() {
    for cell in Cell::ALL {
        assert_eq!(cell.to_string().parse::<Cell>().unwrap(), cell);
    }
    assert!("9x9".parse::<Cell>().unwrap_err().to_string().contains("5x7, 6x8 or 8x8"));
}
