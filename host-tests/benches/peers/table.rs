//! A Markdown table of figures over rounds.

use std::fmt;

use crate::servers::{Peer, Server};

/// The values of a figure, one per round.
#[derive(Debug, Default, Clone)]
struct Samples(Vec<f64>);

impl Samples {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn median(&self) -> Option<f64> {
        percentile(&self.sorted(), 50)
    }
}

/// Minimum, median and maximum, or the only value.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.sorted().as_slice(), self.median()) {
            ([], _) | (_, None) => f.write_str("–"),
            ([only], _) => f.write_str(&format_figure(*only)),
            ([min, .., max], Some(median)) => {
                write!(
                    f,
                    "{} / **{}** / {}",
                    format_figure(*min),
                    format_figure(median),
                    format_figure(*max)
                )
            }
        }
    }
}

/// Returns the percentile of a sorted slice.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted
        .get(sorted.len().checked_sub(1)? * percent / 100)
        .copied()
}

/// Formats a figure with at least three significant digits and with spaces between thousands.
pub(crate) fn format_figure(figure: f64) -> String {
    let decimals = match figure.abs() {
        0.0 => 0,
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{figure:.decimals$}");
    let whole = text.split('.').next().map_or(0, str::len);
    let digits = text.char_indices().flat_map(|(index, digit)| {
        let starts_group = index > 0 && index < whole && (whole - index) % 3 == 0;
        starts_group.then_some(' ').into_iter().chain([digit])
    });
    digits.collect()
}

/// A table with a row per server and a column per figure.
pub(crate) struct Table {
    columns: &'static [&'static str],
    rows: Vec<Row>,
}

struct Row {
    name: String,
    peer: Peer,
    figures: Vec<Samples>,
    failures: Vec<String>,
}

impl Table {
    /// Creates an empty table.
    pub(crate) fn new(columns: &'static [&'static str]) -> Self {
        Self {
            columns,
            rows: vec![],
        }
    }

    /// Adds the result of a round to the row of a server.
    pub(crate) fn add(&mut self, server: &Server, round: anyhow::Result<Vec<f64>>) {
        self.add_as(&server.to_string(), server.peer(), round);
    }

    /// Adds the result of a round to the row of another name.
    pub(crate) fn add_as(&mut self, name: &str, peer: Peer, round: anyhow::Result<Vec<f64>>) {
        let index = self.rows.iter().position(|row| row.name == name);
        let index = index.unwrap_or_else(|| {
            self.rows.push(Row {
                name: name.to_owned(),
                peer,
                figures: vec![Samples::default(); self.columns.len()],
                failures: vec![],
            });
            self.rows.len() - 1
        });
        let row = &mut self.rows[index];
        match round {
            Ok(figures) => {
                for (samples, figure) in row.figures.iter_mut().zip(figures) {
                    samples.0.push(figure);
                }
            }
            Err(error) => row.failures.push(format!("{error:#}")),
        }
    }

    /// Describes Runnel's median of a column as a multiple of each other server's.
    pub(crate) fn compare(&self, column: usize) -> String {
        let median = |row: &Row| row.figures[column].median();
        let runnel = self.rows.iter().find(|row| row.peer == Peer::Runnel);
        let Some(own) = runnel.and_then(median) else {
            return String::new();
        };
        let is_other = |row: &&Row| row.peer != Peer::Runnel && row.name == row.peer.to_string();
        let others = self.rows.iter().filter(is_other);
        let multiples = others.filter_map(|row| {
            let multiple = own / median(row)?;
            Some(format!("{} × {}", format_figure(multiple), row.name))
        });
        format!(
            "Runnel's median of {}: {}.",
            self.columns[column],
            multiples.collect::<Vec<_>>().join(", ")
        )
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| server | {} |", self.columns.join(" | "))?;
        writeln!(f, "|---{}|", "|---:".repeat(self.columns.len()))?;
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| Peer::ALL.iter().position(|peer| *peer == row.peer));
        for row in &rows {
            write!(f, "| {} ", row.name)?;
            for samples in &row.figures {
                write!(f, "| {samples} ")?;
            }
            writeln!(f, "|")?;
        }
        for row in rows {
            if let Some(first) = row.failures.first() {
                let count = row.failures.len();
                writeln!(
                    f,
                    "\n{}: {count} round(s) failed, the first: {first}",
                    row.name
                )?;
            }
        }
        Ok(())
    }
}
