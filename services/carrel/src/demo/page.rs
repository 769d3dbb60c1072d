//! `demo.html`: the day as a page that needs nothing but a browser.

use std::fmt::Write as _;

use super::stage::{Scene, Step, is_amount};

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } .sub { color: #666 } section { margin: 2rem 0; border-left: 4px solid #2a6f6f; padding-left: 1rem }
h2 { margin: 0 } time { color: #666; font-size: .9rem } ul { list-style: none; padding: 0 } li { margin: .3rem 0 }
.done::before { content: '✓ '; color: #2a7f3f } .refused::before { content: '✗ '; color: #b0302a }
.note { color: #555; padding-left: 1.4rem } table { border-collapse: collapse; margin: .6rem 0 }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #ddd }
td.amount { text-align: right; font-variant-numeric: tabular-nums }
.verdict { font-size: 1.2rem; font-weight: 600 }";

/// The page.
pub fn page(scenes: &[Scene], verdict: &str) -> String {
    let mut html = String::new();
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Carrel: a library day</title>\n<meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n<h1>A library day</h1>\n<p class=\"sub\">Played by <code>carrel demo</code> over gRPC, on real services and a real PostgreSQL. The district and everybody in it are made up; the books are real.</p>\n<p class=\"verdict\">{}</p>\n",
        escape(verdict)
    );
    for scene in scenes {
        let _ = write!(
            html,
            "<section><h2>{}. {}</h2><time>{}</time><ul>",
            scene.number,
            escape(&scene.title),
            escape(&scene.time)
        );
        for step in &scene.steps {
            write_step(&mut html, step);
        }
        html.push_str("</ul></section>\n");
    }
    html.push_str("</body></html>\n");
    html
}

fn write_step(html: &mut String, step: &Step) {
    let (class, text) = match step {
        Step::Done { text } => ("done", text),
        Step::Refused { text } => ("refused", text),
        Step::Note { text } => ("note", text),
        Step::Table { columns, rows } => return write_table(html, columns, rows),
    };
    let _ = write!(html, "<li class=\"{class}\">{}</li>", escape(text));
}

fn write_table(html: &mut String, columns: &[String], rows: &[Vec<String>]) {
    html.push_str("<li><table><tr>");
    for column in columns {
        let _ = write!(html, "<th>{}</th>", escape(column));
    }
    html.push_str("</tr>");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            let class = if is_amount(cell) {
                " class=\"amount\""
            } else {
                ""
            };
            let _ = write!(html, "<td{class}>{}</td>", escape(cell));
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></li>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_record_holds_can_not_become_markup() {
        let scene = Scene {
            number: 1,
            title: "<script>".into(),
            time: "10:00".into(),
            steps: vec![Step::Table {
                columns: vec!["A & B".into()],
                rows: vec![vec!["<img>".into()]],
            }],
        };
        let html = page(&[scene], "ok");
        assert!(!html.contains("<script>") && !html.contains("<img>"));
        assert!(html.contains("A &amp; B"));
    }
}
