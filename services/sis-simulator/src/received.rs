//! What other systems have sent, kept so that a test can look for what should not have left them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// How many requests are kept; older ones are counted and forgotten.
const MOST_REQUESTS: usize = 20_000;

/// One request, whole except for its credentials.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReceivedRequest {
    pub(crate) at: Timestamp,
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The body; bytes that are not UTF-8 are shown as `\u{FFFD}`, and `body_bytes` still counts them.
    pub(crate) body: String,
    pub(crate) body_bytes: usize,
}

/// The last requests to `/auth` and `/api`.
#[derive(Default)]
pub(crate) struct Received {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    forgotten: u64,
    requests: VecDeque<ReceivedRequest>,
}

impl Received {
    pub(crate) fn push(&self, request: ReceivedRequest) {
        let mut inner = self.lock();
        if inner.requests.len() == MOST_REQUESTS {
            inner.requests.pop_front();
            inner.forgotten += 1;
        }
        inner.requests.push_back(request);
    }

    /// How many were forgotten, and the rest, oldest first.
    pub(crate) fn list(&self) -> (u64, Vec<ReceivedRequest>) {
        let inner = self.lock();
        (inner.forgotten, inner.requests.iter().cloned().collect())
    }

    pub(crate) fn clear(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
