//! Silent peers, in tokio's time, which passes when nobody has anything to do.

use std::time::Duration;

use embedded_io_adapters::tokio_1::FromTokio;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::sleep;

use crate::Pages;
use crate::http::patience::{Ended, serve_patiently};
use crate::kernel::TokioClock;

const PATIENCE: Duration = Duration::from_secs(10);
const GET: &[u8] = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

/// Serves one end of a pipe; how it ended, and after how long.
async fn serve(stream: DuplexStream) -> (Ended<std::io::Error>, Duration) {
    let (clock, start) = (TokioClock::new(), tokio::time::Instant::now());
    let pages = Pages::default();
    let ended = serve_patiently(FromTokio::new(stream), &pages, &clock, PATIENCE).await;
    (ended, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_when_patience_is_over() {
    let (_theirs, ours) = duplex(1_024);
    let (ended, after) = serve(ours).await;
    assert!(matches!(ended, Ended::Idle), "{ended:?}");
    assert_eq!(after.as_secs(), PATIENCE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_not_and_every_byte_begins_it_anew() {
    let (mut theirs, ours) = duplex(1_024);
    let peer = async {
        for byte in GET {
            sleep(PATIENCE - Duration::from_secs(1)).await;
            theirs.write_all(&[*byte]).await.expect("it is read");
        }
        let mut answer = [0; 15];
        theirs.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        sleep(Duration::from_secs(1_000)).await;
    };
    let ((ended, after), ()) = tokio::join!(serve(ours), peer);
    assert!(matches!(ended, Ended::Idle), "{ended:?}");
    assert_eq!(after.as_secs(), 9 * GET.len() as u64 + 10);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up() {
    let (mut theirs, ours) = duplex(1_024);
    let request = b"GET /bytes/1000000 HTTP/1.1\r\nHost: x\r\n\r\n";
    theirs.write_all(request).await.expect("there is room");
    let (ended, after) = serve(ours).await;
    assert!(matches!(ended, Ended::Idle), "{ended:?}");
    assert_eq!(after.as_secs(), PATIENCE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_is_let_go_at_once() {
    let (mut theirs, ours) = duplex(1_024);
    let peer = async {
        theirs.write_all(GET).await.expect("there is room");
        theirs.shutdown().await.expect("open");
        let mut answer = Vec::new();
        theirs.read_to_end(&mut answer).await.expect("an answer");
        assert!(answer.ends_with(b"Hello from a queue.\n"));
    };
    let ((ended, after), ()) = tokio::join!(serve(ours), peer);
    assert!(matches!(ended, Ended::Closed), "{ended:?}");
    assert_eq!(after, Duration::ZERO);
}
