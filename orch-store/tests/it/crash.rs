//! Linearizability under `kill -9`: a child process serves the store to concurrent clients, is killed again
//! and again, and the whole history of operations is checked.
//!
//! Each transaction writes two keys, and neither is ever there without the other.
//!
//! Revisions give the total order, so the check is linear: the log of a watcher says what happened, every
//! answer must agree with it, and real time must agree with the order.

use futures::StreamExt;
use orch_store::{
    Chance,
    backend::{
        Backend, BackendError, Batch, Condition, EmbeddedBackend, Range, Revision, Txn,
        conformance::{delete, put},
        embedded::Options,
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

const CHILD: &str = "ORCH_STORE_CRASH_CHILD";
const KEYS: u64 = 8;
/// What stands before a key for the one that is written with it.
const TWIN: &str = "/twin";
const CLIENTS: u64 = 8;

/// One operation as a client saw it. Times are ticks of a counter that all clients share.
#[derive(Clone, Debug)]
struct Op {
    invoked: u64,
    /// `None` when the server died first: the operation may or may not have happened.
    returned: Option<u64>,
    key: String,
    /// The value that a put tried to write; unique.
    text: Option<String>,
    condition: Option<Condition>,
    answer: Answer,
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Unknown,
    Committed(Revision),
    Refused(Option<Revision>),
    Read(Option<Revision>),
}

#[test]
fn no_acknowledged_write_is_lost_under_kill_9() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let seconds = std::env::var("ORCH_CRASH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(4);
    let directory = tempfile::tempdir().unwrap();
    let ticks = Arc::new(AtomicU64::new(0));
    let mut ops = Vec::new();
    let end = Instant::now() + Duration::from_secs(seconds);
    let chance = Chance::from_seed(7);
    let mut kills = 0;
    while Instant::now() < end {
        ops.extend(one_life(directory.path(), &ticks, &chance));
        kills += 1;
    }
    check(&ops, &history(directory.path()));
    let acknowledged = ops.iter().filter(|o| matches!(o.answer, Answer::Committed(_))).count();
    println!("{kills} kills, {} operations, {acknowledged} acknowledged writes", ops.len());
    assert!(kills > 3 && acknowledged > 100, "the test did too little: {kills} kills, {acknowledged} writes");
}

/// Starts the server, lets clients work, kills it after a moment, returns what they saw.
fn one_life(directory: &Path, ticks: &Arc<AtomicU64>, chance: &Chance) -> Vec<Op> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child_process", "--exact", "--nocapture", "--quiet"])
        .env(CHILD, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let server = Server::new(&mut child);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|id| {
            let (server, ticks, chance) =
                (server.clone(), ticks.clone(), chance.child(&format!("{id}-{}", chance.below(u64::MAX))));
            std::thread::spawn(move || client(&server, &ticks, &chance))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(40 + chance.below(80)));
    child.kill().unwrap();
    child.wait().unwrap();
    server.close();
    clients.into_iter().flat_map(|c| c.join().unwrap()).collect()
}

/// Works until the server is gone.
fn client(server: &Server, ticks: &AtomicU64, chance: &Chance) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut known: HashMap<String, Option<Revision>> = HashMap::new();
    loop {
        let key = format!("/k/{}", chance.below(KEYS));
        let condition = match known.get(&key) {
            Some(Some(revision)) if chance.below(4) > 0 => Condition::At(*revision),
            Some(None) if chance.below(4) > 0 => Condition::Absent,
            _ => Condition::Any,
        };
        let (text, condition) = match chance.below(10) {
            0..=5 => (Some(chance.uid()), Some(condition)),
            6..=7 => (None, Some(condition)),
            _ => (None, None),
        };
        let invoked = ticks.fetch_add(1, Ordering::SeqCst);
        let answer = server.ask(&request(&key, text.as_deref(), condition));
        let returned = answer.as_ref().map(|_| ticks.fetch_add(1, Ordering::SeqCst));
        let alive = answer.is_some();
        let answer = answer.unwrap_or(Answer::Unknown);
        match &answer {
            Answer::Committed(revision) => known.insert(key.clone(), text.as_ref().map(|_| *revision)),
            Answer::Refused(revision) | Answer::Read(revision) => known.insert(key.clone(), *revision),
            Answer::Unknown => None,
        };
        ops.push(Op { invoked, returned, key, text, condition, answer });
        if !alive {
            return ops;
        }
    }
}

fn request(key: &str, text: Option<&str>, condition: Option<Condition>) -> String {
    let verb = match (text, condition) {
        (Some(_), _) => "put",
        (None, Some(_)) => "delete",
        (None, None) => "get",
    };
    let condition = match condition {
        Some(Condition::At(Revision(r))) => r.to_string(),
        Some(Condition::Absent) => "absent".into(),
        _ => "any".into(),
    };
    format!("{verb} {key} {condition} {}", text.unwrap_or("-"))
}

/// Who waits for which answer; `None` once the server is dead.
type Waiting = Option<HashMap<u64, mpsc::Sender<Answer>>>;

/// The pipes to the child, shared by all clients.
#[derive(Clone)]
struct Server {
    stdin: Arc<Mutex<std::process::ChildStdin>>,
    waiting: Arc<Mutex<Waiting>>,
    next: Arc<AtomicU64>,
}

impl Server {
    fn new(child: &mut Child) -> Self {
        let server = Self {
            stdin: Arc::new(Mutex::new(child.stdin.take().unwrap())),
            waiting: Arc::new(Mutex::new(Some(HashMap::new()))),
            next: Arc::new(AtomicU64::new(0)),
        };
        let (stdout, waiting) = (child.stdout.take().unwrap(), server.waiting.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some((id, answer)) = parse_answer(&line)
                    && let Some(sender) = waiting.lock().unwrap().as_mut().and_then(|w| w.remove(&id))
                {
                    let _ = sender.send(answer);
                }
            }
            waiting.lock().unwrap().take();
        });
        server
    }

    /// `None` when the server died before it answered.
    fn ask(&self, request: &str) -> Option<Answer> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel();
        self.waiting.lock().unwrap().as_mut()?.insert(id, sender);
        writeln!(self.stdin.lock().unwrap(), "{id} {request}").ok()?;
        receiver.recv().ok()
    }

    fn close(&self) {
        self.waiting.lock().unwrap().take();
    }
}

fn parse_answer(line: &str) -> Option<(u64, Answer)> {
    let mut words = line.split_once("answer ")?.1.split(' ');
    let id = words.next()?.parse().ok()?;
    let kind = words.next()?;
    let revision = words.next()?.parse().ok().map(Revision);
    let answer = match kind {
        "committed" => Answer::Committed(revision?),
        "refused" => Answer::Refused(revision),
        _ => Answer::Read(revision),
    };
    Some((id, answer))
}

/// Not a test of its own: the server that the parent starts and kills.
#[test]
fn child_process() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let options = Options { snapshot_min_bytes: 30_000, ..Options::default() };
    let backend = Arc::new(EmbeddedBackend::open(Path::new(&directory), options).unwrap());
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let backend = backend.clone();
        runtime.spawn(async move {
            let (id, rest) = line.split_once(' ').unwrap();
            let answer = serve(&*backend, rest).await;
            let _ = writeln!(std::io::stdout(), "answer {id} {answer}");
        });
    }
}

async fn serve(backend: &dyn Backend, request: &str) -> String {
    let words: Vec<&str> = request.split(' ').collect();
    let condition = match words[2] {
        "any" => Condition::Any,
        "absent" => Condition::Absent,
        revision => Condition::At(Revision(revision.parse().unwrap())),
    };
    let number = |r: Option<Revision>| r.map_or("none".into(), |r| r.to_string());
    let twin = format!("{TWIN}{}", words[1]);
    let writes = match words[0] {
        "put" => vec![put(words[1], words[3], condition), put(&twin, words[3], Condition::Any)],
        "delete" => vec![delete(words[1], condition), delete(&twin, Condition::Any)],
        _ => {
            let range = Range { prefix: words[1].into(), ..Range::default() };
            let entry = backend.range(range).await.unwrap().entries.pop();
            return format!("read {}", number(entry.map(|e| e.revision)));
        }
    };
    match backend.commit(Txn { writes }).await {
        Ok(revision) => format!("committed {revision}"),
        Err(BackendError::Conflict { actual, .. }) => format!("refused {}", number(actual)),
        Err(error) => panic!("{error}"),
    }
}

/// Everything that happened, as a watch from the beginning tells it.
fn history(directory: &Path) -> Vec<Batch> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // A snapshot takes the history before it away; keep what is left of it.
        let backend = EmbeddedBackend::open(directory, Options::default()).unwrap();
        let revision = backend.revision().await.unwrap();
        twins_agree(&backend).await;
        let oldest = match backend.watch("/", Revision(0)).await.map(drop) {
            Err(BackendError::Compacted { oldest, .. }) => oldest,
            _ => Revision(0),
        };
        let mut watch = backend.watch("/", oldest).await.unwrap();
        let mut batches: Vec<Batch> = Vec::new();
        while batches.last().map_or(oldest, |b| b.revision) < revision {
            batches.push(watch.next().await.unwrap().unwrap());
        }
        batches
    })
}

/// Of the two keys of a transaction, what one says the other does.
async fn twins_agree(backend: &EmbeddedBackend) {
    let all = async |prefix: &str| {
        let range = Range { prefix: prefix.into(), ..Range::default() };
        let entries = backend.range(range).await.unwrap().entries.into_iter();
        entries.map(|entry| (entry.revision, text(&entry.value))).collect::<Vec<_>>()
    };
    assert_eq!(all("/k/").await, all(&format!("{TWIN}/k/")).await, "half of a transaction is there");
}

fn check(ops: &[Op], history: &[Batch]) {
    let oldest = history.first().map_or(Revision(0), |b| b.revision);
    let facts: BTreeMap<Revision, (&str, Option<&[u8]>)> =
        history.iter().map(|b| (b.revision, (&*b.changes[0].key, b.changes[0].value.as_deref()))).collect();
    for batch in history {
        let [one, two] = &batch.changes[..] else { panic!("{} has not both changes", batch.revision) };
        assert_eq!(format!("{TWIN}{}", one.key), *two.key);
        assert_eq!(one.value.as_deref().map(text), two.value.as_deref().map(text), "{}", batch.revision);
    }
    for pair in history.windows(2) {
        assert_eq!(pair[1].revision, pair[0].revision.next(), "the history has a gap");
    }

    let mut committed: BTreeMap<Revision, &Op> = BTreeMap::new();
    for op in ops {
        let Answer::Committed(revision) = op.answer else { continue };
        assert!(committed.insert(revision, op).is_none(), "revision {revision} was given twice");
        if revision < oldest {
            continue;
        }
        let (key, value) = facts.get(&revision).unwrap_or_else(|| panic!("lost: {op:?}"));
        assert_eq!(*key, op.key, "{op:?}");
        let wrote = value.map(|v| String::from_utf8_lossy(v).into_owned());
        match &op.text {
            Some(text) => assert!(wrote.is_some_and(|w| w.contains(text)), "{op:?}"),
            None => assert!(wrote.is_none(), "{op:?}"),
        }
    }
    no_value_was_written_twice(history);
    real_time_agrees_with_revisions(&committed);
    conditions_held(ops, history);
    reads_are_fresh(ops, &committed, history);
}

fn no_value_was_written_twice(history: &[Batch]) {
    let mut seen = HashMap::new();
    for batch in history {
        if let Some(value) = &batch.changes[0].value {
            assert!(seen.insert(text(value), batch.revision).is_none(), "written twice at {}", batch.revision);
        }
    }
}

/// The unique part of a value, and what comes after it.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).split_once(r#""text":"#).unwrap().1.to_owned()
}

/// If one write was acknowledged before another was asked for, it has the smaller revision.
fn real_time_agrees_with_revisions(committed: &BTreeMap<Revision, &Op>) {
    let mut latest_invocation = 0;
    for (revision, op) in committed {
        let returned = op.returned.expect("acknowledged");
        assert!(
            returned > latest_invocation,
            "revision {revision} was acknowledged before an earlier one was asked for"
        );
        latest_invocation = latest_invocation.max(op.invoked);
    }
}

/// A conditional write follows exactly the revision that it named.
fn conditions_held(ops: &[Op], history: &[Batch]) {
    let mut last: HashMap<&str, Option<Revision>> = HashMap::new();
    let by_revision: HashMap<Revision, &Op> =
        ops.iter().filter_map(|op| if let Answer::Committed(r) = op.answer { Some((r, op)) } else { None }).collect();
    for batch in history {
        let change = &batch.changes[0];
        if let Some(op) = by_revision.get(&batch.revision)
            && let Some(before) = last.get(&*change.key)
        {
            match op.condition {
                Some(Condition::At(revision)) => assert_eq!(*before, Some(revision), "{op:?}"),
                Some(Condition::Absent) => assert_eq!(*before, None, "{op:?}"),
                _ => {}
            }
        }
        last.insert(&change.key, change.value.as_ref().map(|_| batch.revision));
    }
}

/// A read sees every write to its key that was acknowledged before it began, and none that was asked for
/// after it ended. An absent key is explained by a deletion after the newest such write.
fn reads_are_fresh(ops: &[Op], committed: &BTreeMap<Revision, &Op>, history: &[Batch]) {
    let mut acknowledged: HashMap<&str, BTreeMap<u64, Revision>> = HashMap::new();
    for (revision, op) in committed {
        let by_time = acknowledged.entry(&op.key).or_default();
        by_time.insert(op.returned.expect("acknowledged"), *revision);
    }
    for by_time in acknowledged.values_mut() {
        let mut newest = Revision(0);
        for revision in by_time.values_mut() {
            newest = newest.max(*revision);
            *revision = newest;
        }
    }
    let mut last_deletion: HashMap<&str, Revision> = HashMap::new();
    for batch in history.iter().filter(|b| b.changes[0].value.is_none()) {
        last_deletion.insert(&batch.changes[0].key, batch.revision);
    }
    for read in ops {
        let (Answer::Read(found) | Answer::Refused(found), Some(returned)) = (&read.answer, read.returned) else {
            continue;
        };
        if let Some(write) = found.and_then(|f| committed.get(&f)) {
            assert!(write.invoked < returned, "{read:?} saw the future: {write:?}");
        }
        let before = acknowledged.get(&*read.key).and_then(|t| t.range(..read.invoked).next_back());
        let Some((_, newest)) = before else { continue };
        match found {
            Some(found) => assert!(found >= newest, "{read:?} misses revision {newest}"),
            None => assert!(
                history.first().is_some_and(|b| b.revision > *newest)
                    || last_deletion.get(&*read.key).is_some_and(|d| d >= newest),
                "{read:?} misses revision {newest}"
            ),
        }
    }
}
