//! What a yardstick answers to an agency: what the load expects, and nothing else.

use std::io;

use wire::{Checksum, FrameDecoder, Phase, Request, Response, WinnersBuilder};

use super::sink::Sink;

/// An agency, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Agency {
    number: wire::Agency,
    checksum: Checksum,
}

impl Agency {
    /// Stages the whole frames of `input` and appends the responses. Returns how many bytes are used.
    pub(super) fn respond(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) -> io::Result<usize> {
        let (decoder, mut used) = (FrameDecoder::default(), 0);
        while let Some(frame) = decoder.decode(&input[used..]).expect("the load is good") {
            used += frame.used();
            self.answer(Request::decode(frame).expect("the load is good"), output, sink)?;
        }
        Ok(used)
    }

    fn answer(
        &mut self,
        request: Request<'_>,
        output: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) -> io::Result<()> {
        let response = match request {
            Request::Hello { agency, .. } => {
                self.number = agency;
                Response::Welcome {
                    consumed: 0,
                    checksum: Checksum::default(),
                    rejected: 0,
                    phase: Phase::Open,
                }
            }
            Request::Bet(batch) | Request::Batch(batch) => {
                sink.stage(self.number, &mut self.checksum, &batch)?;
                Response::Stored { consumed: batch.position + u64::from(batch.count) }
            }
            Request::End { total } => Response::Finished { stored: total, rejected: 0 },
            Request::Winners => {
                WinnersBuilder::new(output).finish(true);
                return Ok(());
            }
        };
        response.encode(output);
        Ok(())
    }
}
