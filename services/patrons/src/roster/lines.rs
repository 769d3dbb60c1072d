//! A roster's bytes as they arrive, made into lines that can be counted.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use tokio::sync::mpsc::Receiver;

/// What arrives.
#[derive(Debug)]
pub(super) enum Arrival {
    /// The file's next bytes.
    Bytes(Vec<u8>),
    /// There are no more. Without it, the file did not arrive whole.
    End,
}

/// The file's bytes as lines that all end with LF, without a byte-order mark,
/// so that lines can be counted; and no row without end.
pub(super) struct Lines {
    arrivals: Receiver<Arrival>,
    current: std::vec::IntoIter<u8>,
    /// Bytes that may be read before the row must have ended.
    allowance: Rc<Cell<u64>>,
    /// How much of a byte-order mark the file has begun with; `None`: past it.
    mark: Option<usize>,
    pending: Vec<u8>,
    held_return: bool,
    ended: bool,
    last: u8,
}

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Lines {
    pub(super) fn new(arrivals: Receiver<Arrival>, allowance: Rc<Cell<u64>>) -> Self {
        Self {
            arrivals,
            current: Vec::new().into_iter(),
            allowance,
            mark: Some(0),
            pending: Vec::new(),
            held_return: false,
            ended: false,
            last: b'\n',
        }
    }

    /// The next byte as it arrived.
    fn arrived(&mut self) -> io::Result<Option<u8>> {
        loop {
            if let Some(byte) = self.current.next() {
                return Ok(Some(byte));
            }
            if self.ended {
                return Ok(None);
            }
            match self.arrivals.blocking_recv() {
                Some(Arrival::Bytes(bytes)) => self.current = bytes.into_iter(),
                Some(Arrival::End) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// The next byte behind a byte-order mark.
    fn unmarked(&mut self) -> io::Result<Option<u8>> {
        if self.pending.is_empty()
            && let Some(matched) = self.mark
        {
            let mut seen = matched;
            while seen < BYTE_ORDER_MARK.len() {
                match self.arrived()? {
                    Some(byte) if byte == BYTE_ORDER_MARK[seen] => seen += 1,
                    other => {
                        // It was none: what looked like one is text.
                        self.pending = BYTE_ORDER_MARK[..seen].to_vec();
                        self.pending.extend(other);
                        break;
                    }
                }
            }
            self.mark = None;
        }
        if self.pending.is_empty() {
            return self.arrived();
        }
        Ok(Some(self.pending.remove(0)))
    }

    /// The next byte with CRLF made LF, and an LF at the end.
    fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = if std::mem::take(&mut self.held_return) {
            Some(b'\r')
        } else {
            self.unmarked()?
        };
        let byte = match byte {
            Some(b'\r') => match self.unmarked()? {
                Some(b'\n') => b'\n',
                Some(b'\r') => {
                    self.held_return = true;
                    b'\r'
                }
                Some(other) => {
                    self.pending.insert(0, other);
                    b'\r'
                }
                None => b'\n',
            },
            Some(byte) => byte,
            None if self.last == b'\n' => return Ok(None),
            None => b'\n',
        };
        self.last = byte;
        Ok(Some(byte))
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        while length < buffer.len() {
            let Some(byte) = self.next()? else { break };
            buffer[length] = byte;
            length += 1;
        }
        let left = self.allowance.get().checked_sub(length as u64);
        self.allowance.set(left.ok_or(io::ErrorKind::FileTooLarge)?);
        Ok(length)
    }
}
