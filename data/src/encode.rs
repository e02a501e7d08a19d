//! Documents turned into shards of tokens.

use llmc_grammar::diagnostic::Diagnostic;
use rayon::prelude::*;

use super::cache::WriteError;
use super::process::Document;
use super::shard::{ShardEnd, ShardWriter, Split};
use super::split::Division;
use super::store::StoreWriter;
use super::tokenizer::Tokenizer;

/// Text that is encoded at a time, on all cores.
const ENCODED_BYTES: usize = 8 << 20;

/// Text that one shard of tokens is made of, about.
const SHARD_BYTES: u64 = 64 << 20;

/// How documents become tokens.
#[derive(Debug, Clone, Copy)]
pub struct Encoder<'a> {
    /// Encodes texts.
    pub tokenizer: &'a Tokenizer,
    /// Stands after every document, if anything does.
    pub end_of_text: Option<u32>,
    /// What goes to which split.
    pub division: &'a Division,
}

impl Encoder<'_> {
    /// Writes the shards of all documents. Those that an interrupted run has finished are taken over, and the documents
    /// that they are made of are only read. `progress` is told the bytes of text that are done.
    ///
    /// # Errors
    /// What reading, encoding and writing fail with.
    pub fn write(
        self,
        writer: &mut StoreWriter<'_>,
        documents: &mut dyn Iterator<Item = Result<Document, Diagnostic>>,
        progress: &dyn Fn(u64),
    ) -> Result<(), Diagnostic> {
        let (mut bytes, mut behind) = (0, 0);
        loop {
            let end = match writer.finished() {
                Some(end) => {
                    behind += end.documents;
                    end
                }
                None => {
                    for _ in 0..std::mem::take(&mut behind) {
                        documents.next().transpose()?;
                    }
                    writer.shard(|shard| self.fill(shard, documents, &|more| progress(bytes + more)))?
                }
            };
            bytes += end.bytes;
            if end.last {
                return Ok(());
            }
        }
    }

    /// Adds documents to a shard, about as many as make [`SHARD_BYTES`] of text.
    fn fill(
        self,
        shard: &mut ShardWriter<'_>,
        documents: &mut dyn Iterator<Item = Result<Document, Diagnostic>>,
        progress: &dyn Fn(u64),
    ) -> Result<ShardEnd, WriteError> {
        let mut end = ShardEnd::default();
        let (mut documents_read, mut waiting) = (Vec::new(), 0);
        loop {
            let next = documents.next().transpose()?;
            end.last = next.is_none();
            if let Some(document) = next {
                waiting += document.text.len();
                end.documents += 1;
                documents_read.push(document);
            }
            if end.last || waiting >= ENCODED_BYTES {
                self.encode(shard, &documents_read)?;
                end.bytes += waiting as u64;
                progress(end.bytes);
                documents_read.clear();
                waiting = 0;
            }
            if end.last || end.bytes >= SHARD_BYTES {
                return Ok(end);
            }
        }
    }

    /// Encodes documents on all cores and appends them in order.
    fn encode(self, shard: &mut ShardWriter<'_>, documents: &[Document]) -> Result<(), WriteError> {
        let encode = |text: &str| -> Result<Vec<u32>, Diagnostic> {
            let mut ids = self.tokenizer.encode_document(text)?;
            ids.extend(self.end_of_text);
            Ok(ids)
        };
        let encoded: Result<Vec<_>, Diagnostic> = documents
            .par_iter()
            .map(|document| {
                let (train, heldout) = self.division.split(document);
                let parts = [(Split::Train, train), (Split::Heldout, heldout)];
                let parts = parts.into_iter().filter_map(|(split, text)| Some((split, text?)));
                parts.map(|(split, text)| Ok((split, encode(text)?, text.len() as u64))).collect::<Result<Vec<_>, _>>()
            })
            .collect();
        for (split, ids, bytes) in encoded?.into_iter().flatten() {
            shard.append(split, &ids, bytes)?;
            shard.end_document(split);
        }
        Ok(())
    }
}
