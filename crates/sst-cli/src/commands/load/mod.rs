//! `sst load`: loads entries from text or Parquet files into a directory.
//!
//! A [`BulkLoader`] sorts the input, which may be larger than memory and in any order. A load is
//! one commit: it is published whole or not at all, even if it fails or Ctrl-C interrupts it.

pub(crate) mod args;
mod background_reader;
mod cancellable;
mod report;
mod to_bucket;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use sst_format::meta_head::HashRange;
use sst_object_store::ShardNumber;
use sst_reader::hash_key;
use sst_writer::bulk::{BulkHandle, BulkMode, BulkSummary, InputPosition, RefusedRecord};
use sst_writer::monitor::{CancelToken, Phase};
use sst_writer::{BulkError, BulkLoader, BulkOptions, Monitor};

use super::merge::note_not_removed;
use super::replaced::Replaced;
use super::target::Target;
use super::{Context, interrupt};
use crate::error::{CliError, with_causes};
use crate::exit::Exit;
use crate::input::{
    Format, Input, InputArgs, InputEntry, InputError, ValueForm, check_options, decompressed,
    detect, is_named_compressed, name_of,
};
use crate::progress::ProgressLine;
use crate::url;
pub(crate) use args::LoadArgs;
use args::LoadOutputArgs;
use background_reader::BackgroundReader;
use cancellable::Cancellable;
use report::{Loaded, report};

/// Highest number of bad lines that are shown one by one.
const MAX_SHOWN_BAD_LINES: u64 = 10;
/// Number of entries between two checks for Ctrl-C.
const ENTRIES_BETWEEN_CHECKS: u64 = 1024;

pub(crate) fn run(args: &LoadArgs, context: Context) -> Result<Exit, CliError> {
    let started = Instant::now();
    let (inputs, directory) = args.inputs_and_directory()?;
    let inputs = inputs
        .iter()
        .map(|path| Ok((path.as_path(), detect(path, &args.input_options)?)))
        .collect::<Result<Vec<_>, CliError>>()?;
    let formats: Vec<_> = inputs.iter().map(|(_, format)| *format).collect();
    check_options(&formats, &args.input_options)?;
    if url::is_url(directory) {
        return to_bucket::run(args, &inputs, directory, started, context);
    }
    let cancel = interrupt::token();
    let options_of = &args.output_options;
    let options = options_of.retention.options().digest(options_of.certify.certify);
    let mut target = Target::open(directory, options)?;
    let replaced = match args.output_options.bulk_mode() {
        BulkMode::Append => None,
        _ => Replaced::of(&mut target, args.output_options.family)?,
    };
    let before = target.publisher().current();
    let certify = options_of.certify.certify;
    let loaded = load(&mut target, &inputs, args, certify, &cancel, context);
    let (summary, skipped) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return Err(target.failed(before, error.into_interrupted(directory))),
    };
    note_not_removed(&summary.not_removed, context);
    let is_live = !args.output_options.dry_run;
    if let Some(replaced) = replaced {
        context.note(match is_live {
            true => replaced.text(directory, args.output_options.retention),
            false => replaced.would_be(directory),
        });
    }
    let family = args.output_options.family;
    let loaded = Loaded::new(&summary, family, is_live, skipped, started.elapsed());
    let reported = report(directory, &loaded, context);
    if is_live {
        reported.map_err(|error| error.after_commit(directory, summary.commit.0))?;
    } else {
        target.undo();
        reported?;
    }
    Ok(Exit::Success)
}

/// Loads all inputs. Returns the summary and the number of lines that were skipped.
fn load(
    target: &mut Target,
    inputs: &[(&Path, Format)],
    args: &LoadArgs,
    certify: bool,
    cancel: &CancelToken,
    context: Context,
) -> Result<(BulkSummary, u64), CliError> {
    let options = bulk_options(&args.output_options);
    let options = options.skip_refused(args.input_options.skip_bad);
    let monitor = write_monitor(cancel, context);
    let loader = BulkLoader::new(target.publisher(), options, &monitor).map_err(CliError::Bulk)?;
    let skipped = read_inputs(|stream| loader.handle(stream), inputs, args, cancel, context)?;
    let mut load = loader.prepare().map_err(|error| with_input_names(error, inputs))?;
    if certify {
        sst_merge::certify(load.commit(), &monitor)?;
    }
    let mut summary = match args.output_options.dry_run {
        true => load.into_summary(),
        false => load.publish().map_err(|error| with_input_names(error, inputs))?,
    };
    let skipped = note_refused(&mut summary, skipped, inputs, context);
    Ok((summary, skipped))
}

/// Puts the entries of all inputs into a load. Returns the number of lines that were skipped.
fn read_inputs(
    handle: impl Fn(u64) -> BulkHandle,
    inputs: &[(&Path, Format)],
    args: &LoadArgs,
    cancel: &CancelToken,
    context: Context,
) -> Result<u64, CliError> {
    let mut skipped = 0;
    let mut entries = 0;
    for (stream, (path, format)) in (0..).zip(inputs) {
        let mut reader = InputReader {
            name: name_of(path),
            options: &args.input_options,
            max_held: args.output_options.max_held_value(),
            cancel,
            context,
            handle: handle(stream),
            hashes: args.range.map(ShardNumber::hashes),
            entries: 0,
            skipped: 0,
        };
        reader.read(path, *format)?;
        entries += reader.entries;
        skipped += reader.skipped;
        reader.handle.finish().map_err(CliError::Bulk)?;
    }
    if entries == 0 {
        let names: Vec<_> = inputs.iter().map(|(path, _)| name_of(path)).collect();
        return Err(CliError::NoEntries { name: names.join(", ") });
    }
    Ok(skipped)
}

/// Prints the records that were refused. Returns the number of all lines that were skipped.
fn note_refused(
    summary: &mut BulkSummary,
    skipped: u64,
    inputs: &[(&Path, Format)],
    context: Context,
) -> u64 {
    for RefusedRecord { input_position, source, .. } in summary.first_refused.drain(..) {
        let refused = with_input_names(BulkError::Entry { input_position, source }, inputs);
        context.note(format_args!("skipped {}", with_causes(&refused)));
    }
    skipped + summary.refused
}

/// A monitor that shows a bar while the load writes its tables.
fn write_monitor(cancel: &CancelToken, context: Context) -> Monitor {
    let bar = OnceLock::<ProgressLine>::new();
    Monitor::default().cancel(cancel.clone()).progress(move |progress| {
        if let (Phase::Write, Some(total)) = (progress.phase, progress.total_entries) {
            let bar = bar.get_or_init(|| context.progress.entries(total, "write"));
            bar.set(progress.entries);
        }
    })
}

fn bulk_options(args: &LoadOutputArgs) -> BulkOptions {
    let mut options = BulkOptions::default()
        .memory_budget(args.memory)
        .duplicates(args.duplicates.into())
        .mode(args.bulk_mode())
        .family(args.family)
        .writer(args.tables.writer())
        .max_table_entries(args.tables.max_table_entries)
        .max_table_bytes(args.tables.max_table_bytes);
    if let Some(threads) = args.threads {
        options = options.threads(threads);
    }
    if let Some(directory) = &args.temp_dir {
        options = options.temp_dir(directory);
    }
    if let Some(bytes) = args.blob_threshold {
        options = options.blob_threshold(bytes);
    }
    options
}

/// Adds to an error of the loader the names of the inputs and the numbers of their lines.
///
/// Each input is a stream of the loader; the stream's number is the input's index. A stream number
/// without an input would be a bug of this command; such a stream is shown by its number.
fn with_input_names(error: BulkError, inputs: &[(&Path, Format)]) -> CliError {
    let input = |at: InputPosition| inputs.get(usize::try_from(at.stream).ok()?);
    let name = |at: InputPosition| match input(at) {
        Some((path, _)) => name_of(path),
        None => format!("input {}", at.stream),
    };
    let in_input = |at: InputPosition| match input(at) {
        Some((_, format)) => format.position_text(at.position),
        None => format!("entry {}", at.position),
    };
    match error {
        BulkError::Duplicate { key, first, second } => CliError::Duplicate {
            name: name(second),
            position: in_input(second),
            key,
            first_name: (first.stream != second.stream).then(|| name(first)),
            first: in_input(first),
        },
        BulkError::Entry { input_position, source } => CliError::Entry {
            name: name(input_position),
            position: in_input(input_position),
            source,
        },
        BulkError::Publish(error) => error.into(),
        error => CliError::Bulk(error),
    }
}

/// Feeds the entries of one input to the loader.
struct InputReader<'a> {
    name: String,
    options: &'a InputArgs,
    /// Highest length of a value in memory, in bytes, where the format allows longer ones.
    max_held: usize,
    cancel: &'a CancelToken,
    context: Context,
    handle: BulkHandle,
    entries: u64,
    /// The hashes that are loaded; `None` for all.
    hashes: Option<HashRange>,
    /// Number of bad lines skipped.
    skipped: u64,
}

impl InputReader<'_> {
    fn read(&mut self, path: &Path, format: Format) -> Result<(), CliError> {
        let source = open(path, self.cancel)?;
        let input = match source {
            #[cfg(feature = "parquet")]
            Source::File(file, _) if format == Format::Parquet => {
                let progress = self.context.progress;
                Input::parquet(file, self.options, |rows| progress.entries(rows, "read"))
            }
            // Reading its first bytes might wait for ever.
            Source::Stream(_) if format == Format::Parquet => Err(InputError::NeedsFile),
            source => self.text(source, is_named_compressed(path), format),
        };
        let mut input = input.map_err(|error| self.error(error))?;
        let mut entry = InputEntry::default();
        entry.value.spill_to(self.handle.blob_writer(), self.max_held);
        loop {
            match input.read(&mut entry) {
                Ok(true) => self.put(&mut entry)?,
                Ok(false) => return Ok(()),
                Err(error) if error.may_be_skipped() && self.options.skip_bad => {
                    if self.cancel.is_cancelled() {
                        return Err(CliError::Bulk(BulkError::Cancelled));
                    }
                    self.skipped += 1;
                    if self.skipped <= MAX_SHOWN_BAD_LINES {
                        let name = &self.name;
                        self.context.note(format_args!("{name}: skipped {}", with_causes(&error)));
                    }
                }
                Err(error) => return Err(self.error(error)),
            }
        }
    }

    /// Starts to read a text input, compressed or not.
    fn text(
        &self,
        source: Source,
        named_compressed: bool,
        format: Format,
    ) -> Result<Input<'static>, InputError> {
        let (source, len): (Box<dyn Read>, _) = match source {
            Source::File(file, len) => (Box::new(file), Some(len)),
            Source::Stream(stream) => (stream, None),
        };
        // The progress bar disappears when the input is dropped.
        let source = self.context.progress.bytes(len, "read").into_reader(source);
        let text = decompressed(source, named_compressed)?;
        Input::new(Cancellable::new(text, self.cancel.clone()), format, self.options)
    }

    fn put(&mut self, entry: &mut InputEntry) -> Result<(), CliError> {
        let InputEntry { line, key, value, is_deletion } = entry;
        let (line, key) = (*line, &**key);
        self.entries += 1;
        if self.entries.is_multiple_of(ENTRIES_BETWEEN_CHECKS) && self.cancel.is_cancelled() {
            return Err(CliError::Bulk(BulkError::Cancelled));
        }
        if self.hashes.is_some_and(|hashes| !hashes.contains(hash_key(key))) {
            return Ok(());
        }
        let put = match (*is_deletion, value.form()) {
            (true, _) => self.handle.delete_at(line, key),
            (false, ValueForm::Held(value)) => self.handle.put_at(line, key, value),
            (false, ValueForm::Blob(blob)) => self.handle.put_blob_from_at(line, key, blob),
        };
        put.map_err(CliError::Bulk)
    }

    fn error(&self, source: InputError) -> CliError {
        // A cancelled wait for input comes back as an I/O error of the input.
        if self.cancel.is_cancelled() {
            return CliError::Bulk(BulkError::Cancelled);
        }
        let name = self.name.clone();
        match source {
            InputError::Io(source) => CliError::Io { action: "read", what: name, source },
            InputError::Blob(error) => CliError::Bulk(error),
            source => CliError::Input { name, source },
        }
    }
}

/// The bytes of an input.
enum Source {
    /// A file, and its length in bytes.
    File(File, u64),
    /// Standard input or a pipe, which can be read only once.
    Stream(Box<dyn Read>),
}

fn open(path: &Path, cancel: &CancelToken) -> Result<Source, CliError> {
    let cancel = cancel.clone();
    let in_background = |source| CliError::Io { action: "read", what: name_of(path), source };
    if path.as_os_str() == "-" {
        let stdin = BackgroundReader::new(|| Ok(io::stdin()), cancel).map_err(in_background)?;
        return Ok(Source::Stream(Box::new(stdin)));
    }
    let metadata = fs::metadata(path).map_err(|error| CliError::io("open", path, error))?;
    if !metadata.is_file() {
        let named = path.to_owned();
        let stream = BackgroundReader::new(move || File::open(named), cancel);
        let stream = stream.map_err(in_background)?;
        return Ok(Source::Stream(Box::new(stream)));
    }
    let file = File::open(path).map_err(|error| CliError::io("open", path, error))?;
    Ok(Source::File(file, metadata.len()))
}
