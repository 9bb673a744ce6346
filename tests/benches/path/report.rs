//! What is printed, and what of it is kept in the repository.

use std::fs;
use std::path::PathBuf;

use comfy_table::{ContentArrangement, Table, presets};
use tests::cargo::root;

/// Everything that was measured so far.
pub(crate) struct Report {
    text: String,
    plots: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn new() -> Report {
        let processors = std::thread::available_parallelism().unwrap();
        let mut report = Report {
            text: String::new(),
            plots: Vec::new(),
        };
        report.line(&format!(
            "{processors} processors{}; ratios are medians of rounds, with the bounds of nineteen cases in twenty",
            model().map(|model| format!(" ({model})")).unwrap_or_default()
        ));
        report
    }

    pub(crate) fn line(&mut self, line: &str) {
        println!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub(crate) fn table(&mut self, title: &str, header: &[&str], rows: &[Vec<String>]) {
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(header);
        for row in rows {
            table.add_row(row);
        }
        self.line(&format!("\n{title}\n\n{table}"));
    }

    /// A plot, as the text of an SVG.
    pub(crate) fn plot(&mut self, name: &str, svg: String) {
        self.plots.push((name.to_owned(), svg));
    }

    /// Writes the tables and plots to where the documentation shows them.
    pub(crate) fn write(&self) {
        let folder: PathBuf = root().join("host/docs/performance");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("tables.md"), &self.text).unwrap();
        for (name, svg) in &self.plots {
            fs::write(folder.join(format!("{name}.svg")), svg).unwrap();
        }
        println!("\nwritten to {}", folder.display());
    }
}

fn model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}
