//! Delete a collection: list, then delete one by one; objects that vanish meanwhile do not matter.

use super::{Answer, Call, Core};
use orch_api::{Key, StatusError};
use orch_store::client::{DeleteOptions, ListOptions, Page};

impl Core {
    pub(crate) async fn delete_collection(
        &self,
        call: &Call,
        select: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<Answer, StatusError> {
        let page = self.storage.list(&call.kind, select).await?;
        let mut last = Vec::with_capacity(page.items.len());
        for item in &page.items {
            let key = Key::new(item.key.namespace.clone(), item.key.name.clone());
            match self.delete(&call.on(call.kind.clone(), key), options).await {
                Ok(Answer::Deleted { object, .. }) => last.push(object),
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Answer::Page(Page { items: last, ..page }))
    }
}
