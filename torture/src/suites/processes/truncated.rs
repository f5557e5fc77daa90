//! A running reader whose files are truncated, as by `cp` over a directory that is being served. No
//! answer is wrong: with positioned reads a lookup fails until another directory takes the place,
//! with maps the system may end the process by SIGBUS.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;

use super::readers::{Reader, World};
use crate::{Cases, Context, Protection, Row, Verdict};

/// The number of the signal on Linux for x86-64, ARM and RISC-V.
const SIGBUS: i32 = 7;

pub(super) fn run(context: &Context) -> Vec<Row> {
    let row = |access| {
        let name = format!("files are truncated under a reader ({access})");
        Row::new(name, Protection::Protected)
    };
    let count = if context.is_brief() { 2 } else { context.pick(8, 200) };
    context.run(vec![row("reads"), row("map")], &Truncated { context, count })
}

struct Truncated<'a> {
    context: &'a Context,
    count: usize,
}

impl Truncated<'_> {
    const ACCESS: [&'static str; 2] = ["read", "map"];

    fn check(&self, case: usize) -> Result<Verdict, String> {
        let scratch = tempfile::tempdir().unwrap();
        let mut world = World::new(scratch.path())?;
        let access = Self::ACCESS[self.row(case)];
        let mut reader = Reader::start(&scratch.path().join("link"), access);
        let before = world.generation.clone();
        reader.comes_to(&[&before])?;
        let mut random = self.context.random("truncated files", case);
        let mut files: Vec<_> =
            fs::read_dir(&world.live).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|kind| kind == "sst" || kind == "meta"));
        files.sort();
        for path in files {
            if random.below(3) == 0 {
                continue;
            }
            let file = File::options().write(true).open(&path).unwrap();
            // With a map, the bytes behind the end are zeros up to the end of the page: nothing
            // verifies them again. So the file ends with a page there.
            let page = if access == "map" { 4096 } else { 1 };
            let pages = file.metadata().unwrap().len() / page;
            file.set_len(page * (random.word() % (pages + 1)).min(pages)).unwrap();
        }
        world.swap()?;
        match reader.comes_to(&[&before, &world.generation]) {
            Ok(()) => Ok(Verdict::Harmless),
            Err(what) => match reader.ended() {
                Some(status) if access == "map" && status.signal() == Some(SIGBUS) => {
                    Ok(Verdict::Detected)
                }
                _ => Err(what),
            },
        }
    }
}

impl Cases for Truncated<'_> {
    type Worker = ();

    fn count(&self) -> usize {
        self.count
    }

    fn worker(&self) {}

    fn row(&self, case: usize) -> usize {
        case % Self::ACCESS.len()
    }

    fn name(&self, case: usize) -> String {
        format!("truncated files number {case}, with {}", Self::ACCESS[self.row(case)])
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        self.check(case).unwrap_or_else(Verdict::Wrong)
    }
}
