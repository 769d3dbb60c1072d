//! A proxy on loopback whose connections can be cut, held or left without answers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where a proxy leads.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// To a TCP address.
    Tcp(SocketAddr),
    /// To a Unix socket, such as the private PostgreSQL's.
    Unix(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    /// Requests pass, answers wait.
    AnswersHeld,
    /// Nothing passes in either direction; connections stay up.
    Silent,
    /// Connections are closed as soon as they are made.
    Refusing,
}

#[derive(Debug, Clone, Copy)]
struct State {
    line: Line,
    /// Raised by each cut: connections made under a lower number end.
    cuts: u64,
}

/// A proxy that a test breaks on purpose. Gone when dropped, with its connections.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl TcpProxy {
    /// Listens on a free port of loopback and passes everything on.
    ///
    /// # Panics
    /// Where no port can be opened.
    pub async fn to(upstream: Upstream) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port of loopback is free");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let (state, watched) = watch::channel(State {
            line: Line::Open,
            cuts: 0,
        });
        let task = tokio::spawn(accept(listener, upstream, watched));
        Self {
            address,
            state,
            task,
        }
    }

    /// Where to connect instead of the upstream.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection and refuses new ones until [`TcpProxy::restore`].
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            *state = State {
                line: Line::Refusing,
                cuts: state.cuts + 1,
            }
        });
    }

    /// Ends every connection; new ones are accepted at once.
    pub fn cut_once(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Keeps connections up, old and new, and lets nothing through until [`TcpProxy::restore`].
    pub fn silence(&self) {
        self.state.send_modify(|state| state.line = Line::Silent);
    }

    /// Lets requests through and holds the answers back until [`TcpProxy::restore`], or for ever where the
    /// connection is cut first: what the other side did remains unknown.
    pub fn hold_answers(&self) {
        self.state
            .send_modify(|state| state.line = Line::AnswersHeld);
    }

    /// Lets everything through again; what was held back arrives now.
    pub fn restore(&self) {
        self.state.send_modify(|state| state.line = Line::Open);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        // Connections end too: their tasks see that the sender of the state is gone.
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, upstream: Upstream, watched: watch::Receiver<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let state = *watched.borrow();
        if state.line != Line::Refusing {
            tokio::spawn(serve(client, upstream.clone(), watched.clone(), state.cuts));
        }
    }
}

/// Serves one connection until either side ends it or it is cut.
async fn serve(
    client: TcpStream,
    upstream: Upstream,
    watched: watch::Receiver<State>,
    cuts: u64,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    match upstream {
        Upstream::Tcp(address) => {
            let server = TcpStream::connect(address).await?;
            server.set_nodelay(true)?;
            let (from_server, to_server) = server.into_split();
            relay(
                (from_client, to_server),
                (from_server, to_client),
                watched,
                cuts,
            )
            .await
        }
        Upstream::Unix(path) => {
            let (from_server, to_server) = UnixStream::connect(path).await?.into_split();
            relay(
                (from_client, to_server),
                (from_server, to_client),
                watched,
                cuts,
            )
            .await
        }
    }
}

async fn relay(
    requests: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    answers: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    mut watched: watch::Receiver<State>,
    cuts: u64,
) -> io::Result<()> {
    let requests = pass(
        requests.0,
        requests.1,
        watched.clone(),
        &[Line::Open, Line::AnswersHeld],
    );
    let answers = pass(answers.0, answers.1, watched.clone(), &[Line::Open]);
    let both = async { tokio::try_join!(requests, answers) };
    tokio::select! {
        ended = both => ended.map(|_| ()),
        // An error here means that the proxy is gone.
        _ = watched.wait_for(|state| state.cuts != cuts) => Ok(()),
    }
}

/// Passes one direction on while the line is in one of the given states.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut watched: watch::Receiver<State>,
    passing: &[Line],
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        // Looked at after reading: what arrives after the line was silenced is held.
        if watched
            .wait_for(|state| passing.contains(&state.line))
            .await
            .is_err()
        {
            return Ok(());
        }
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const SILENCE: Duration = Duration::from_millis(50);

    /// A server that counts what it gets and sends it back.
    async fn echo() -> (SocketAddr, watch::Receiver<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, counted) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let count = count.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 16];
                    while let Ok(length @ 1..) = client.read(&mut buffer).await {
                        count.send_modify(|count| *count += length);
                        client.write_all(&buffer[..length]).await.unwrap();
                    }
                });
            }
        });
        (address, counted)
    }

    async fn asks(client: &mut TcpStream) -> io::Result<u8> {
        client.write_all(b"?").await?;
        client.read_u8().await
    }

    #[tokio::test]
    async fn a_cut_line_loses_its_connections_and_takes_new_ones_when_restored() {
        let proxy = TcpProxy::to(Upstream::Tcp(echo().await.0)).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asks(&mut client).await.unwrap(), b'?');
        proxy.cut();
        assert!(timeout(LIMIT, client.read_u8()).await.unwrap().is_err());
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(timeout(LIMIT, asks(&mut refused)).await.unwrap().is_err());
        proxy.restore();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asks(&mut client).await.unwrap(), b'?');
    }

    #[tokio::test]
    async fn a_cut_that_is_restored_at_once_still_ends_the_old_connection() {
        let proxy = TcpProxy::to(Upstream::Tcp(echo().await.0)).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asks(&mut client).await.unwrap(), b'?');
        proxy.cut();
        proxy.restore();
        assert!(timeout(LIMIT, client.read_u8()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_silent_line_holds_what_was_said_until_it_is_restored() {
        let (address, mut counted) = echo().await;
        let proxy = TcpProxy::to(Upstream::Tcp(address)).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(asks(&mut client).await.unwrap(), b'?');
        proxy.silence();
        client.write_all(b"!").await.unwrap();
        assert!(
            timeout(SILENCE, counted.wait_for(|count| *count == 2))
                .await
                .is_err()
        );
        proxy.restore();
        assert_eq!(
            timeout(LIMIT, client.read_u8()).await.unwrap().unwrap(),
            b'!'
        );
    }

    #[tokio::test]
    async fn held_answers_leave_the_caller_in_the_dark_about_what_was_done() {
        let (address, mut counted) = echo().await;
        let proxy = TcpProxy::to(Upstream::Tcp(address)).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.hold_answers();
        client.write_all(b"!").await.unwrap();
        timeout(LIMIT, counted.wait_for(|count| *count == 1))
            .await
            .unwrap()
            .unwrap();
        assert!(timeout(SILENCE, client.read_u8()).await.is_err());
        proxy.cut();
        assert!(timeout(LIMIT, client.read_u8()).await.unwrap().is_err());
    }
}
