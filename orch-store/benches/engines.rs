//! Which embedded engine? 2 KiB conditional writes, each durable before it is acknowledged, by 1 and by 32
//! writers, on our engine, fjall and redb, in turn in one run. `docs/store-engine.md` keeps the table.
//!
//! `cargo bench -p orch-store --features bench-engines --bench engines`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use orch_store::backend::{
    Backend, Condition, Durability, EmbeddedBackend, Revision, Txn, Value, Write, embedded::Options,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

const VALUE: usize = 2048;
const SPAN: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;

/// Writes a value under a key whose current revision must be `expected`; answers with the new revision when
/// the write is durable.
trait Engine: Send + Sync {
    fn write(&self, key: &str, expected: u64, value: &[u8]) -> u64;
}

fn main() {
    println!("{:<10} {:>14} {:>14} {:>10} {:>14}", "engine", "1 writer /s", "32 writers /s", "p99 ms", "raw fsyncs /s");
    for _ in 0..ROUNDS {
        for name in ["orch", "fjall", "redb"] {
            let alone = run(name, 1);
            let many = run(name, 32);
            println!("{name:<10} {:>14.0} {:>14.0} {:>10.2} {:>14.0}", alone.0, many.0, many.1, fsyncs());
        }
    }
}

fn run(name: &str, writers: usize) -> (f64, f64) {
    let directory = tempfile::tempdir_in(".").unwrap();
    let engine: Arc<dyn Engine> = match name {
        "orch" => Arc::new(Orch::open(directory.path())),
        "fjall" => Arc::new(Grouped::over(Fjall::open(directory.path()))),
        _ => Arc::new(Grouped::over(Redb::open(directory.path()))),
    };
    let end = Instant::now() + SPAN;
    let threads: Vec<_> = (0..writers)
        .map(|w| {
            let engine = engine.clone();
            thread::spawn(move || {
                let value = vec![b'x'; VALUE];
                let mut revisions = [0; 64];
                let mut latencies = Vec::new();
                while Instant::now() < end {
                    let i = latencies.len() % revisions.len();
                    let start = Instant::now();
                    revisions[i] = engine.write(&format!("/registry/pods/{w}/{i}"), revisions[i], &value);
                    latencies.push(start.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies: Vec<Duration> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    latencies.sort();
    let p99 = latencies[latencies.len() * 99 / 100];
    (latencies.len() as f64 / SPAN.as_secs_f64(), p99.as_secs_f64() * 1000.0)
}

/// What the disk can do: one 2 KiB append and fsync after the other.
fn fsyncs() -> f64 {
    use std::io::Write as _;
    let mut file = tempfile::tempfile_in(".").unwrap();
    let (mut count, start) = (0, Instant::now());
    while start.elapsed() < SPAN / 4 {
        file.write_all(&[b'x'; VALUE]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

struct Orch(EmbeddedBackend, tokio::runtime::Runtime);

impl Orch {
    fn open(path: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self(EmbeddedBackend::open(path, Options::default()).unwrap(), runtime)
    }
}

impl Engine for Orch {
    fn write(&self, key: &str, expected: u64, value: &[u8]) -> u64 {
        let condition = if expected == 0 { Condition::Absent } else { Condition::At(Revision(expected)) };
        let value = Value { json: value.to_vec().into(), slot: None };
        let write = Write { key: key.into(), condition, value: Some(value), durability: Durability::Synced };
        // The reply comes from the commit thread; nothing here needs the runtime's timers.
        let _context = self.1.enter();
        futures::executor::block_on(self.0.commit(Txn { writes: vec![write] })).unwrap().0
    }
}

/// A transaction of several conditional writes, committed with one fsync.
trait Batch: Send + 'static {
    fn commit(&mut self, writes: &[(String, u64, Vec<u8>)], next: u64);
}

type Job = ((String, u64, Vec<u8>), mpsc::Sender<u64>);

/// Group commit over an engine that has none of its own: one thread takes what waits and commits it at once.
struct Grouped(Mutex<mpsc::Sender<Job>>);

impl Grouped {
    fn over(mut engine: impl Batch) -> Self {
        let (sender, inbox) = mpsc::channel::<Job>();
        thread::spawn(move || {
            let mut next = 1;
            while let Ok(first) = inbox.recv() {
                let jobs: Vec<Job> = std::iter::once(first).chain(inbox.try_iter().take(511)).collect();
                let (writes, replies): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
                engine.commit(&writes, next);
                for reply in replies {
                    let _ = reply.send(next);
                    next += 1;
                }
            }
        });
        Self(Mutex::new(sender))
    }
}

impl Engine for Grouped {
    fn write(&self, key: &str, expected: u64, value: &[u8]) -> u64 {
        let (reply, answer) = mpsc::channel();
        self.0.lock().unwrap().send(((key.to_owned(), expected, value.to_vec()), reply)).unwrap();
        answer.recv().unwrap()
    }
}

struct Fjall(fjall::Database, fjall::Keyspace);

impl Fjall {
    fn open(path: &Path) -> Self {
        let database = fjall::Database::builder(path).open().unwrap();
        let keyspace = database.keyspace("registry", fjall::KeyspaceCreateOptions::default).unwrap();
        Self(database, keyspace)
    }
}

impl Batch for Fjall {
    fn commit(&mut self, writes: &[(String, u64, Vec<u8>)], next: u64) {
        let mut batch = self.0.batch().durability(Some(fjall::PersistMode::SyncData));
        for (revision, (key, expected, value)) in (next..).zip(writes) {
            let current = self.1.get(key).unwrap().map_or(0, |v| u64::from_le_bytes(v[..8].try_into().unwrap()));
            assert_eq!(current, *expected);
            batch.insert(&self.1, key.as_bytes(), [&revision.to_le_bytes()[..], value].concat());
        }
        batch.commit().unwrap();
    }
}

const TABLE: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new("registry");

struct Redb(redb::Database);

impl Redb {
    fn open(path: &Path) -> Self {
        let database = redb::Database::create(path.join("redb")).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(TABLE).unwrap();
        txn.commit().unwrap();
        Self(database)
    }
}

impl Batch for Redb {
    fn commit(&mut self, writes: &[(String, u64, Vec<u8>)], next: u64) {
        let txn = self.0.begin_write().unwrap();
        {
            let mut table = txn.open_table(TABLE).unwrap();
            for (revision, (key, expected, value)) in (next..).zip(writes) {
                let current =
                    table.get(&**key).unwrap().map_or(0, |v| u64::from_le_bytes(v.value()[..8].try_into().unwrap()));
                assert_eq!(current, *expected);
                table.insert(&**key, &[&revision.to_le_bytes()[..], value].concat()[..]).unwrap();
            }
        }
        txn.commit().unwrap();
    }
}
