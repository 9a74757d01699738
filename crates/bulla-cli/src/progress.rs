//! How far the work is, for a person at a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// A progress bar over bytes; nothing where nobody watches.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn over(output: &Output, what: &'static str, len: Option<u64>) -> Self {
        if !output.shows_progress() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::stderr_with_hz(10)).with_message(what);
        let template = match len {
            Some(_) => "{msg} {bytes}/{total_bytes} [{bar:30}] {binary_bytes_per_sec}, {eta} left",
            None => "{msg} {bytes} {spinner} {binary_bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if len.is_none() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self(bar)
    }

    pub(crate) fn advance(&self, bytes: usize) {
        self.0.inc(bytes as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
