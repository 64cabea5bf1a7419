//! Rows of measurements as text.

use super::bench::Row;

/// Rows as a table, as CSV or as JSON.
pub(super) fn render(rows: &[Row], csv: bool, json: bool) -> String {
    if json {
        return serde_json::json!(rows).to_string() + "\n";
    }
    if csv {
        let mut writer =
            csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        for row in rows {
            // A vector takes all that is written to it.
            let _ = writer.serialize(Row {
                ms_median: round(row.ms_median),
                rate: round(row.rate),
                gbps: round(row.gbps),
                ..row.clone()
            });
        }
        return writer
            .into_inner()
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .unwrap_or_default();
    }
    let mut text = String::new();
    if let Some(row) = rows.first() {
        text += &format!("{}, {}\n", row.adapter, row.driver);
        text += &format!(
            "{:<6} {:<8} {:<8} {:<18} {:>5} {:<22} {:>10} {:>6} {:>10}\n",
            "op", "dtype", "accuracy", "shape", "batch", "path", "ms", "GB/s", "rate"
        );
    }
    for row in rows {
        text += &format!(
            "{:<6} {:<8} {:<8} {:<18} {:>5} {:<22} {:>10.4} {:>6} {:>10} {}\n",
            row.op,
            row.dtype,
            row.accuracy,
            row.shape,
            row.batch,
            row.path,
            row.ms_median,
            figure(row.gbps),
            figure(row.rate),
            row.unit
        );
    }
    text
}

/// Four digits, wherever the point is.
pub(super) fn figure(value: f64) -> String {
    let decimals = (3.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 6.0);
    format!("{value:.*}", decimals as usize)
}

/// To a ten-thousandth, as far as the clock can be trusted.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
