//! [`Recall`]: calls off the binding of a pod that still waits.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Calls off the binding of a pod that still waits for a permission, or for what is prepared for it.
pub(super) struct Recall {
    stage: Mutex<Stage>,
    called: Notify,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Permit,
    PreBind,
    /// It is too late.
    Bind,
    CalledOff(String),
}

impl Recall {
    /// Of a pod that asks for permission first.
    pub(super) fn new() -> Self {
        Self { stage: Mutex::new(Stage::Permit), called: Notify::new() }
    }

    /// The plugin takes the pod's node away. False when the pod is about to be bound.
    pub(super) fn call_off(&self, plugin: &str) -> bool {
        let mut stage = self.stage.lock();
        let why = match *stage {
            Stage::Permit => "waiting on permit for pod: preempted".to_owned(),
            Stage::PreBind => format!("preempted by {plugin}"),
            Stage::Bind => return false,
            Stage::CalledOff(_) => return true,
        };
        *stage = Stage::CalledOff(why);
        self.called.notify_one();
        true
    }

    /// Resolves with the reason when it is called off.
    pub(super) async fn called_off(&self) -> String {
        loop {
            if let Stage::CalledOff(why) = &*self.stage.lock() {
                return why.clone();
            }
            self.called.notified().await;
        }
    }

    /// The pod may be bound, and is prepared for it.
    pub(super) fn permitted(&self) {
        self.move_on(Stage::PreBind);
    }

    /// The pod is about to be bound, and that is not called off any more; unless it was.
    pub(super) fn prepared(&self) -> Result<(), String> {
        self.move_on(Stage::Bind);
        match &*self.stage.lock() {
            Stage::CalledOff(why) => Err(why.clone()),
            _ => Ok(()),
        }
    }

    fn move_on(&self, to: Stage) {
        let mut stage = self.stage.lock();
        if !matches!(*stage, Stage::CalledOff(_)) {
            *stage = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_binding_is_called_off_until_the_pod_is_about_to_be_bound() {
        let early = Recall::new();
        assert!(early.call_off("P"));
        assert_eq!(early.called_off().await, "waiting on permit for pod: preempted");
        assert!(early.prepared().is_err());
        let (late, too_late) = (Recall::new(), Recall::new());
        late.permitted();
        assert!(late.call_off("P") && late.call_off("P"));
        assert_eq!(late.prepared(), Err("preempted by P".into()));
        assert_eq!(too_late.prepared(), Ok(()));
        assert!(!too_late.call_off("P"));
    }
}
