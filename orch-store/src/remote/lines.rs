//! Splits a body into lines, however it was cut into frames.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};

/// The lines of a stream of frames, without their ends. What follows the last end is cut off and
/// therefore dropped.
pub(super) fn split<E>(frames: impl Stream<Item = Result<Bytes, E>> + Unpin) -> impl Stream<Item = Result<Bytes, E>> {
    let state = Lines { frames, rest: BytesMut::new(), scanned: 0 };
    stream::unfold(Some(state), |state| async move {
        let mut lines = state?;
        match lines.next().await? {
            Ok(line) => Some((Ok(line), Some(lines))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Lines<S> {
    frames: S,
    rest: BytesMut,
    /// How much of the rest is known to have no end of line.
    scanned: usize,
}

impl<E, S: Stream<Item = Result<Bytes, E>> + Unpin> Lines<S> {
    async fn next(&mut self) -> Option<Result<Bytes, E>> {
        loop {
            if let Some(length) = self.rest.iter().skip(self.scanned).position(|byte| *byte == b'\n') {
                let mut line = self.rest.split_to(self.scanned + length + 1);
                line.truncate(line.len() - 1);
                self.scanned = 0;
                if !line.is_empty() {
                    return Some(Ok(line.freeze()));
                }
                continue;
            }
            self.scanned = self.rest.len();
            match self.frames.next().await? {
                Ok(frame) => self.rest.extend_from_slice(&frame),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(frames: &[&'static str], expected: &[&str]) {
        let frames = stream::iter(frames.iter().map(|frame| Ok::<_, ()>(Bytes::from_static(frame.as_bytes()))));
        let lines: Vec<String> =
            split(frames).map(|line| String::from_utf8(line.unwrap().to_vec()).unwrap()).collect().await;
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn lines_do_not_depend_on_frames() {
        check(&["a\nb", "c\n\nd\n"], &["a", "bc", "d"]).await;
        check(&["a", "b", "\n"], &["ab"]).await;
        check(&["a\nunfinished"], &["a"]).await;
        check(&[], &[]).await;
    }
}
