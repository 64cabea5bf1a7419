//! Draws a text with the glyph ROM and shows the picture in the terminal, two rows of pixels a
//! line.
//!
//! ```text
//! cargo run -p gvpie-core --example glyphs -- 'Hello, world'
//! ```

use gvpie_core::Context;
use gvpie_core::glyph::text::Layout;
use gvpie_core::glyph::{Cell, rom};
use std::error::Error;
use std::process::ExitCode;

fn draw(text: &str) -> Result<(), Box<dyn Error>> {
    // Text becomes machine texels, one a cell.
    let page = Layout::new().page(text)?;
    let ctx = Context::new()?;
    if let Some(notice) = ctx.notice() {
        eprintln!("{notice}");
    }
    let machine = ctx.upload([page.rows, page.columns], &page.texels)?;

    // Machine texels become pixels: packed RGBA8, on the device until they are downloaded.
    let picture = ctx.glyphs(&machine, Cell::C6x8)?;
    let pixels = picture.download()?;

    let width = page.columns * Cell::C6x8.width();
    for pair in pixels.chunks(2 * width) {
        let (upper, lower) = pair.split_at(width);
        let shown =
            upper.iter().zip(lower).map(|(&u, &l)| match (u != rom::BLACK, l != rom::BLACK) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        println!("{}", shown.collect::<String>().trim_end());
    }
    Ok(())
}

fn main() -> ExitCode {
    let text = std::env::args().nth(1).unwrap_or_else(|| "╔═══════╗\n║ gvpie ║\n╚═══════╝".into());
    match draw(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("glyphs: {error}");
            ExitCode::FAILURE
        }
    }
}
