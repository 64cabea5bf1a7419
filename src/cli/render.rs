//! `gvpie render`: a text as a picture.

use super::{Arguments, Failure};
use crate::output::{PendingFile, print};
use clap::Args;
use gvpie_core::glyph::text::{Layout, Rows};
use gvpie_core::glyph::{Cell, GlyphPlan, Glyphs};
use gvpie_core::{Context, Tensor};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Draw a text file as a picture.
///
/// Any UTF-8 file; every character is a cell of the glyph ROM (ASCII, Latin-1, box drawing, blocks,
/// arrows), and one that has no glyph is drawn as a replacement and counted. Long lines wrap. The
/// file is read twice and never held; a picture taller than a texture may be is split into
/// OUT-1.png, OUT-2.png and so on.
#[derive(Debug, Args)]
pub struct Options {
    /// The text
    pub text: PathBuf,
    /// Where to write the picture
    #[arg(short, long, value_name = "OUT.png")]
    pub output: PathBuf,
    /// Pixels of a character cell
    #[arg(long, default_value = "6x8", value_name = "5x7|6x8|8x8")]
    pub cell: Cell,
    /// Cells in a row; the longest line, at most 128, unless said
    #[arg(long, value_name = "N", value_parser = super::at_least_one)]
    pub columns: Option<usize>,
    /// Columns from one tab stop to the next
    #[arg(long, default_value = "4", value_name = "N", value_parser = super::at_least_one)]
    pub tab: usize,
}

/// Pixels that nearly every GPU allows a texture each way; a taller picture is split.
const MOST_PIXELS: usize = 16_384;

/// Pixels drawn at a time: 16 MiB of picture, whatever the length of the text.
const STRIP: usize = 4 << 20;

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], naming the file.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let mut layout = Layout::new().tab(options.tab);
    if let Some(columns) = options.columns {
        layout = layout.columns(columns);
    }
    let unreadable = |source| Failure::Text { path: options.text.clone(), source };
    let extent = layout.measure(open(&options.text)?).map_err(unreadable)?;
    let width = extent.columns.saturating_mul(options.cell.width());
    if width > MOST_PIXELS {
        return Err(Failure::Columns {
            columns: extent.columns,
            cell: options.cell,
            most: MOST_PIXELS / options.cell.width(),
        });
    }
    let ctx = arguments.context()?;
    let rows_each = (MOST_PIXELS / options.cell.height()) as u64;
    let parts = extent.rows.div_ceil(rows_each);
    let bar = super::progress(extent.rows).with_message("rows");

    let mut rows = layout.columns(extent.columns).rows(open(&options.text)?).map_err(unreadable)?;
    let mut files = Vec::new();
    for part in 0..parts {
        let path = numbered(&options.output, part, parts);
        let count = rows_each.min(extent.rows - part * rows_each) as usize;
        let mut file = PendingFile::create(&path)
            .map_err(|source| Failure::Output { path: path.clone(), source })?;
        let picture = Picture { ctx: &ctx, cell: options.cell, columns: extent.columns };
        picture.draw(options, &mut rows, count, &mut file, &bar).map_err(|fault| match fault {
            Failure::Stdout(source) => Failure::Output { path: path.clone(), source },
            other => other,
        })?;
        file.finish().map_err(|source| Failure::Output { path: path.clone(), source })?;
        files.push(path);
    }
    bar.finish_and_clear();
    if rows.read_row(&mut Vec::new()).map_err(unreadable)? {
        return Err(Failure::Changed(options.text.clone()));
    }
    report(arguments, options, &files, width, &extent)
}

fn report(
    arguments: &Arguments,
    options: &Options,
    files: &[PathBuf],
    width: usize,
    extent: &gvpie_core::glyph::text::Extent,
) -> Result<(), Failure> {
    if extent.unknown > 0 {
        let unknown = extent.unknown;
        eprintln!("gvpie: {unknown} characters have no glyph and are drawn as a replacement");
    }
    let height = extent.rows * options.cell.height() as u64;
    if files.len() > 1 {
        let count = files.len();
        eprintln!(
            "gvpie: {width}x{height} pixels are more than a texture holds; split into {count} files"
        );
    }
    if arguments.json {
        let report = serde_json::json!({
            "op": "render",
            "files": files,
            "width": width,
            "height": height,
            "columns": extent.columns,
            "rows": extent.rows,
            "unknown": extent.unknown,
        });
        return Ok(print(&format!("{report}\n"))?);
    }
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let (columns, rows) = (extent.columns, extent.rows);
    let shown = match &names[..] {
        [first, .., last] if names.len() > 2 => format!("{first} … {last}"),
        all => all.join(", "),
    };
    Ok(print(&format!(
        "{shown}: {width}x{height} pixels, {columns}x{rows} cells of {}\n",
        options.cell
    ))?)
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let fault = |source| Failure::Input { path: path.into(), source };
    let file = File::open(path).map_err(fault)?;
    if file.metadata().map_err(fault)?.is_dir() {
        return Err(fault(std::io::ErrorKind::IsADirectory.into()));
    }
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// `OUT.png`, or of several `OUT-1.png`, with as many digits as the last one has.
fn numbered(output: &Path, part: u64, parts: u64) -> PathBuf {
    if parts == 1 {
        return output.into();
    }
    let digits = parts.to_string().len();
    let stem = output.file_stem().unwrap_or_default().to_string_lossy();
    let suffix =
        output.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    output.with_file_name(format!("{stem}-{:0digits$}{suffix}", part + 1))
}

/// One picture, drawn strip by strip.
struct Picture<'a> {
    ctx: &'a Context,
    cell: Cell,
    columns: usize,
}

/// A plan for strips of one height, with the tensors it works on.
struct Strip {
    plan: GlyphPlan,
    machine: Tensor<u32>,
    picture: Tensor<u32>,
}

impl Strip {
    fn new(ctx: &Context, problem: Glyphs) -> gvpie_core::Result<Self> {
        Ok(Strip {
            plan: problem.plan(ctx)?,
            machine: ctx.zeros(problem.machine_shape())?,
            picture: ctx.zeros(problem.picture_shape())?,
        })
    }

    fn pixels(&mut self, texels: &[u32]) -> gvpie_core::Result<Vec<u32>> {
        self.machine.write(texels)?;
        self.plan.run(&self.machine, &mut self.picture)?;
        self.picture.download()
    }
}

impl Picture<'_> {
    /// Draws `count` rows of cells into a PNG file.
    fn draw<R: BufRead>(
        &self,
        options: &Options,
        rows: &mut Rows<R>,
        count: usize,
        file: &mut PendingFile,
        bar: &indicatif::ProgressBar,
    ) -> Result<(), Failure> {
        let size = |cells: usize, pixels: usize| (cells * pixels) as u32; // at most 16,384
        let (width, height) =
            (size(self.columns, self.cell.width()), size(count, self.cell.height()));
        let each =
            (STRIP / (self.columns * self.cell.width() * self.cell.height())).clamp(1, count);
        let unreadable = |source| Failure::Text { path: options.text.clone(), source };
        crate::png::write(file, width, height, |add| {
            let mut strip: Option<(usize, Strip)> = None;
            let (mut texels, mut row) = (Vec::new(), Vec::new());
            for first in (0..count).step_by(each) {
                let height = each.min(count - first);
                texels.clear();
                for _ in 0..height {
                    if !rows.read_row(&mut row).map_err(unreadable)? {
                        return Err(Failure::Changed(options.text.clone()));
                    }
                    texels.extend_from_slice(&row);
                }
                let current = match strip.take() {
                    Some((made, current)) if made == height => current,
                    _ => Strip::new(self.ctx, Glyphs::new(self.columns, height).cell(self.cell))?,
                };
                let (_, current) = strip.insert((height, current));
                add(&current.pixels(&texels)?)?;
                bar.inc(height as u64);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_numbered_with_equal_digits() {
        let name = |part, parts| numbered(Path::new("a/out.png"), part, parts);
        assert_eq!(name(0, 1), Path::new("a/out.png"));
        assert_eq!(name(0, 9), Path::new("a/out-1.png"));
        assert_eq!(name(8, 10), Path::new("a/out-09.png"));
        assert_eq!(numbered(Path::new("out"), 1, 2), Path::new("out-2"));
    }
}
