//! Any sequence of appends, refusals, readings and reopenings does what a list per topic would do.

use std::sync::Arc;

use log::{AppendError, Batch, Embedded, Epoch, Log, Topic};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{
    Chains, Contents, Image, PARTITIONS, append, contents, contents_of, folder, open, options, read_from, wait,
};

const SEGMENT_BYTES: u64 = 3000;
const WRITERS: [Topic; 3] = [Topic::Intake, Topic::Kpi, Topic::Payroll];

#[derive(Debug, Clone)]
enum Deed {
    /// Batches of one writer and partition, given at once: records and bytes of each.
    Append {
        writer: usize,
        partition: u16,
        batches: Vec<Vec<usize>>,
    },
    /// A batch that skips one.
    Skip {
        writer: usize,
        partition: u16,
    },
    Fence {
        writer: usize,
        partition: u16,
    },
    Read {
        writer: usize,
        partition: u16,
        from: usize,
        bytes_max: usize,
    },
    ReadBeside,
    Close,
    /// What a kill leaves: the files as they are.
    Kill,
}

fn deed() -> impl Strategy<Value = Deed> {
    let place = || (0..WRITERS.len(), 0..PARTITIONS);
    let sizes = prop::collection::vec(prop::collection::vec(0..600usize, 1..4), 1..5);
    prop_oneof![
        8 => (place(), sizes).prop_map(|((writer, partition), batches)| Deed::Append { writer, partition, batches }),
        1 => place().prop_map(|(writer, partition)| Deed::Skip { writer, partition }),
        1 => place().prop_map(|(writer, partition)| Deed::Fence { writer, partition }),
        4 => (place(), 0..40usize, 0..4000usize)
            .prop_map(|((writer, partition), from, bytes_max)| Deed::Read { writer, partition, from, bytes_max }),
        1 => Just(Deed::ReadBeside),
        1 => Just(Deed::Close),
        1 => Just(Deed::Kill),
    ]
}

/// The log, and what it must hold.
struct World {
    dir: TempDir,
    log: Arc<Embedded>,
    batches: Vec<Batch>,
    chains: Chains,
    epochs: Vec<Epoch>,
}

impl World {
    fn new() -> Self {
        let dir = folder();
        let log = open(dir.path(), options(SEGMENT_BYTES)).log;
        let epochs = vec![Epoch(0); WRITERS.len() * usize::from(PARTITIONS)];
        Self { dir, log, batches: Vec::new(), chains: Chains::default(), epochs }
    }

    fn expected(&self) -> Contents {
        contents_of(&self.batches)
    }

    fn epoch(&mut self, writer: usize, partition: u16) -> &mut Epoch {
        &mut self.epochs[writer * usize::from(PARTITIONS) + usize::from(partition)]
    }

    fn apply(&mut self, deed: &Deed) {
        match deed {
            Deed::Append { writer, partition, batches } => self.append(*writer, *partition, batches),
            Deed::Skip { writer, partition } => {
                let mut chains = self.chains.clone();
                chains.batch(WRITERS[*writer], *partition, &[b"skipped".to_vec()]);
                let epoch = *self.epoch(*writer, *partition);
                let batch = Batch { epoch, ..chains.batch(WRITERS[*writer], *partition, &[b"x".to_vec()]) };
                assert!(matches!(append(&*self.log, &batch), Err(AppendError::Gap { .. })));
            }
            Deed::Fence { writer, partition } => {
                let held = *self.epoch(*writer, *partition);
                let newest = wait(self.log.fence(WRITERS[*writer], *partition)).unwrap();
                *self.epoch(*writer, *partition) = newest;
                let batch =
                    Batch { epoch: held, ..self.chains.clone().batch(WRITERS[*writer], *partition, &[b"x".to_vec()]) };
                assert_eq!(append(&*self.log, &batch), Err(AppendError::Fenced { held, newest }));
            }
            Deed::Read { writer, partition, from, bytes_max } => {
                self.read((WRITERS[*writer], *partition), *from, *bytes_max)
            }
            Deed::ReadBeside => {
                assert_eq!(contents(&*log::read_only(self.dir.path()).unwrap()).unwrap(), self.expected());
            }
            Deed::Close => {
                self.log.close();
                self.reopen();
            }
            Deed::Kill => {
                let dir = folder();
                Image::of(self.dir.path()).write_to(dir.path());
                self.dir = dir;
                self.reopen();
            }
        }
    }

    fn append(&mut self, writer: usize, partition: u16, batches: &[Vec<usize>]) {
        let epoch = *self.epoch(writer, partition);
        let given: Vec<Batch> = batches
            .iter()
            .map(|sizes| {
                let payloads: Vec<Vec<u8>> = sizes.iter().map(|size| vec![b'x'; *size]).collect();
                Batch { epoch, ..self.chains.batch(WRITERS[writer], partition, &payloads) }
            })
            .collect();
        let answers: Vec<_> = given.iter().map(|batch| self.log.append(batch.clone())).collect();
        answers.into_iter().for_each(|answer| wait(answer).unwrap());
        self.batches.extend(given);
    }

    fn read(&self, key: (Topic, u16), from: usize, bytes_max: usize) {
        let records = self.expected().remove(&key).unwrap_or_default();
        let from = from.min(records.len());
        let read = wait(self.log.read(key.0, key.1, from as u64, bytes_max)).unwrap();
        assert_eq!(read, records[from..from + read.len()]);
        assert_eq!(read.is_empty(), from == records.len());
        assert_eq!(read_from(&*self.log, key, from as u64, bytes_max).unwrap(), records[from..]);
    }

    fn reopen(&mut self) {
        let opened = open(self.dir.path(), options(SEGMENT_BYTES));
        assert_eq!(opened.cut, None);
        self.log = opened.log;
        self.epochs.fill(Epoch(0));
        assert_eq!(contents(&*self.log).unwrap(), self.expected());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_deeds_does_what_a_list_per_topic_would_do(deeds in prop::collection::vec(deed(), 1..40)) {
        let mut world = World::new();
        deeds.iter().for_each(|deed| world.apply(deed));
        assert_eq!(contents(&*world.log).unwrap(), world.expected());
        world.log.close();
        let report = log::verify(world.dir.path()).unwrap();
        assert_eq!((report.damage, report.cut), (None, None));
        assert_eq!(report.frames, world.batches.len() as u64);
    }
}

#[test]
fn a_log_of_many_segments_keeps_one_spare_and_comes_back_whole() {
    let mut world = World::new();
    for n in 0..150 {
        world.apply(&Deed::Append {
            writer: n % 3,
            partition: (n % 4) as u16,
            batches: vec![vec![500, n], vec![1500]],
        });
    }
    let stat = log::stat(world.dir.path()).unwrap();
    world.log.close();
    let used = Image::of(world.dir.path()).frames().last().unwrap().file.clone();
    let segments = log::stat(world.dir.path()).unwrap().segments;
    assert!(stat.frames == 300 && segments > 100, "{stat:?}");
    assert_eq!(used, format!("{:010}.seg", segments - 2), "one segment is ready behind the one that is written");
    world.apply(&Deed::Close);
}

#[test]
fn a_half_made_spare_is_made_anew() {
    let mut world = World::new();
    world.apply(&Deed::Append { writer: 0, partition: 0, batches: vec![vec![500], vec![1500]] });
    world.log.close();
    let inner = world.dir.path().join("log");
    for name in ["0000000001.tmp", "0000000002.tmp", "clean.tmp", "meta.tmp"] {
        std::fs::write(inner.join(name), [b'j'; 5000]).unwrap();
    }
    std::fs::remove_file(inner.join("0000000001.seg")).unwrap();
    world.reopen();
    for n in 0..9 {
        world.apply(&Deed::Append { writer: n % 3, partition: 0, batches: vec![vec![1500]] });
    }
    world.apply(&Deed::Kill);
}
