//! [`Watch`]: what a value has been, without a gap.

use crate::command::Kubectl;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

/// `kubectl get --watch`: what a path of one object leads to, at each change of the object.
pub(super) struct Watch {
    what: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins; what happens from now on is seen.
    pub(super) fn start(kubectl: &Kubectl, what: &str, path: &str) -> Self {
        let output = format!("jsonpath={path}{{\"\\n\"}}");
        let mut child = kubectl.start(&["get", what, "--watch", "-o", &output], Stdio::null());
        let mut from = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let lines = Arc::new(Mutex::new(vec![from.next().unwrap()]));
        let into = lines.clone();
        let reader = std::thread::spawn(move || from.for_each(|line| into.lock().unwrap().push(line)));
        Self { what: what.to_owned(), child, lines, reader: Some(reader) }
    }

    /// All values so far.
    pub(super) fn seen(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// All values as numbers, one that is left out being 0; none may be below a limit.
    #[track_caller]
    pub(super) fn never_below(self, limit: u32) {
        let seen = self.seen();
        let low = seen.iter().filter(|text| text.parse::<u32>().unwrap_or(0) < limit);
        assert_eq!(low.count(), 0, "{} was below {limit}: {seen:?}", self.what);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
