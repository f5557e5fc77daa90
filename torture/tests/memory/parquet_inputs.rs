//! Parquet files: a long value in a page of each codec, and values that take more memory than their
//! page.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::inputs::{Content, Input, MIB};

/// A page may have this many bytes more than the longest value.
const MAX_PAGE_BEYOND: u64 = 64 * MIB;

/// How the names begin of inputs whose values are encoded as differences.
pub(super) const DIFFERENCES: &str = "Parquet, differences";

pub(super) fn inputs(max: u64) -> Vec<Input> {
    let value = b"abcdefghij, ".repeat(usize::try_from(max / 12).unwrap());
    let mut inputs = Vec::new();
    let gzip = Compression::GZIP(GzipLevel::default());
    let codecs = [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip, Compression::LZ4_RAW];
    for codec in codecs {
        let name = format!("Parquet, a value of {} MiB, {codec:?}", max / MIB);
        inputs.push(input(name, file(&[&value], codec, Encoding::PLAIN), max, Some(max), 5));
    }
    // Each value is the one before it, and takes no bytes.
    let short = b"abcdefghij, ".repeat(usize::try_from(max / 24).unwrap());
    let equal: Vec<&[u8]> = std::iter::repeat_n(&short[..], 200).collect();
    let name = format!("{DIFFERENCES}: 200 values of {0} MiB in a page of {0} MiB", max / 2 / MIB);
    let bytes = file(&equal, Compression::UNCOMPRESSED, Encoding::DELTA_BYTE_ARRAY);
    inputs.push(input(name, bytes, max, Some(max), 4));
    inputs
}

fn input(name: String, bytes: Vec<u8>, max: u64, limit: Option<u64>, times: u64) -> Input {
    let options = vec![format!("--max-value={max}")];
    let content = Content::Bytes(bytes);
    assert!(limit.is_none_or(|limit| limit < MAX_PAGE_BEYOND + max));
    Input { name, format: "parquet", options, content, is_loaded: true, limit, times }
}

/// A file with these values, under keys that count from 1.
fn file(values: &[&[u8]], codec: Compression, encoding: Encoding) -> Vec<u8> {
    let schema = "message rows { required binary key; required binary value; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder().set_compression(codec).set_encoding(encoding);
    let properties = properties.set_dictionary_enabled(false).set_data_page_size_limit(1 << 30);
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties.build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let keys = (1..=values.len()).map(|key| ByteArray::from(key.to_string().as_str()));
    let keys: Vec<_> = keys.collect();
    let values: Vec<_> = values.iter().map(|value| ByteArray::from(value.to_vec())).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&keys, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}
