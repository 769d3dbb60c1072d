//! What the audience sees: scenes with steps and tables, on the terminal while
//! they happen, and afterwards as JSON or as a page.

use std::time::Duration;

use serde::Serialize;

/// A scene of the day.
#[derive(Debug, Clone, Serialize)]
pub struct Scene {
    /// Its number, from 1.
    pub number: usize,
    /// What it is about.
    pub title: String,
    /// When it plays, by the demonstration's clock.
    pub time: String,
    /// What happens.
    pub steps: Vec<Step>,
}

/// Something that happens in a scene.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Step {
    /// Something that was done.
    Done {
        /// What, in one line.
        text: String,
    },
    /// Something that was refused, as it should be.
    Refused {
        /// What, in one line.
        text: String,
    },
    /// A remark on the step before.
    Note {
        /// The remark.
        text: String,
    },
    /// A table.
    Table {
        /// Its columns.
        columns: Vec<String>,
        /// Its rows.
        rows: Vec<Vec<String>>,
    },
}

/// Where the scenes are played.
#[derive(Debug)]
pub struct Stage {
    scenes: Vec<Scene>,
    pace: Duration,
    silent: bool,
}

impl Stage {
    /// A stage that waits `pace` after each step, and is `silent` where only
    /// the outcome is wanted.
    pub fn new(pace: Duration, silent: bool) -> Self {
        Self {
            scenes: Vec::new(),
            pace,
            silent,
        }
    }

    /// Says something outside of a scene.
    pub fn say(&self, text: &str) {
        if !self.silent {
            println!("{text}");
        }
    }

    /// Begins a scene.
    pub fn scene(&mut self, title: &str, time: String) {
        let number = self.scenes.len() + 1;
        self.say(&format!("\n{number}. {title}   ({time})"));
        self.scenes.push(Scene {
            number,
            title: title.to_owned(),
            time,
            steps: Vec::new(),
        });
    }

    /// Something was done.
    pub async fn done(&mut self, text: impl Into<String>) {
        self.step(Step::Done { text: text.into() }).await;
    }

    /// Something was refused, as it should be.
    pub async fn refused(&mut self, text: impl Into<String>) {
        self.step(Step::Refused { text: text.into() }).await;
    }

    /// A remark on the step before.
    pub async fn note(&mut self, text: impl Into<String>) {
        self.step(Step::Note { text: text.into() }).await;
    }

    /// A table.
    pub async fn table(&mut self, columns: &[&str], rows: Vec<Vec<String>>) {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        self.step(Step::Table { columns, rows }).await;
    }

    async fn step(&mut self, step: Step) {
        self.say(&on_terminal(&step));
        if let Some(scene) = self.scenes.last_mut() {
            scene.steps.push(step);
        }
        // Only for those who want to read along; the day itself waits for
        // conditions.
        if !self.pace.is_zero() {
            tokio::time::sleep(self.pace).await;
        }
    }

    /// The scenes played.
    pub fn scenes(&self) -> &[Scene] {
        &self.scenes
    }
}

fn on_terminal(step: &Step) -> String {
    match step {
        Step::Done { text } => format!("   + {text}"),
        Step::Refused { text } => format!("   x {text}"),
        Step::Note { text } => format!("       {text}"),
        Step::Table { columns, rows } => table_on_terminal(columns, rows),
    }
}

/// Columns as wide as their widest cell; amounts stand to the right.
fn table_on_terminal(columns: &[String], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(place, column)| {
            let cells = rows.iter().map(|row| row[place].chars().count());
            cells.chain([column.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| {
                if is_amount(cell) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        format!("       {}", cells.join("   ").trim_end())
    };
    let mut lines = vec![line(columns)];
    lines.push(format!(
        "       {}",
        "-".repeat(widths.iter().sum::<usize>() + 3 * widths.len().saturating_sub(1))
    ));
    lines.extend(rows.iter().map(|row| line(row)));
    lines.join("\n")
}

/// Whether a cell holds an amount such as "-12.50".
pub fn is_amount(cell: &str) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    digits.contains('.')
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | ','))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_stand_to_the_right() {
        let rows = vec![
            vec!["Fine".into(), "0.75".into()],
            vec!["Lost item".into(), "-120.00".into()],
        ];
        let columns = ["What".to_owned(), "USD".to_owned()];
        assert_eq!(
            table_on_terminal(&columns, &rows),
            "       What        USD\n       -------------------\n       Fine           0.75\n       Lost item   -120.00"
        );
    }
}
