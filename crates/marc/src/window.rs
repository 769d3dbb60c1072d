//! The part of a file that a splitter holds: what was pushed and not yet handed out.

/// Bytes pushed at the end and taken from the front.
#[derive(Debug, Default)]
pub(crate) struct Window {
    buffer: Vec<u8>,
    start: usize,
    offset: u64,
    finished: bool,
}

impl Window {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // Moving what is left to the front costs its length, and is done once for each chunk.
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Takes `length` bytes from the front; gives them with their offset in the file.
    pub(crate) fn take(&mut self, length: usize) -> (&[u8], u64) {
        let (from, offset) = (self.start, self.offset);
        self.start += length;
        self.offset += length as u64;
        (&self.buffer[from..self.start], offset)
    }
}
