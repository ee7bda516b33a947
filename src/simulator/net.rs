//! A listener whose connections can be cut without an answer, and which can go away and come back on its port.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Until when connections are refused; none: they are taken.
pub(super) type Refusing = watch::Receiver<Option<Instant>>;

pub(super) struct CutListener {
    listener: Option<TcpListener>,
    address: SocketAddr,
    refusing: Refusing,
    all: CancellationToken,
}

impl CutListener {
    pub(super) async fn bind(address: SocketAddr, refusing: Refusing, all: CancellationToken) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener: Some(listener), address, refusing, all })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Listener for CutListener {
    type Io = CutStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CutStream, SocketAddr) {
        loop {
            let refused_until = *self.refusing.borrow_and_update();
            if let Some(until) = refused_until.filter(|until| *until > Instant::now()) {
                // A closed listener is what makes the kernel refuse.
                self.listener = None;
                tokio::select! {
                    () = sleep_until(until) => {}
                    changed = self.refusing.changed() => if changed.is_err() { sleep_until(until).await },
                }
                continue;
            }
            let Some(listener) = &self.listener else {
                match TcpListener::bind(self.address).await {
                    Ok(listener) => self.listener = Some(listener),
                    Err(_) => sleep(Duration::from_millis(10)).await,
                }
                continue;
            };
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => return (CutStream::new(stream, self.all.child_token()), address),
                    Err(_) => sleep(Duration::from_millis(10)).await,
                },
                changed = self.refusing.changed() => if changed.is_err() { sleep(Duration::from_millis(10)).await },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// A connection that ends at once, without another byte, when it is cut.
pub(super) struct CutStream {
    stream: TcpStream,
    cut: CancellationToken,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl CutStream {
    fn new(stream: TcpStream, cut: CancellationToken) -> Self {
        let cancelled = Box::pin(cut.clone().cancelled_owned());
        stream.set_nodelay(true).ok();
        Self { stream, cut, cancelled }
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cancelled.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for CutStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CutStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_cut(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The scissors of one connection.
#[derive(Clone)]
pub(super) struct Scissors(pub(super) CancellationToken);

impl Connected<IncomingStream<'_, CutListener>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, CutListener>) -> Self {
        Self(stream.io().cut.clone())
    }
}
