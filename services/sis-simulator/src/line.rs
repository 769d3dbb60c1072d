//! Connections that can be cut without a single byte of answer, as a failing network or a dying server would.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Accepts connections as [`Line`]s.
pub(crate) struct Exchange(pub(crate) TcpListener);

impl Listener for Exchange {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small answers would otherwise wait for the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        (Line::new(stream), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A handler's grip on the connection that it answers.
#[derive(Clone)]
pub(crate) struct Grip(CancellationToken);

impl Grip {
    /// Closes the connection. The handler must then never answer: [`Grip::cut`] does not return.
    pub(crate) async fn cut(&self) -> std::convert::Infallible {
        self.0.cancel();
        // The server sees the broken line and drops the handler's future, this one included.
        std::future::pending().await
    }
}

impl Connected<IncomingStream<'_, Exchange>> for Grip {
    fn connect_info(stream: IncomingStream<'_, Exchange>) -> Self {
        stream.io().grip.clone()
    }
}

/// A TCP stream that breaks when its [`Grip`] is cut.
pub(crate) struct Line {
    stream: TcpStream,
    grip: Grip,
    broken: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Line {
    fn new(stream: TcpStream) -> Self {
        let token = CancellationToken::new();
        let broken = Box::pin(token.clone().cancelled_owned());
        Self {
            stream,
            grip: Grip(token),
            broken,
        }
    }

    fn unless_broken(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.broken.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.unless_broken(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unless_broken(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
