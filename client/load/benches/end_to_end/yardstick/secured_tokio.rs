//! What a Rust programmer would take: tokio on one thread, tokio-rustls, and a codec.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::{FutureExt, SinkExt, StreamExt};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder, Framed, LinesCodec};
use wire::FrameDecoder;

use super::requests::Agency;
use super::{BUFFER, Sink, listener};

/// Whole frames, as they are.
struct Frames;

impl Decoder for Frames {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let frame = FrameDecoder::default().decode(input).map_err(io::Error::other)?;
        let used = frame.map(|frame| frame.used());
        Ok(used.map(|used| input.split_to(used)))
    }
}

impl Encoder<Bytes> for Frames {
    type Error = io::Error;

    fn encode(&mut self, responses: Bytes, output: &mut BytesMut) -> io::Result<()> {
        output.extend_from_slice(&responses);
        Ok(())
    }
}

/// Runs `serve` for each connection whose handshake is complete.
fn serve_all<F: Future<Output = ()> + 'static>(
    port: u16,
    config: &Arc<ServerConfig>,
    serve: impl Fn(TlsStream<TcpStream>) -> F + Clone + 'static,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::clone(config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = TcpListener::from_std(listener(port)?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            tokio::task::spawn_local(async move {
                // A peer that fails loses its connection.
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            });
        }
    })
}

/// Lines, those of a turn sent together.
pub(crate) fn lines(port: u16, config: &Arc<ServerConfig>) -> io::Result<()> {
    serve_all(port, config, |stream| async {
        let (sink, stream) = Framed::new(stream, LinesCodec::new_with_max_length(BUFFER)).split();
        let _ = stream.forward(sink).await;
    })
}

/// Frames go to `sink`, those together that a connection has ready.
pub(crate) fn ledger(
    port: u16,
    config: &Arc<ServerConfig>,
    sink: impl Sink + 'static,
) -> io::Result<()> {
    let sink = Rc::new(RefCell::new(sink));
    serve_all(port, config, move |stream| {
        let sink = Rc::clone(&sink);
        // A peer that fails loses its connection.
        async move { drop(serve_agency(Framed::new(stream, Frames), &sink).await) }
    })
}

async fn serve_agency(
    mut frames: Framed<TlsStream<TcpStream>, Frames>,
    sink: &RefCell<impl Sink>,
) -> io::Result<()> {
    let (mut agency, mut output) = (Agency::default(), Vec::new());
    loop {
        let mut next = frames.next().await;
        if next.is_none() {
            return Ok(());
        }
        while let Some(frame) = next {
            agency.respond(&frame?, &mut output, &mut *sink.borrow_mut())?;
            next = frames.next().now_or_never().flatten();
        }
        sink.borrow_mut().commit()?;
        frames.send(std::mem::take(&mut output).into()).await?;
    }
}
