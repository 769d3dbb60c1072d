//! Progress on a terminal; nothing where nobody watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far a load has come.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Drawn on standard error where that is a terminal.
    pub fn on_terminal() -> Self {
        Self::new(true)
    }

    /// Drawn only where `visible`.
    pub fn new(visible: bool) -> Self {
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("  {msg} [{bar:30}] {bytes}/{total_bytes}")
            .expect("the template is sound")
            .progress_chars("=> ");
        bar.set_style(style);
        Self(bar)
    }

    pub(super) fn begin(&mut self, what: String, bytes: u64) {
        self.0.set_message(what);
        self.0.set_length(bytes);
        self.0.enable_steady_tick(Duration::from_millis(200));
    }

    pub(super) fn reached(&mut self, bytes: u64) {
        self.0.set_position(bytes);
    }

    pub(super) fn end(&mut self) {
        self.0.finish_and_clear();
    }
}
