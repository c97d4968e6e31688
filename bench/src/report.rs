//! Figures as a table for people and as JSON for whatever draws them.

use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value, json};

/// A named table; each cell has a text for people and a value for programs.
pub(crate) struct Table {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

pub(crate) struct Cell {
    text: String,
    value: Value,
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            value: json!(text),
            text,
        }
    }

    pub(crate) fn count(value: u64) -> Self {
        Self {
            text: value.to_string(),
            value: json!(value),
        }
    }

    /// `value` shown with `decimals` digits after the point.
    pub(crate) fn number(value: f64, decimals: usize) -> Self {
        Self {
            text: format!("{value:.decimals$}"),
            value: json!(value),
        }
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self {
            title: title.into(),
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    pub(crate) fn print(&self) {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = self.rows.iter().map(|row| row[at].text.chars().count());
                cells.chain([self.columns[at].len()]).max().unwrap_or(0)
            })
            .collect();
        println!("\n{}", self.title);
        self.print_line(&widths, |at| self.columns[at], |_| false);
        for row in &self.rows {
            self.print_line(&widths, |at| &row[at].text, |at| row[at].value.is_number());
        }
    }

    fn print_line<'a>(
        &'a self,
        widths: &[usize],
        text: impl Fn(usize) -> &'a str,
        to_the_right: impl Fn(usize) -> bool,
    ) {
        let mut line = String::new();
        for (at, &width) in widths.iter().enumerate() {
            let numeric = self.rows.iter().any(|row| row[at].value.is_number());
            line.push_str("  ");
            if numeric || to_the_right(at) {
                line.push_str(&format!("{:>width$}", text(at)));
            } else {
                line.push_str(&format!("{:<width$}", text(at)));
            }
        }
        println!("{}", line.trim_end());
    }

    fn to_json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let cells = self.columns.iter().zip(row);
                let map: Map<_, _> = cells
                    .map(|(column, cell)| (column.replace([' ', '/'], "_"), cell.value.clone()))
                    .collect();
                Value::Object(map)
            })
            .collect();
        json!({ "title": self.title, "rows": rows })
    }
}

/// Writes `tables` to `path`, if one was asked for.
pub(crate) fn write_json(path: Option<&Path>, tables: &[&Table]) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let all: Vec<Value> = tables.iter().map(|table| table.to_json()).collect();
    let text = serde_json::to_string_pretty(&all)? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The value below which `share` of `sorted` lie. `sorted` is in ascending order and not empty.
pub(crate) fn percentile<T: Copy>(sorted: &[T], share: f64) -> T {
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted[at.clamp(1, sorted.len()) - 1]
}
