//! Power loss, full disks and failing fsyncs, on a simulated disk.
//!
//! The disk keeps what was synced apart from what was not. A power loss keeps an arbitrary prefix of the
//! unsynced bytes of each file and tears the rest, as a real disk may.

use orch_store::{
    Chance,
    backend::{
        Backend, BackendError, Condition, EmbeddedBackend, Revision,
        conformance::{commit, keys, put},
        embedded::{Disk, DiskFile, Options},
    },
};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

#[derive(Default)]
struct State {
    /// Content, and how much of it is durable.
    files: BTreeMap<String, (Vec<u8>, usize)>,
    /// Files as the directory on disk knows them.
    durable: BTreeMap<String, (Vec<u8>, usize)>,
    bytes_left: Option<usize>,
    syncs_left: Option<usize>,
}

#[derive(Clone, Default)]
struct SimDisk(Arc<Mutex<State>>);

struct SimFile {
    disk: SimDisk,
    name: String,
}

impl SimDisk {
    /// The disk as a machine finds it after power loss.
    fn after_power_loss(&self, chance: &Chance) -> SimDisk {
        let state = self.0.lock().unwrap();
        let mut files = state.durable.clone();
        for (name, (content, synced)) in &mut files {
            if let Some((live, live_synced)) = state.files.get(name) {
                let kept = live_synced + chance.below((live.len() - live_synced) as u64 + 1) as usize;
                *content = live[..kept].to_vec();
                if kept > *live_synced && chance.below(2) == 0 {
                    let at = live_synced + chance.below((kept - live_synced) as u64) as usize;
                    content[at] ^= 0x55;
                }
            }
            *synced = content.len();
        }
        let durable = files.clone();
        SimDisk(Arc::new(Mutex::new(State { files, durable, ..State::default() })))
    }
}

impl Disk for SimDisk {
    fn location(&self) -> String {
        "sim".into()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().files.keys().cloned().collect())
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().files[name].0.clone())
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.0.lock().unwrap().files.insert(name.into(), (Vec::new(), 0));
        Ok(Box::new(SimFile { disk: self.clone(), name: name.into() }))
    }
    fn open(&self, name: &str, length: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.0.lock().unwrap();
        let (content, synced) = state.files.get_mut(name).unwrap();
        content.truncate(length as usize);
        *synced = content.len();
        Ok(Box::new(SimFile { disk: self.clone(), name: name.into() }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = state.files.remove(from).unwrap();
        state.files.insert(to.into(), file);
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().files.remove(name);
        Ok(())
    }
    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.durable = state.files.clone();
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        let room = state.bytes_left.unwrap_or(usize::MAX).min(bytes.len());
        if let Some(left) = &mut state.bytes_left {
            *left -= room;
        }
        state.files.get_mut(&self.name).unwrap().0.extend_from_slice(&bytes[..room]);
        if room < bytes.len() { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.0.lock().unwrap();
        if let Some(left) = &mut state.syncs_left {
            if *left == 0 {
                return Err(io::Error::other("the device is gone"));
            }
            *left -= 1;
        }
        let file = state.files.get_mut(&self.name).unwrap();
        file.1 = file.0.len();
        Ok(())
    }
}

fn open(disk: &SimDisk) -> Result<EmbeddedBackend, BackendError> {
    let options = Options { snapshot_min_bytes: 3_000, snapshot_factor: 2, ..Options::default() };
    EmbeddedBackend::on_disk(Arc::new(disk.clone()), options)
}

#[tokio::test]
async fn power_loss_at_any_point_keeps_what_was_acknowledged() {
    for seed in 0..60 {
        let chance = Chance::from_seed(seed);
        let mut disk = SimDisk::default();
        let mut acknowledged = 0;
        for _ in 0..4 {
            let backend = open(&disk).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            let revision = backend.revision().await.unwrap();
            assert!(revision >= Revision(acknowledged), "seed {seed}: {revision} < {acknowledged}");
            assert_eq!(keys(&backend, "/", None).await.len() as u64, revision.0.min(40), "seed {seed}");
            for i in 0..chance.below(60) {
                let key = format!("/{}", (revision.0 + i) % 40);
                acknowledged = commit(&backend, put(&key, "0123456789", Condition::Any)).await.unwrap().0;
            }
            // The machine dies while requests are under way.
            let pending: Vec<_> = (0..chance.below(5))
                .map(|i| put(&format!("/{}", (acknowledged + i) % 40), "pending", Condition::Any))
                .collect();
            let (_, lost) =
                tokio::join!(futures::future::join_all(pending.into_iter().map(|w| commit(&backend, w))), async {
                    disk.after_power_loss(&chance)
                });
            disk = lost;
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_the_write_and_recovers_when_there_is_room() {
    let disk = SimDisk::default();
    let backend = open(&disk).unwrap();
    commit(&backend, put("/a", "1", Condition::Any)).await.unwrap();
    disk.0.lock().unwrap().bytes_left = Some(10);
    let refused = commit(&backend, put("/b", "2", Condition::Any)).await;
    assert!(matches!(refused, Err(BackendError::Disk { ref path, .. }) if path.ends_with(".log")), "{refused:?}");
    assert_eq!(keys(&backend, "/", None).await, ["/a"]);
    disk.0.lock().unwrap().bytes_left = None;
    commit(&backend, put("/c", "3", Condition::Any)).await.unwrap();
    drop(backend);
    assert_eq!(keys(&open(&disk).unwrap(), "/", None).await, ["/a", "/c"]);
}

#[tokio::test]
async fn after_a_failed_fsync_nothing_is_acknowledged() {
    let disk = SimDisk::default();
    let backend = open(&disk).unwrap();
    commit(&backend, put("/a", "1", Condition::Any)).await.unwrap();
    disk.0.lock().unwrap().syncs_left = Some(0);
    assert!(commit(&backend, put("/b", "2", Condition::Any)).await.is_err());
    disk.0.lock().unwrap().syncs_left = None;
    assert!(commit(&backend, put("/c", "3", Condition::Any)).await.is_err(), "what the fsync lost is unknown");
    assert_eq!(keys(&backend, "/", None).await, ["/a"]);
}

/// Found by the test that kills the process: a refusal told of a write that was never on disk.
#[tokio::test]
async fn a_refusal_tells_of_nothing_that_is_not_durable() {
    for _ in 0..50 {
        let disk = SimDisk::default();
        let backend = open(&disk).unwrap();
        disk.0.lock().unwrap().syncs_left = Some(0);
        let rivals = (0..8).map(|_| commit(&backend, put("/a", "1", Condition::Absent)));
        for answer in futures::future::join_all(rivals).await {
            assert!(matches!(answer, Err(BackendError::Disk { .. })), "{answer:?}");
        }
    }
}
